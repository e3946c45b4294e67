"""Parameters, multiply-adds and boxes of the papers' models, on shapes alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sobench.metrics.cost import count_parameters
from sobench.models.detector import Detector, DetectorConfig, HeadOutput
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.heads.ssd import SSDHead
from sobench.models.methods.efpn import model as efpn
from sobench.models.methods.fpn import model as fpn
from sobench.models.methods.libra import model as libra
from sobench.models.methods.nas_fpn import model as nas_fpn
from sobench.models.methods.pafpn import model as pafpn
from sobench.models.methods.ssd import model as ssd
from sobench.models.methods.ta_fpn import model as ta_fpn
from sobench.models.methods.zoominnet import model as zoominnet
from sobench.models.parts.backbone import build_backbone
from sobench.suite.detect import Detect
from sobench.suite.heads import HEADS
from sobench.suite.methods import get_method
from sobench.suite.network import Anchors, Backbone, Neck


def build(
    method: ModuleType,
    backbone: str,
    size: tuple[int, int],
    classes: int,
    freeze: tuple[Any, ...] = (),
    head: str = "retinanet",
    **switches: Any,
) -> Detector:
    """A detector without storage; ``model_construct`` lets random layers be frozen."""
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "frozen"}
    settings = Backbone.model_construct(**content, freeze=freeze)
    anchors = Anchors(octaves=HEADS[head].octaves)
    config = DetectorConfig(classes, size, Neck(), head, anchors, Detect())
    name = method.__name__.rpartition(".")[0].rpartition(".")[2]
    defaults = {key: value.default for key, value in get_method(name).switches.items()}
    with torch.device("meta"):
        detector: Detector = method.build(build_backbone(settings), config, defaults | switches)
    return detector


def convolutions(detector: Detector, size: tuple[int, int]) -> float:
    """Multiply-adds of one image in 1e9, matrix products of feature maps left out."""
    with FlopCounterMode(display=False) as counter:
        detector.head.flops_outputs(detector.predict(torch.zeros(1, 3, *size, device="meta")))
    by_operation = counter.get_flop_counts()["Global"]
    attention = by_operation.get(torch.ops.aten.bmm, 0)
    return float(sum(by_operation.values()) - attention) / 2e9


def predict(detector: Detector, size: tuple[int, int]) -> tuple[float, HeadOutput]:
    """Multiply-adds of one image in 1e9, and the raw predictions."""
    with FlopCounterMode(display=False) as counter:
        output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 2e9, output


@pytest.mark.parametrize(
    ("size", "classes", "total", "trainable", "gmacs", "anchors"),
    [
        ((512, 512), 10, 36.517, 36.291, 53.1036, 49_104),
        ((1024, 1024), 10, 36.517, 36.291, 212.4143, 196_416),
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


FROZEN = ("stem", "layer1")
SMALL, LARGE = ((512, 512), 10), ((800, 1280), 80)
SEPARATE = {"separate_bn": True}


@pytest.mark.parametrize(
    ("method", "head", "case", "switches", "total", "trainable", "gmacs"),
    [
        (fpn, "faster_rcnn", SMALL, {}, 41.394, None, 63.293),
        (fpn, "faster_rcnn", LARGE, {}, 41.753, 41.528, 207.065),
        (pafpn, "faster_rcnn", SMALL, {}, 44.935, None, 69.637),
        (pafpn, "faster_rcnn", LARGE, {}, 45.294, 45.068, 231.849),
        (libra, "faster_rcnn", SMALL, {}, 41.657, None, 63.562),
        (libra, "faster_rcnn", LARGE, {}, 42.016, 41.791, 208.118),
        (pafpn, "retinanet", SMALL, {}, 38.877, None, 54.811),
        (pafpn, "retinanet", LARGE, {}, 40.329, None, 245.217),
        (libra, "retinanet", SMALL, {}, 36.780, None, 53.569),
        (libra, "retinanet", LARGE, {}, 38.232, None, 240.369),
        (nas_fpn, "retinanet", SMALL, SEPARATE, 58.515, None, 80.875),
        (nas_fpn, "retinanet", ((640, 640), 80), SEPARATE, 59.967, None, 138.747),
        (ta_fpn, "faster_rcnn", SMALL, {"tam": False, "sodem": False}, 41.394, None, 63.293),
        (ta_fpn, "faster_rcnn", SMALL, {"tam": False}, 41.923, None, 71.966),
        (ta_fpn, "faster_rcnn", SMALL, {"sodem": False}, 50.643, None, 82.004),
        (ta_fpn, "faster_rcnn", SMALL, {}, 51.172, None, 90.678),
        (ta_fpn, "faster_rcnn", SMALL, {"reduction": 4}, 48.220, None, 83.792),
    ],
)
def test_pyramids_under_both_heads(
    method: ModuleType,
    head: str,
    case: tuple[tuple[int, int], int],
    switches: dict[str, Any],
    total: float,
    trainable: float | None,
    gmacs: float,
) -> None:
    """ResNet-50. The reference figures also count biases, norms and ReLUs, hence half a percent."""
    size, classes = case
    detector = build(method, "resnet50", size, classes, FROZEN, head, **switches)
    counted = [n / 1e6 for n in count_parameters(detector)]
    assert counted[0] == pytest.approx(total, abs=6e-4)
    if trainable is not None:
        assert counted[1] == pytest.approx(trainable, abs=6e-4)
    assert convolutions(detector, size) == pytest.approx(gmacs, rel=5e-3)


@pytest.mark.parametrize(
    ("switches", "total", "trainable", "gmacs", "anchors"),
    [
        ({"align": "none"}, 36.517, 36.291, 53.1036, 49_104),
        ({"align": "la"}, 36.517, 36.291, 57.8553, 196_416),
        ({"thin": True}, 34.222, 33.997, 94.3279, 196_416),
        ({}, 36.582, 36.357, 145.8172, 196_416),
    ],
)
def test_students_of_zoominnet(
    switches: dict[str, Any], total: float, trainable: float, gmacs: float, anchors: int
) -> None:
    """Table 3: 53.3, 58.05, 94.56 and 146.09 G, with biases, norms and ReLUs."""
    detector = build(zoominnet, "resnet50", (512, 512), 10, FROZEN, **switches)
    assert [n / 1e6 for n in count_parameters(detector)] == pytest.approx(
        [total, trainable], abs=6e-4
    )
    counted, output = predict(detector, (512, 512))
    assert counted == pytest.approx(gmacs, abs=5e-5)
    assert isinstance(detector.head, RetinaNetHead)
    assert len(detector.head.anchors(output)) == anchors
    assert sum(x[0].numel() for x in output["offsets"]) == 4 * anchors


STEM = 49 * 3 * 64 * 256 * 256 / 1e9
"""Of a ResNet at 512 x 512."""


@pytest.mark.parametrize(
    ("switches", "extension", "total", "gmacs"),
    [
        ({}, 8.916, 64.258, 198.44),
        ({"preset": "author"}, 32.513, 87.855, 454.59),
        ({"ftt": "espcn"}, 1.379, 56.722, 124.06),
        ({"ftt": "nearest"}, 0.655, 55.998, 121.09),
    ],
)
def test_efpn_on_faster_rcnn(
    switches: dict[str, Any], extension: float, total: float, gmacs: float
) -> None:
    """The reference passes the stem once more for C2', and a thousand regions by either head."""
    size, classes = SMALL
    detector = build(efpn, "resnet50", size, classes, FROZEN, "faster_rcnn", **switches)
    assert count_parameters(detector)[0] / 1e6 == pytest.approx(total, abs=6e-4)
    own = detector.get_submodule("extension")
    assert count_parameters(own)[0] / 1e6 == pytest.approx(extension, abs=6e-4)
    assert convolutions(detector, size) + STEM == pytest.approx(gmacs, rel=5e-3)


