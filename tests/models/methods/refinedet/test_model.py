"""RefineDet: its published counts, the transfer connection by hand, and that it learns."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sobench.data.batches import training_batches
from sobench.data.synthetic import scenes as synthetic
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.methods.refinedet.model import RefineDetNeck, TransferConnection, VggSources
from sobench.models.parts.vgg import L2Norm
from sobench.suite.datasets import SyntheticData
from sobench.suite.network import Neck
from tests.models.methods.refinedet.predictions import (
    MAPS,
    WITHOUT_TCB,
    backward,
    shapes_only,
)
from tests.models.small_config import CLASSES, make_config
from tests.tiny_suite import tiny_suite


def count_as_mmcv(detector: Detector) -> list[float]:
    """A growing list of what MMCV counts of every module: biases, norms, ReLUs and poolings too."""
    counted: list[float] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            products = module.weight[0].numel() * output.numel()
            counted.append(products + (output.numel() if module.bias is not None else 0))
        elif isinstance(module, nn.ConvTranspose2d):
            bias = 0 if module.bias is None else module.bias.numel()
            cells = inputs[0].shape[-2] * inputs[0].shape[-1]
            counted.append(cells * (module.weight.numel() + bias))
        elif isinstance(module, nn.BatchNorm2d):
            counted.append(2 * inputs[0].numel())
        elif isinstance(module, nn.ReLU):
            counted.append(output.numel())
        elif isinstance(module, nn.MaxPool2d):
            counted.append(inputs[0].numel())

    for module in detector.modules():
        module.register_forward_hook(hook)
    return counted


@pytest.mark.parametrize(
    ("backbone", "side", "boxes", "total", "gmacs"),
    [
        ("vgg16", 320, 6375, (34.164, 34.441, 36.100), (37.70, 37.85, 38.73)),
        ("vgg16", 512, 16320, (34.164, 34.441, 36.100), (96.51, 96.88, 99.14)),
        ("resnet101", 512, 16320, (60.055, 60.331, 61.991), (57.63, 58.00, 60.26)),
        ("resnet50", 512, 16320, (41.063, 41.339, 42.999), (38.15, 38.53, 40.79)),
    ],
)
def test_counts(
    backbone: str, side: int, boxes: int, total: tuple[float, ...], gmacs: tuple[float, ...]
) -> None:
    for classes, millions, billions in zip((10, 20, 80), total, gmacs, strict=True):
        config = make_config(num_classes=classes, size=(side, side), neck=Neck())
        detector = shapes_only(backbone, config)
        weights = sum(p.numel() for p in detector.parameters())
        assert weights / 1e6 == pytest.approx(millions, abs=6e-4)
        counted = count_as_mmcv(detector)
        with FlopCounterMode(display=False) as products:
            output = detector.predict(torch.zeros(1, 3, side, side, device="meta"))
        assert sum(counted) / 1e9 == pytest.approx(billions, abs=6e-3)
        assert products.get_total_flops() / 2e9 == pytest.approx(billions, rel=5e-3)
        assert isinstance(detector.head, RefineDetHead)
        assert detector.head.anchors(output).shape == (boxes, 4)
        assert sum(x[0].numel() for x in output["logits"]) == boxes * (classes + 1)
        assert sum(x[0].numel() for x in output["arm_logits"]) == boxes * 2
        for name in ("offsets", "arm_offsets"):
            assert sum(x[0].numel() for x in output[name]) == boxes * 4


@pytest.mark.parametrize("backbone", ["vgg16", "resnet18"])
@pytest.mark.parametrize("size", [(96, 160), (100, 150), (65, 33)])
def test_any_input_size(backbone: str, size: tuple[int, int]) -> None:
    detector = shapes_only(backbone, make_config(size=size))
    output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
    sides = [(ceil(size[0] / s), ceil(size[1] / s)) for s in (8, 16, 32, 64)]
    for maps in output.values():
        assert [tuple(x.shape[-2:]) for x in maps] == sides


def set_centre(conv: nn.Module, weight: float, bias: float) -> None:
    """A 3x3 convolution that multiplies every cell and adds to it."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = weight
        conv.bias.fill_(bias)


