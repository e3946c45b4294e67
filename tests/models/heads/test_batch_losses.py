"""The loss of a batch of either dense head is made of the losses of its images."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sobench.data.targets import Targets
from sobench.models.detector import Head, HeadOutput
from tests.models.heads.dense_heads import (
    anchors_with_gradient,
    retinanet_head,
    retinanet_output,
    ssd_head,
    ssd_output,
)
from tests.models.small_config import targets


@pytest.mark.parametrize("kind", ["retinanet", "ssd"])
def test_the_loss_of_a_batch_is_made_of_its_images(kind: str) -> None:
    """Padding of the image with fewer objects, and of the one without, leaks nothing."""
    head: Any = retinanet_head() if kind == "retinanet" else ssd_head()
    output = retinanet_output(3) if kind == "retinanet" else ssd_output(3)
    generator = torch.Generator().manual_seed(0)
    for maps in output.values():
        for x in maps:
            x.data = torch.randn(x.shape, generator=generator)
    boxes: list[list[tuple[float, ...]]] = [
        [(30.0, 20.0, 60.0, 45.0), (2.0, 3.0, 18.0, 20.0), (70.0, 40.0, 88.0, 56.0)],
        [],
        [(33.0, 17.0, 63.0, 47.0)],
    ]
    labels = [[0, 1, 2], [], [1]]
    together = head.loss(output, targets(boxes, labels))
    sums: dict[str, float] = {"class": 0.0, "box": 0.0}
    positives = 0
    for index in range(3):
        alone = {name: [x[index : index + 1] for x in maps] for name, maps in output.items()}
        truth = targets([boxes[index] or [(0.0,) * 4]], [labels[index] or [-1]])
        count = _matched_anchors(head, alone, truth)
        positives += count
        for name, value in head.loss(alone, truth).items():
            sums[name] += value.item() * max(1, count)
    for name, value in together.items():
        assert value.item() == pytest.approx(sums[name] / positives, rel=1e-5)


def _matched_anchors(head: Head, output: HeadOutput, truth: Targets) -> int:
    """Anchors to whose offsets a gradient flows."""
    offsets = [x.detach().clone().requires_grad_() for x in output["offsets"]]
    head.loss({**output, "offsets": offsets}, truth)["box"].backward()  # type: ignore[no-untyped-call]
    return len(anchors_with_gradient(offsets, tuple(x.shape[1] // 4 for x in offsets)))
