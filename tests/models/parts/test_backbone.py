"""Backbones: maps, frozen parts, weights from files and from torchvision, and seeds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn

from sobench.errors import RequestError
from sobench.models.build import build_detector
from sobench.models.detector import IMAGENET_MEAN, IMAGENET_STD
from sobench.models.parts.backbone import _IMAGENET, Backbone, build_backbone
from sobench.suite import sections
from sobench.suite.sections import MethodEntry
from tests.tiny_suite import tiny_suite

NAMES = get_args(sections.Backbone.model_fields["name"].annotation)
CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "resnet101": (256, 512, 1024, 2048),
    "resnext101_32x8d": (256, 512, 1024, 2048),
    "resnext101_64x4d": (256, 512, 1024, 2048),
    "vgg16": (256, 512, 512, 512),
}
State = dict[str, Tensor]


def settings(name: str = "resnet18", **changes: Any) -> sections.Backbone:
    """Settings without their checks, since a suite refuses to freeze random layers."""
    defaults: dict[str, Any] = {"name": name, "weights": "none", "freeze": (), "norm": "train"}
    return sections.Backbone.model_construct(**(defaults | changes))


@pytest.fixture(scope="module")
def state() -> State:
    """A state dict of torchvision's resnet18, with statistics that are not the initial ones."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        model = torchvision.models.resnet18(weights=None)
        model(torch.rand(2, 3, 32, 32))
    return dict(model.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_maps(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(settings(name))
        maps = backbone(torch.zeros(2, 3, 100, 300))
    assert backbone.channels == CHANNELS[name]
    assert backbone.strides == (4, 8, 16, 32)
    for features, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        # Sizes round up, so that the last cell may reach beyond the input.
        assert features.shape == (2, channels, -(-100 // stride), -(-300 // stride))


def test_vgg_maps_end_in_the_layers_that_ssd_reads() -> None:
    with torch.device("meta"):
        backbone = build_backbone(settings("vgg16"))
    conv3, conv4, conv5, last = (
        [type(module) for module in layer]  # type: ignore[attr-defined]
        for layer in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    )
    assert conv3 == conv4 == conv5 == [nn.MaxPool2d, *[nn.Conv2d, nn.ReLU] * 3]
    assert last == [nn.MaxPool2d]


@pytest.mark.parametrize("name", NAMES)
def test_imagenet_weights_expect_the_detectors_normalisation(name: str) -> None:
    weights = torchvision.models.get_model_weights(name)[_IMAGENET[name]]
    preset = weights.transforms()
    assert [255 * x for x in preset.mean] == pytest.approx(IMAGENET_MEAN)
    assert [255 * x for x in preset.std] == pytest.approx(IMAGENET_STD)


# -------------------------------------------------------------------------------------- frozen


def step(backbone: Backbone) -> None:
    """One step of gradient descent on random images."""
    weights = [p for p in backbone.parameters() if p.requires_grad]
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    sum(x.square().mean() for x in backbone(images)).backward()
    torch.optim.SGD(weights, lr=0.1).step()


def changed(backbone: Backbone, before: State) -> set[str]:
    """Names of the weights and statistics that differ from those before."""
    return {key for key, x in backbone.state_dict().items() if not torch.equal(x, before[key])}


@pytest.mark.parametrize("norm", ["frozen", "train"])
def test_frozen_parts_stay_as_they_are(norm: str) -> None:
    backbone = build_backbone(settings(freeze=("stem", "layer1"), norm=norm))
    nn.Module.train(backbone.eval())
    backbone.train()
    before = {key: x.clone() for key, x in backbone.state_dict().items()}
    step(backbone)
    frozen = {key for key in before if key.startswith(("stem.", "layer1."))}
    statistics = {key for key in before if "running" in key or "num_batches" in key}
    trained = set(before) - frozen - statistics
    expected = trained if norm == "frozen" else trained | (statistics - frozen)
    assert changed(backbone, before) == expected
    assert {key for key, p in backbone.named_parameters() if p.requires_grad} == trained


def test_eval_mode_of_frozen_parts_survives_train() -> None:
    backbone = build_backbone(settings(freeze=("stem", "layer1"), norm="train"))
    assert backbone.train() is backbone
    modes = {name: module.training for name, module in backbone.named_children()}
    assert [name for name in modes if modes[name]] == ["layer2", "layer3", "layer4"]
    assert not any(module.training for module in backbone.layer1.modules())
    backbone.eval()
    assert not any(module.training for module in backbone.modules())


def test_with_frozen_norm_alone_every_weight_trains() -> None:
    backbone = build_backbone(settings(norm="frozen")).train()
    assert all(p.requires_grad for p in backbone.parameters())
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert not any(m.training for m in norms)
    assert backbone.layer2.training


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


def test_a_file_put_into_the_folder_is_used(state: State, hub: Path) -> None:
    hub.mkdir(parents=True)
    torch.save(state, hub / "resnet18-f37072fd.pth")
    assert_loaded(build_backbone(settings(weights="imagenet")), state)


def test_a_damaged_file_in_the_folder_is_named(hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(RequestError) as error:
        build_backbone(settings(weights="imagenet"))
    assert "resnet18-f37072fd.pth" in str(error.value)
    assert str(hub) in str(error.value)


# --------------------------------------------------------------------------------------- seeds


def build(method: str, seed: int) -> State:
    entry = MethodEntry(
        name=method, switches={"boxes": "coco"} if method == "ssd" else {"fuse": True}
    )
    return dict(build_detector(tiny_suite(), entry, 5, seed).state_dict())


def test_a_seed_gives_every_method_the_same_backbone() -> None:
    states = [build("fpn", 0), build("ssd", 0), build("fpn", 1)]
    fpn, ssd, other = (
        {key: x for key, x in state.items() if key.startswith("backbone.")} for state in states
    )
    assert fpn.keys() == ssd.keys()
    assert all(torch.equal(fpn[key], ssd[key]) for key in fpn)
    key = "backbone.layer4.1.conv2.weight"
    assert not torch.equal(fpn[key], other[key])


def test_a_seed_fixes_neck_and_head_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = build("fpn", 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    second = build("fpn", 0)
    assert all(torch.equal(first[key], second[key]) for key in first)
    key = "head.class_tower.convs.0.weight"
    assert not torch.equal(first[key], build("fpn", 1)[key])
