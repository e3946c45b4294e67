"""Layers of detectors on VGG-16 against hand values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from sobench.models.build import build_detector
from sobench.models.parts.vgg import L2Norm, convolutional_fc, load_fc, subsampled_fc
from tests.tiny_suite import tiny_suite

State = dict[str, Tensor]


def test_l2norm_scales_every_channel() -> None:
    norm = L2Norm(2, 20.0)
    assert norm.scale.tolist() == [20, 20]
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert torch.allclose(norm(x)[0, :, 1, 0], torch.tensor([12.0, 16.0]))
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 10.0]))
    assert torch.allclose(norm(x.bfloat16())[0, :, 0, 1], torch.tensor([0.6, 8.0]))
    assert norm(torch.zeros(1, 2, 1, 1)).isfinite().all()


def test_of_fc6_every_fourth_unit_and_every_third_row_and_column_are_kept() -> None:
    fc6, bias = torch.arange(8.0 * 512 * 49).view(8, -1), torch.arange(8.0)
    kernel, bias6, fc7, bias7 = subsampled_fc(fc6, bias, torch.arange(64.0).view(8, 8), -bias)
    assert (kernel.shape, fc7.shape) == ((2, 512, 3, 3), (2, 2, 1, 1))
    # Unit 4, channel 5, row 6, column 3 of the 7x7 cells.
    assert kernel[1, 5, 2, 1] == 4 * 512 * 49 + 5 * 49 + 6 * 7 + 3
    assert (bias6.tolist(), bias7.tolist()) == ([0, 4], [0, -4])
    assert fc7.flatten().tolist() == [0, 4, 32, 36]
    layers = convolutional_fc(6)
    before = [p.clone() for p in layers.parameters()]
    load_fc(layers, tuple(p + 1 for p in before))  # type: ignore[arg-type]
    assert all(torch.equal(p, q + 1) for p, q in zip(layers.parameters(), before, strict=True))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Path]:
    """A state dict of torchvision's VGG-16 with small random weights, and a folder for it."""
    with torch.device("meta"):
        shapes = torchvision.models.vgg16(weights=None).state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.empty(x.shape, dtype=torch.float16).uniform_(-0.01, 0.01, generator=generator)
        for key, x in shapes.items()
    }
    return state, tmp_path_factory.mktemp("vgg")


def first_layers(name: str, weights: str) -> Any:
    """fc6 and fc7 of a detector on VGG-16, and its first new layer behind them."""
    side = {"ssd": 300, "refinedet": 320}[name]
    suite = tiny_suite(
        input={"size": [side, side]},
        backbone={"name": "vgg16", "weights": weights},
        methods=[name],
    )
    neck: Any = build_detector(suite, suite.methods[0], 2, 0).neck
    if name == "ssd":
        return neck.fc[1], neck.fc[3], neck.extra[0][0].weight
    return neck.sources.fc[0], neck.sources.fc[2], neck.sources.conv6[0].weight


@pytest.mark.parametrize("name", ["ssd", "refinedet"])
def test_fc6_and_fc7_start_from_the_classifier_if_there_is_one(
    name: str, vgg: tuple[State, Path]
) -> None:
    state, folder = vgg
    path = folder / f"{name}.pth"
    plain6, plain7, plain_new = first_layers(name, "none")
    assert plain6.weight.abs().max() > 0.011  # Xavier
    torch.save(state, path)
    fc6, fc7, new = first_layers(name, str(path))
    kernels = state["classifier.0.weight"].view(4096, 512, 7, 7).float()
    assert torch.equal(fc6.weight[7, :, 1, 2], kernels[28, :, 3, 6])
    assert torch.equal(fc6.bias, state["classifier.0.bias"].float()[::4])
    assert torch.equal(fc7.weight[:, 9, 0, 0], state["classifier.3.weight"].float()[::4, 36])
    assert torch.equal(new, plain_new)  # nothing else has moved
    torch.save({k: x for k, x in state.items() if not k.startswith("classifier")}, path)
    without6, without7, _ = first_layers(name, str(path))
    assert torch.equal(without6.weight, plain6.weight)
    assert torch.equal(without7.weight, plain7.weight)
    path.unlink()
