"""The SSD head: losses and detections of planted predictions, and its default boxes."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from sobench.models.detector import Detector
from sobench.models.heads.ssd import SSDHead
from sobench.models.methods.ssd import model as ssd
from sobench.models.parts.backbone import build_backbone
from sobench.suite.network import Backbone
from tests.models.heads.dense_heads import (
    anchors_with_gradient,
    set_values,
    ssd_head,
    ssd_output,
)
from tests.models.small_config import CLASSES, make_config, targets


def test_ssd_gives_a_perfect_prediction_no_loss() -> None:
    head, output = ssd_head(), ssd_output()
    # Level 0, row 1, column 2: centre (80, 48); default box 0 is the square of 16.
    truth = targets([[(72.0, 40.0, 88.0, 56.0)]], [[1]])
    missed = head.loss(output, truth)
    assert missed["class"] > 10
    to_square = [((0, a * 4 + k, 1, 2), v) for a in (2, 3) for k, v in _to_square(a)]
    set_values(output, "offsets", 0, to_square)
    for anchor in (0, 2, 3):  # IoU 1, .55 and .55
        set_values(output, "logits", 0, [((0, anchor * (CLASSES + 1) + 2, 1, 2), 30.0)])
    loss = head.loss(output, truth)
    assert loss["class"].item() < 1e-4
    assert loss["box"].item() < 1e-10


def _to_square(anchor: int) -> list[tuple[int, float]]:
    """Offsets from the default boxes of ratio 2 and 1/2 to the square of their area."""
    growth = log(sqrt(2)) / 0.2
    return [(2, -growth), (3, growth)] if anchor == 2 else [(2, growth), (3, -growth)]


def test_ssd_trains_offsets_of_positives_and_mines_three_negatives_for_each() -> None:
    head, output = ssd_head(), ssd_output(background=0.0)
    truth = targets([[(73.0, 41.0, 87.0, 55.0)]], [[1]])
    torch.stack([*head.loss(output, truth).values()]).sum().backward()  # type: ignore[no-untyped-call]
    positive = {(0, 0, anchor, 1, 2) for anchor in (0, 2, 3)}
    assert anchors_with_gradient(output["offsets"], (4, 6)) == positive
    trained = anchors_with_gradient(output["logits"], (4, 6))
    assert positive < trained
    assert len(trained) == 3 + 3 * 3


def test_ssd_detects_planted_boxes() -> None:
    head, output = ssd_head(), ssd_output(batch=2)
    width = CLASSES + 1
    # Image 0, level 0, row 0, column 1: centre (48, 16); default box 1 is the square of
    # sqrt(16 * 40), moved right by a tenth of itself.
    set_values(output, "logits", 0, [((0, 1 * width + 3, 0, 1), 16.0)])
    set_values(output, "offsets", 0, [((0, 1 * 4, 0, 1), 1.0)])
    # Image 1, level 1, column 1: centre (96, 32); default box 5 has ratio 1/3 of size 40.
    set_values(output, "logits", 1, [((1, 5 * width + 1, 0, 1), 18.0)])
    detections = head.detect(output)
    assert detections.labels.tolist() == [[2], [0]]
    side = sqrt(16 * 40)
    left, right = 48 + 0.1 * side - side / 2, 48 + 0.1 * side + side / 2
    assert detections.boxes[0, 0].tolist() == pytest.approx(
        [left, 16 - side / 2, right, 16 + side / 2]
    )
    box_width, box_height = 40 / sqrt(3), 40 * sqrt(3)
    assert box_height > 64  # so it is clipped above and below
    clipped = [96 - box_width / 2, 0, 96, 64]
    assert detections.boxes[1, 0].tolist() == pytest.approx(clipped)
    others = 14 + log(1 + 2 * torch.tensor(-14.0).exp().item())
    assert detections.scores[0, 0].item() == pytest.approx(
        torch.tensor([16.0 - others]).sigmoid().item(), rel=1e-4
    )


def detector(size: tuple[int, int], backbone: str = "resnet18", boxes: str = "coco") -> Detector:
    """SSD on the meta device."""
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "train"}
    settings = Backbone.model_construct(**content, freeze=())
    with torch.device("meta"):
        return ssd.build(
            build_backbone(settings), make_config(size=size), {"anchors": "paper", "boxes": boxes}
        )


def tiled(detector: Detector, size: tuple[int, int]) -> Tensor:
    """``[A, 4]`` default boxes of an input."""
    head = detector.head
    assert isinstance(head, SSDHead)
    maps = head(detector.pyramid(torch.zeros(1, 3, *size, device="meta")))["logits"]
    return head.anchors({"logits": [torch.zeros(1, 1, *x.shape[-2:]) for x in maps]})


def sizes(boxes: Tensor) -> list[tuple[float, float]]:
    """(width, height) of ``[N, 4]`` boxes, rounded."""
    return [(round(w, 2), round(h, 2)) for w, h in (boxes[:, 2:] - boxes[:, :2]).tolist()]


def test_first_cells_of_ssd300() -> None:
    boxes = tiled(detector((300, 300), "vgg16"), (300, 300))
    # 21 px: a square, one of sqrt(21 * 45), and ratios 2 and 1/2; centred half a step of 8 in.
    assert sizes(boxes[:4]) == [(21, 21), (30.74, 30.74), (29.7, 14.85), (14.85, 29.7)]
    assert boxes[0].tolist() == [-6.5, -6.5, 14.5, 14.5]
    assert ((boxes[4, :2] + boxes[4, 2:]) / 2).tolist() == [12, 4]
    assert ((boxes[4 * 38, :2] + boxes[4 * 38, 2:]) / 2).tolist() == [4, 12]
    second = 4 * 38 * 38
    assert sizes(boxes[second : second + 6]) == [
        (45, 45),
        (66.75, 66.75),
        (63.64, 31.82),
        (31.82, 63.64),
        (77.94, 25.98),
        (25.98, 77.94),
    ]
    assert boxes[second].tolist() == [-14.5, -14.5, 30.5, 30.5]
    # The last cell is the whole image: 261, widened to 315.
    assert sizes(boxes[-4:])[:2] == [(261, 261), (286.73, 286.73)]
    assert ((boxes[-1, :2] + boxes[-1, 2:]) / 2).tolist() == [150, 150]


def test_voc_boxes_are_larger() -> None:
    boxes = tiled(detector((300, 300), "vgg16", "voc"), (300, 300))
    assert sizes(boxes[:2]) == [(30, 30), (42.43, 42.43)]


@pytest.mark.parametrize(
    "size", [(128, 128), (256, 256), (320, 320), (512, 512), (160, 320), (300, 200), (33, 600)]
)
def test_uniform_ssd_has_a_default_box_for_every_prediction(size: tuple[int, int]) -> None:
    network = detector(size)
    head = network.head
    assert isinstance(head, SSDHead)
    output = network.predict(torch.zeros(1, 3, *size, device="meta"))
    boxes = tiled(network, size)
    assert len(boxes) == sum(x[0].numel() // 4 for x in output["offsets"])
    assert output["offsets"][-1].shape[-2:] == (1, 1)
    start = 0
    for level, (offsets, logits) in enumerate(zip(*output.values(), strict=True)):
        height, width = offsets.shape[-2:]
        count = offsets.shape[1] // 4
        assert logits.shape[1] == count * (CLASSES + 1)
        level_boxes = boxes[start : start + height * width * count]
        centres = (level_boxes[:, :2] + level_boxes[:, 2:]) / 2
        centres = centres.reshape(height, width, count, 2)
        stride = 8 * 2**level
        assert torch.allclose(centres[0, 0], torch.full((count, 2), stride / 2.0), atol=1e-3)
        last = torch.tensor([(width - 0.5) * stride, (height - 0.5) * stride])
        assert torch.allclose(centres[-1, -1], last.expand(count, 2), atol=1e-3)
        start += len(level_boxes)


def test_uniform_sizes_follow_the_papers_rule() -> None:
    boxes = tiled(detector((256, 256)), (256, 256))
    # .07, then .15 to .9 in even steps over the remaining levels, and one more step for the last.
    assert sizes(boxes[:1]) == [(17.92, 17.92)]
    assert sizes(boxes[-4:])[0] == (230.4, 230.4)
