"""What every head would suppress: its candidates, of which its detections are the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sobench.models.build import build_detector
from sobench.models.parts.nms import nms
from tests.tiny_suite import tiny_suite

STUDENT = {"name": "zoominnet", "distill": False}
ROWS: list[tuple[str, Any]] = [
    *(("retinanet", row) for row in ("fpn", "refinedet", "ssd", "mrae", "efpn", STUDENT)),
    *(("faster_rcnn", row) for row in ("fpn", "mrae", "efpn")),
]


@pytest.mark.parametrize(("head", "row"), ROWS)
def test_detections_are_the_candidates_after_suppression(head: str, row: Any) -> None:
    suite = tiny_suite(methods=[row], head=head, detect={"score_threshold": 0, "top_k": 70})
    detector = build_detector(suite, suite.methods[0], num_classes=2, seed=0).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        levels, plain = detector.candidates(images), detector(images)
        detections = nms(levels, (64, 64), suite.detect)
    assert all(boxes.shape == (2, scores.shape[1], 4) for boxes, scores, _ in levels)
    assert all(0 < scores.shape[1] <= 70 for _, scores, _ in levels)
    assert all(scores.shape == labels.shape for _, scores, labels in levels)
    for one, other in zip(vars(detections).values(), vars(plain).values(), strict=True):
        assert one.numel() > 0
        assert torch.equal(one, other)
