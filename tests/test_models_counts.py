"""Parameters, multiply-adds and boxes of the papers' models, on shapes alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sobench import settings as sections
from sobench.metrics.cost import count_parameters
from sobench.models.backbone import build_backbone
from sobench.models.detector import Blueprint, Detector, HeadOutput
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.heads.ssd import SsdHead
from sobench.models.methods import fpn, ssd


def build(
    method: ModuleType,
    backbone: str,
    size: tuple[int, int],
    classes: int,
    freeze: tuple[Any, ...] = (),
    **switches: Any,
) -> Detector:
    """A detector without storage; ``model_construct`` lets random layers be frozen."""
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "frozen"}
    settings = sections.Backbone.model_construct(**content, freeze=freeze)
    blueprint = Blueprint(
        classes, size, sections.Neck(), "retinanet", sections.Anchors(), sections.Detect()
    )
    with torch.device("meta"):
        detector: Detector = method.build(build_backbone(settings), blueprint, switches)
    return detector


def predict(detector: Detector, size: tuple[int, int]) -> tuple[float, HeadOutput]:
    """Multiply-adds of one image in 1e9, and the raw predictions."""
    with FlopCounterMode(display=False) as counter:
        output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 2e9, output


@pytest.mark.parametrize(
    ("size", "classes", "total", "trainable", "gmacs", "anchors"),
    [
        ((512, 512), 10, 36.517, 36.291, 53.1036, 49_104),
        ((800, 1280), 80, 37.969, 37.743, 238.5361, 191_970),
    ],
)
def test_retinanet_on_fpn(
    size: tuple[int, int],
    classes: int,
    total: float,
    trainable: float,
    gmacs: float,
    anchors: int,
) -> None:
    """MMDetection's RetinaNet-R50-FPN, whose published figures are 37.74 M and 239.32 G at 80."""
    detector = build(fpn, "resnet50", size, classes, ("stem", "layer1"), fuse=True)
    assert [n / 1e6 for n in count_parameters(detector)] == pytest.approx(
        [total, trainable], abs=5e-4
    )
    counted, output = predict(detector, size)
    assert counted == pytest.approx(gmacs, abs=5e-5)
    assert isinstance(detector.head, RetinaNetHead)
    assert len(detector.head.anchors(output)) == anchors
    assert sum(x[0].numel() for x in output["offsets"]) == 4 * anchors
    assert sum(x[0].numel() for x in output["logits"]) == classes * anchors


def test_leaving_out_the_sum_costs_the_same() -> None:
    size = (512, 512)
    fused, plain = (build(fpn, "resnet50", size, 10, fuse=fuse) for fuse in (True, False))
    assert count_parameters(fused) == count_parameters(plain)
    assert predict(fused, size)[0] == predict(plain, size)[0]


@pytest.mark.parametrize(
    ("side", "classes", "total", "boxes"),
    [
        (300, 10, 24.949, 8732),
        (300, 20, 26.285, 8732),
        (300, 80, 34.305, 8732),
        (512, 10, 25.714, 24_564),
        (512, 20, 27.189, 24_564),
        (512, 80, 36.038, 24_564),
    ],
)
def test_ssd_on_vgg16(side: int, classes: int, total: float, boxes: int) -> None:
    detector = build(ssd, "vgg16", (side, side), classes, boxes="coco")
    assert count_parameters(detector)[0] / 1e6 == pytest.approx(total, abs=6e-4)
    output = predict(detector, (side, side))[1]
    assert isinstance(detector.head, SsdHead)
    assert detector.head.boxes.shape == (boxes, 4)
    assert sum(x[0].numel() for x in output["offsets"]) == 4 * boxes
    assert sum(x[0].numel() for x in output["logits"]) == (classes + 1) * boxes
