"""The weights that a backbone starts from: fetched, checked by their digest, and loaded."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from urllib.request import Request, urlopen

import torch
import torchvision
from torch import Tensor, nn

from sobench.errors import RequestError, reason_of
from sobench.suite.network import Backbone as BackboneSettings
from sobench.suite.weights import content_digest, published_digest, weights_file

VERSION = "IMAGENET1K_V1"
"""Of torchvision's weights, for every backbone. All were trained on pixels normalised as
``Detector`` does it. (``IMAGENET1K_FEATURES``, by the authors of SSD, was not: it expects pixels of
0..255 minus their mean.)"""

_CLASSIFIER = ("fc.", "classifier.")
"""Prefixes of the classifier's weights, which need not be there and need not fit."""

State = dict[str, Tensor]


def load_pretrained(model: nn.Module, settings: BackboneSettings, planned: str = "") -> State:
    """Load the weights that the settings name into torchvision's ``model``, but its classifier.

    Args:
        planned: digest of the file when the runs were planned; empty if any content will do.

    Returns:
        The weights of the classifier by their names, as far as there are any.

    Raises:
        RequestError: the weights cannot be fetched, are not those that were published or planned,
            or do not fit; the message says which file is needed and where to put it.
    """
    if settings.weights == "imagenet":
        state = _imagenet_weights(settings.name)
        source = "torchvision's ImageNet weights"
    else:
        state = _weights_of_file(settings, planned)
        source = settings.weights
    classifier = {key: x for key, x in state.items() if key.startswith(_CLASSIFIER)}
    problem = _misfit(model, {key: x for key, x in state.items() if key not in classifier})
    if problem:
        raise RequestError(
            f"backbone.weights: {source}: {problem}; "
            f"give a state dict of torchvision's {settings.name}"
        )
    return classifier


def can_be_had(name: str, timeout: float = 5.0) -> bool:
    """Whether torchvision's ImageNet weights of a backbone are here, or can be downloaded.

    Args:
        timeout: seconds to wait for an answer.
    """
    url, path = _published(name)
    if path.is_file():
        return True
    try:
        with urlopen(Request(url, method="HEAD"), timeout=timeout):
            return True
    except OSError:  # no network, no such file there
        return False


def _published(name: str) -> tuple[str, Path]:
    """Where torchvision's weights are published, and the file that they are kept in."""
    url: str = torchvision.models.get_model_weights(name)[VERSION].url
    return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _weights_of_file(settings: BackboneSettings, planned: str) -> State:
    try:
        content = weights_file(settings).read_bytes()
        if planned and content_digest(content) != planned:
            raise RequestError(
                f"backbone.weights: {settings.weights}: changed since the runs were planned; "
                "run this again"
            )
        return _state_dict(content)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            f"backbone.weights: {settings.weights}: no state dict could be read from it "
            f"({reason_of(error)}); write `imagenet`, `none` or the path of a file saved "
            "with torch.save"
        ) from None


def _imagenet_weights(name: str) -> State:
    """torchvision's weights, downloaded on first use; their digest is checked at every use."""
    url, path = _published(name)
    folder, published = path.parent, published_digest(name)
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), published, progress=False)
        if not path.is_file():
            raise ValueError("not a regular file")
        content = path.read_bytes()
    except Exception as error:  # no network, a wrong hash, no rights in the folder
        raise RequestError(
            f"backbone.weights: imagenet: {url} cannot be used ({reason_of(error)});\n"
            f"put that file into {folder} (or set TORCH_HOME), or write `weights: none` "
            "with `norm: train` and `freeze: []` to train from scratch"
        ) from None
    digest = hashlib.sha256(content).hexdigest()[: len(published)]
    if digest != published:
        raise RequestError(
            f"backbone.weights: imagenet: {path}: not the published file (its checksum is "
            f"{digest});\ndelete it and run this again, or put {url} in its place"
        )
    return _state_dict(content)


def _state_dict(content: bytes) -> State:
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {str(key): value for key, value in state.items()}


def _misfit(model: nn.Module, state: State) -> str:
    """Load ``state`` and describe the first misfit, or return ``""``.

    Except for the classifier, every weight of the model and of ``state`` needs its counterpart.
    """
    try:
        missing, unknown = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes differ; the first line names only the class
        return str(error).splitlines()[-1].strip(" \t.")
    missing = [key for key in missing if not key.startswith(_CLASSIFIER)]
    if missing:
        return f"{len(missing)} weights are missing, first {missing[0]!r}"
    return f"{len(unknown)} weights have no place, first {unknown[0]!r}" if unknown else ""