def test_transfer_connection_by_hand() -> None:
    top = TransferConnection(1, 1, "none", top=True)
    assert top.enlarge is None
    set_centre(top.transfer[0], 2, -1)
    set_centre(top.transfer[2], 3, 1)
    set_centre(top.output[1], 1, -2)
    # relu(2x - 1) = 1, 0; 3x + 1 = 4, 1; relu(x - 2) = 2, 0.
    above = top(torch.tensor([[1.0, -2]])[None, None], None)
    assert above[0, 0].tolist() == [[2, 0]]

    block = TransferConnection(1, 1, "none", top=False)
    set_centre(block.transfer[0], 2, -1)
    set_centre(block.transfer[2], -1, 1)
    set_centre(block.output[1], -1, 5)
    assert isinstance(block.enlarge, nn.ConvTranspose2d)
    assert block.enlarge.bias is not None
    with torch.no_grad():
        block.enlarge.weight.copy_(torch.tensor([[1.0, 2], [3, 4]]))
        block.enlarge.bias.fill_(0.5)
    source = torch.tensor([[1.0, 0, 2], [-1, 3, 0.5]])[None, None]
    # The source becomes [[0, 1, -2], [1, -4, 1]]; the map above [[2.5, 4.5, .5], [6.5, 8.5, .5]],
    # a column more cut away; their sum behind a ReLU [[2.5, 5.5, 0], [7.5, 4.5, 1.5]].
    assert block(source, above)[0, 0].tolist() == [[2.5, 0, 5], [0, 0.5, 3.5]]


class FourSources(nn.Module):
    """Hands on four maps of one channel."""

    channels = (1, 1, 1, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features


def test_context_flows_from_the_coarsest_level_down() -> None:
    neck = RefineDetNeck(FourSources(), 8, "group", tcb=True)  # type: ignore[arg-type]
    torch.manual_seed(0)
    for parameter in neck.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    sources = [torch.rand(1, 1, *size, requires_grad=True) for size in MAPS]
    maps = neck(sources)
    assert all(a is b for a, b in zip(maps[:4], sources, strict=True))
    assert [tuple(x.shape[1:]) for x in maps[4:]] == [(8, *size) for size in MAPS]
    for level in range(4):
        grads = torch.autograd.grad(
            maps[4 + level].square().sum(), sources, retain_graph=True, allow_unused=True
        )
        assert [g is not None for g in grads] == [coarse >= level for coarse in range(4)]


def kinds(module: nn.Module) -> dict[type, int]:
    """How many there are of each norm."""
    every = (nn.BatchNorm2d, nn.GroupNorm, L2Norm)
    counts = {kind: sum(isinstance(m, kind) for m in module.modules()) for kind in every}
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize(
    ("backbone", "norm", "expected"),
    [
        # Four blocks of three convolutions, three deconvolutions; res6 has four convolutions.
        ("resnet18", "none", {nn.BatchNorm2d: 19}),
        ("resnet18", "group", {nn.GroupNorm: 19}),
        ("vgg16", "none", {L2Norm: 2}),
        ("vgg16", "group", {L2Norm: 2, nn.GroupNorm: 15}),
    ],
)
def test_norms(backbone: str, norm: Any, expected: dict[type, int]) -> None:
    neck = Neck(channels=16, norm=norm)
    assert kinds(shapes_only(backbone, make_config(neck=neck)).neck) == expected


def test_vgg_sources() -> None:
    sources = VggSources()
    features = [torch.rand(1, c, s, s) for c, s in ((256, 16), (512, 8), (512, 4), (512, 2))]
    maps = sources(features)
    assert [tuple(x.shape[1:]) for x in maps] == [
        (512, 8, 8), (512, 4, 4), (1024, 2, 2), (512, 1, 1)
    ]  # fmt: skip
    assert torch.allclose(maps[0].norm(dim=1), torch.tensor(10.0))
    assert torch.allclose(maps[1].norm(dim=1), torch.tensor(8.0))
    assert torch.allclose(maps[0] / 10, nn.functional.normalize(features[1], dim=1))


def test_signals_do_not_vanish_from_scratch() -> None:
    suite = tiny_suite(neck={"channels": 64}, methods=["refinedet"])
    detector = build_detector(suite, suite.methods[0], CLASSES, 0).train()
    output = detector.predict(torch.rand(4, 3, 64, 64) * 255)
    for maps in output.values():
        for x in maps:
            assert 0.2 < x.std() < 4
    res6 = detector.neck.get_submodule("sources.res6.conv2")
    assert isinstance(res6, nn.Conv2d)
    assert res6.weight.std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("switches", [{}, WITHOUT_TCB])
def test_it_begins_to_learn(switches: dict[str, Any]) -> None:
    suite = tiny_suite(
        dataset={"train": 4},
        augment={"hflip": 0},
        neck={"channels": 32},
        methods=[{"name": "refinedet", **switches}],
    )
    assert isinstance(suite.dataset, SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    pixels = np.stack([dataset.read_image(i) for i in range(4)])
    detector = build_detector(suite, suite.methods[0], 5, 0).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=0.002)
    totals: list[float] = []
    (batch,) = training_batches(dataset, pixels, suite.input, suite.augment, 4, 0, 0)
    for _ in range(8):
        total = torch.stack([*detector(batch.images, batch.targets).values()]).sum()
        optimizer.zero_grad()
        backward(total)
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.5 * totals[0]
    assert detector.eval()(batch.images).boxes.isfinite().all()
