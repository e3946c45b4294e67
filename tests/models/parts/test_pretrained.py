"""The weights of a backbone: from files and from torchvision, checked by their digests."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor

from sobench.errors import RequestError
from sobench.models.parts.backbone import Backbone, build_backbone
from sobench.models.parts.pretrained import VERSION
from sobench.suite.network import Backbone as BackboneSettings
from sobench.suite.weights import IMAGENET, weights_id

State = dict[str, Tensor]


def settings(name: str = "resnet18", **changes: Any) -> BackboneSettings:
    """Settings without their checks, since a suite refuses to freeze random layers."""
    defaults: dict[str, Any] = {"name": name, "weights": "none", "freeze": (), "norm": "train"}
    return BackboneSettings.model_construct(**(defaults | changes))


@pytest.fixture(scope="module")
def state() -> State:
    """A state dict of torchvision's resnet18, with statistics that are not the initial ones."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        model = torchvision.models.resnet18(weights=None)
        model(torch.rand(2, 3, 32, 32))
    return dict(model.state_dict())


# ------------------------------------------------------------------------- weights from a file


def save(content: Any, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


def assert_loaded(backbone: Backbone, state: State) -> None:
    names = {"conv1": "stem.0", "bn1": "stem.1"}
    for key, value in state.items():
        module, _, name = key.partition(".")
        if module != "fc":
            loaded = backbone.state_dict()[f"{names.get(module, module)}.{name}"]
            assert torch.equal(loaded, value), key


def test_weights_from_a_file(state: State, tmp_path: Path) -> None:
    backbone = build_backbone(settings(weights=str(save(state, tmp_path))))
    assert_loaded(backbone, state)


def test_the_classifier_need_not_be_there_and_need_not_fit(state: State, tmp_path: Path) -> None:
    without = {key: x for key, x in state.items() if not key.startswith("fc.")}
    assert_loaded(build_backbone(settings(weights=str(save(without, tmp_path)))), state)
    other = without | {"fc.weight": torch.zeros(3, 512), "fc.bias": torch.zeros(3)}
    assert_loaded(build_backbone(settings(weights=str(save(other, tmp_path)))), state)


def without_first(state: State) -> Any:
    return {key: x for key, x in state.items() if key != "layer1.0.conv1.weight"}


def deeper(state: State) -> Any:
    """With a weight that a ResNet-34 has and a ResNet-18 does not; all others fit."""
    return state | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}


def wider(state: State) -> Any:
    return state | {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_first, "1 weights are missing, first 'layer1.0.conv1.weight'"),
        (deeper, "1 weights have no place, first 'layer1.2.conv1.weight'"),
        (wider, "size mismatch for layer1.0.conv1.weight"),
        (lambda state: {"model": state}, "missing, first 'conv1.weight'"),
        (lambda state: [*state.values()][:1], "no state dict could be read"),
        (lambda state: {0: state["conv1.weight"]}, "missing, first 'conv1.weight'"),
    ],
)
def test_a_file_that_does_not_fit(
    change: Callable[[State], Any], problem: str, state: State, tmp_path: Path
) -> None:
    path = save(change(state), tmp_path)
    with pytest.raises(RequestError) as error:
        build_backbone(settings(weights=str(path)))
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    assert problem in text


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps(print)])
def test_a_file_that_holds_no_weights(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="no state dict could be read") as error:
        build_backbone(settings(weights=str(path)))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "absent.pth"
    with pytest.raises(RequestError, match=r"absent\.pth.*No such file.*`none`"):
        build_backbone(settings(weights=str(path)))


def test_a_file_that_changed_after_planning_is_refused(state: State, tmp_path: Path) -> None:
    path = save(state, tmp_path)
    chosen = settings(weights=str(path))
    planned = weights_id(chosen)
    assert_loaded(build_backbone(chosen, planned), state)
    save(state | {"fc.bias": torch.zeros(1000)}, tmp_path)
    with pytest.raises(RequestError, match=r"weights\.pth: changed since the runs were planned"):
        build_backbone(chosen, planned)


def test_a_path_that_cannot_name_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for weights, problem in (
        (str(tmp_path / "pipe"), "not a regular file"),
        (str(tmp_path), "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("a\0b", "null byte"),
        ("\ud800", "can't encode"),
        ("~nobody-of-this-name/x", "No such file"),
    ):
        for read in (weights_id, build_backbone):
            with pytest.raises(RequestError, match=problem) as error:
                read(settings(weights=weights))
            assert str(error.value).isprintable()


# ------------------------------------------------------------------------------------ ImageNet


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where torchvision looks for weights, and no network."""

    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise URLError(f"no route to {url.partition('//')[2].partition('/')[0]}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_without_a_network_the_message_names_the_file_and_its_folder(name: str, hub: Path) -> None:
    with torch.device("meta"), pytest.raises(RequestError) as error:
        build_backbone(settings(name, weights="imagenet"))
    text = str(error.value)
    assert torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url in text
    assert str(hub) in text
    assert "`weights: none`" in text
    assert "no route to download.pytorch.org" in text
    assert len(text.splitlines()) == 2


def put_weights(state: State, hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights in the folder, as if they were the published ones."""
    hub.mkdir(parents=True)
    path = hub / "resnet18-f37072fd.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(IMAGENET, "resnet18", f"resnet18-{digest}.pth")
    return path


def test_a_file_put_into_the_folder_is_used(
    state: State, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_weights(state, hub, monkeypatch)
    assert_loaded(build_backbone(settings(weights="imagenet")), state)


def test_a_file_that_was_not_published_is_refused_at_every_use(
    state: State, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_weights(state, hub, monkeypatch)
    build_backbone(settings(weights="imagenet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RequestError) as error:
        build_backbone(settings(weights="imagenet"))
    text = str(error.value)
    assert f"imagenet: {path}: not the published file (its checksum is " in text
    assert "delete it" in text
    assert len(text.splitlines()) == 2


def test_what_is_not_a_file_is_not_read(hub: Path) -> None:
    hub.mkdir(parents=True)
    os.mkfifo(hub / "resnet18-f37072fd.pth")
    with pytest.raises(RequestError, match="not a regular file"):
        build_backbone(settings(weights="imagenet"))


def test_the_table_names_the_files_that_torchvision_publishes() -> None:
    urls = {name: torchvision.models.get_model_weights(name)[VERSION].url for name in IMAGENET}
    assert {name: url.rpartition("/")[2] for name, url in urls.items()} == IMAGENET
    assert weights_id(settings(weights="imagenet")) == "imagenet f37072fd"