def test_what_efpn_adds_to_faster_rcnn() -> None:
    """C2' and the extension, product by product; the regions part between the heads."""
    size, classes = SMALL
    plain = build(fpn, "resnet50", size, classes, FROZEN, "faster_rcnn")
    detector = build(efpn, "resnet50", size, classes, FROZEN, "faster_rcnn")
    cells, square = 128**2, 9 * 256 * 256
    layer1 = 64 * 64 + 9 * 64 * 64 + 2 * 64 * 256 + 2 * (2 * 64 * 256 + 9 * 64 * 64)
    expected = 4 * cells * (layer1 + 256 * 256 + square)
    expected += cells // 4 * (4 * square + 4 * square) + cells * (2 * square + 4 * square)
    added = convolutions(detector, size) - convolutions(plain, size)
    assert round(added * 1e9) == expected
    twice = build(efpn, "resnet50", size, classes, head="faster_rcnn", duplicate_small=True)
    head = 1000 * (49 * 256 * 1024 + 1024 * 1024 + 1024 * 51)
    assert round((convolutions(twice, size) - convolutions(detector, size)) * 1e9) == head


def test_what_zoominnet_adds_to_the_products() -> None:
    """Layer adaption predicts on four times the cells; a thin head saves four convolutions."""
    size = (512, 512)
    none, adapted, thin, full = (
        predict(build(zoominnet, "resnet50", size, 10, **switches), size)[0]
        for switches in ({"align": "none"}, {"align": "la"}, {"thin": True}, {})
    )
    cells = 64**2 + 32**2 + 16**2 + 8**2 + 4**2
    kernel = 9 * 256
    assert round((adapted - none) * 1e9) == 3 * cells * (90 + 36) * kernel
    assert round((full - thin) * 1e9) == 4 * (4 * cells) * 256 * kernel


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
    detector = build(ssd, "vgg16", (side, side), classes, anchors="paper")
    assert count_parameters(detector)[0] / 1e6 == pytest.approx(total, abs=6e-4)
    output = predict(detector, (side, side))[1]
    assert isinstance(detector.head, SSDHead)
    assert detector.head.anchors(output).shape == (boxes, 4)
    assert sum(x[0].numel() for x in output["offsets"]) == 4 * boxes
    assert sum(x[0].numel() for x in output["logits"]) == (classes + 1) * boxes
