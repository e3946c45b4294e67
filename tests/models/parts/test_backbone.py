"""Backbones: maps, frozen parts, and seeds."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
import torchvision
from torch import Tensor, nn

from sobench.models.build import build_detector
from sobench.models.detector import IMAGENET_MEAN, IMAGENET_STD
from sobench.models.parts.backbone import Backbone, build_backbone
from sobench.models.parts.pretrained import VERSION
from sobench.suite.methods import get_method
from sobench.suite.network import Backbone as BackboneSettings
from sobench.suite.sections import MethodEntry
from tests.tiny_suite import tiny_suite

NAMES = get_args(BackboneSettings.model_fields["name"].annotation)
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


def settings(name: str = "resnet18", **changes: Any) -> BackboneSettings:
    """Settings without their checks, since a suite refuses to freeze random layers."""
    defaults: dict[str, Any] = {"name": name, "weights": "none", "freeze": (), "norm": "train"}
    return BackboneSettings.model_construct(**(defaults | changes))


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
    weights = torchvision.models.get_model_weights(name)[VERSION]
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


# --------------------------------------------------------------------------------------- seeds


def build(method: str, seed: int) -> State:
    switches = {key: switch.default for key, switch in get_method(method).switches.items()}
    entry = MethodEntry(name=method, switches=switches)
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
