"""The trained network of a finished run as an ONNX file, up to the suppression."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sobench.data.dataset import FloatArray
from sobench.data.resize import FILL, resize, typical_shape
from sobench.environment import code_version
from sobench.errors import DataError, RequestError, RunError, reason_of
from sobench.models.detector import Detector
from sobench.runs.splits import load_split
from sobench.runs.stored import StoredRun
from sobench.suite.methods import get_method

NAMES = ("boxes", "scores", "labels")
"""The outputs, in their order."""

TOLERANCE = 1e-3
"""Of scores, and of boxes as a share of the input's longer side."""

_MOST_IMAGES, _CHECKED_IMAGES = 1024, 3
"""Images of a batch that the exported network takes, and of the check."""

Candidates = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Boxes ``[B, N, 4]``, scores ``[B, N]`` and labels ``[B, N]``."""


@dataclass(frozen=True)
class Check:
    """How far the outputs of the ONNX file are from torch's, over candidates that count.

    Attributes:
        score, box: greatest difference of a score, and of a side in pixels of the input.
        images: what they were compared on.
    """

    score: float
    box: float
    images: str


class _CandidateNetwork(nn.Module):
    """``Detector.candidates`` as three tensors, over all levels."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.eval()  # the exporter gives its modules the mode of this one

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels = zip(*self.detector.candidates(images), strict=True)
        return tuple(torch.cat(part, dim=1) for part in levels)


def check_exportable(stored: StoredRun) -> None:
    """Refuse what cannot be exported before the network is built.

    Raises:
        RequestError: a package is missing, or the detector has two stages.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise RequestError(
            f"export: needs {' and '.join(missing)}; install them with pip install 'sobench[onnx]'"
        )
    suite, entry = stored.run.suite, stored.run.entry
    if suite.head == "faster_rcnn" and get_method(entry.name).heads:
        raise RequestError(
            f"{stored.folder.path}: {entry.label} has two stages, and the second looks at regions "
            "that a suppression chooses, of which torch's exporter cannot follow the number; "
            "export a run with head: retinanet, or of ssd or refinedet"
        )


def export_onnx(stored: StoredRun, detector: Detector) -> bytes:
    """The content of an ONNX file from images to candidates, in float32.

    Input ``images`` ``[batch, 3, H, W]`` float32 RGB in 0..255, resized as the metadata say;
    outputs are ``boxes`` ``[batch, N, 4]`` ``x1, y1, x2, y2`` in pixels of the input, not clipped,
    ``scores`` ``[batch, N]`` in 0..1 and ``labels`` ``[batch, N]`` int64. Normalisation is within.

    Args:
        detector: with the trained weights, on the CPU.

    Raises:
        RunError: torch cannot export the network.
    """
    import onnx

    network = _CandidateNetwork(detector)
    images = torch.zeros(2, 3, *typical_shape(stored.run.suite.input))
    batch = torch.export.Dim("batch", min=1, max=_MOST_IMAGES)
    try:
        with torch.no_grad(), _quiet():
            network(images)  # so that the anchors are constants, made outside of the exporter
            exported = torch.export.export(
                network, (images,), dynamic_shapes=({0: batch},), strict=False
            )
            program = torch.onnx.export(
                exported, dynamo=True, verbose=False, input_names=["images"],
                output_names=list(NAMES),
            )  # fmt: skip
            assert program is not None
            model = program.model_proto
    except Exception as error:  # torch raises many kinds for what it cannot export
        raise RunError(
            f"{stored.folder.path}: torch cannot export this network ({reason_of(error)})"
        ) from error
    onnx.helper.set_model_props(model, metadata(stored))
    content: bytes = model.SerializeToString()
    return content


def metadata(stored: StoredRun) -> dict[str, str]:
    """What somebody needs to use the file, as texts; most of them JSON."""
    run, suite = stored.run, stored.run.suite
    values = {
        "classes": list(stored.classes),
        "input": {
            "images": "float32 RGB in 0..255, [batch, 3, height, width]; normalised in the network",
            "size": list(typical_shape(suite.input)),
            "resize": suite.input.resize,
            "interpolation": "bilinear, antialiased",
            "padding": {"at": "right and bottom", "colour": list(FILL)},
        },
        "outputs": {
            "boxes": "x1, y1, x2, y2 in pixels of the input, not clipped",
            "scores": "0..1",
            "labels": "index of classes",
        },
        "suppression": {"by": "class", **suite.detect.model_dump(mode="json")},
        "run": {
            "suite": suite.name, "method": run.entry.label, "seed": run.seed,
            "id": stored.outcome.run_id, "code": code_version(),
        },
    }  # fmt: skip
    return {key: json.dumps(value) for key, value in values.items()}


def can_check() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


def check_onnx(content: bytes, stored: StoredRun, detector: Detector) -> Check:
    """Compare the outputs of an ONNX file with torch's, image by image and as a batch.

    The first val images are compared on, or noise where the data are not at hand. Candidates above
    the suite's score threshold count; each must have a partner of its class on the other side,
    since candidates of nearly equal scores may come in another order.

    Raises:
        RunError: they differ by more than ``TOLERANCE``.
    """
    import onnxruntime

    images, described = _images(stored)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    network, threshold = _CandidateNetwork(detector), stored.run.suite.detect.score_threshold
    score = box = 0.0
    for batch in (images, images[:1]):
        with torch.no_grad():
            expected = tuple(part.numpy() for part in network(torch.from_numpy(batch)))
        outputs = tuple(session.run(list(NAMES), {"images": batch}))
        for pair in ((expected, outputs), (outputs, expected)):
            differences = greatest_differences(*pair, threshold + TOLERANCE)
            score, box = max(score, differences[0]), max(box, differences[1])
    check = Check(score, box, described)
    if score > TOLERANCE or box > TOLERANCE * max(images.shape[2:]):
        raise RunError(
            f"{stored.folder.path}: the exported network differs from torch's by {score:.2g} in a "
            f"score and {box:.2g} px in a box, on {described}; nothing is written"
        )
    return check


def greatest_differences(
    ones: Candidates, others: Candidates, threshold: float
) -> tuple[float, float]:
    """The greatest difference of scores and of sides between candidates and their partners.

    The partner is the other candidate of the same image and class with the nearest box; without
    any, the differences are infinite.

    Args:
        threshold: only candidates of ``ones`` above this score count.
    """
    score = box = 0.0
    for image in range(len(ones[0])):
        boxes, scores, labels = (part[image] for part in ones)
        other_boxes, other_scores, other_labels = (part[image] for part in others)
        for index in np.flatnonzero(scores > threshold):
            partners = np.flatnonzero(other_labels == labels[index])
            if not len(partners):
                return float("inf"), float("inf")
            sides: FloatArray = np.abs(other_boxes[partners] - boxes[index]).max(axis=1)
            gaps = np.abs(other_scores[partners] - scores[index])
            # Two boxes may be the same with other scores, so both count.
            best = int(np.argmin(sides + gaps))
            score, box = max(score, float(gaps[best])), max(box, float(sides[best]))
    return score, box


def _images(stored: StoredRun) -> tuple[NDArray[np.float32], str]:
    """``[B, 3, H, W]`` images of the val split at the input's size, or noise; and what they are."""
    settings = stored.run.suite.input
    height, width = typical_shape(settings)
    pixels = np.random.default_rng(0).integers(0, 256, (_CHECKED_IMAGES, height, width, 3))
    described = "noise, since the data are not at hand"
    if stored.has_data or stored.run.suite.dataset.format == "synthetic":
        try:
            dataset = load_split(stored.run, "val")
            chosen = range(min(_CHECKED_IMAGES, len(dataset.images)))
            fixed = settings.model_copy(update={"size": (height, width), "resize": "stretch"})
            pixels = np.stack([resize(dataset.read_image(index), fixed) for index in chosen])
            described = f"{len(chosen)} val images"
        except DataError:
            pass
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32), described


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says of its own parts from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
