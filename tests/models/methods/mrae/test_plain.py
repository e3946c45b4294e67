"""MRAE's baselines: a single map of the backbone at its own stride."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sobench.errors import SuiteError
from sobench.models.methods.mrae.model import PlainLevel
from sobench.suite.plan import plan
from tests.models.methods.mrae.networks import detector
from tests.tiny_suite import tiny_suite


@pytest.mark.parametrize(("level", "stride", "channels"), [(1, 4, 64), (2, 8, 128), (3, 16, 256)])
@pytest.mark.parametrize("box_head", ["fc", "res5"])
def test_a_plain_level_is_the_backbones_map(
    level: int, stride: int, channels: int, box_head: str
) -> None:
    network: Any = detector(
        head="faster_rcnn", mode="hard", level=level, plain=True, box_head=box_head
    )
    images = torch.rand(1, 3, 64, 96) * 255
    network.eval()
    features = network.backbone((images - network.mean) / network.std)
    assert len(features) == level
    (attended,) = network.pyramid(images)
    # Of a ResNet-18 res5 reads 256 channels, and the suite's pyramid has 16.
    expected = 256 if box_head == "res5" else 16
    assert attended.shape == (1, expected, 64 // stride, 96 // stride)
    assert isinstance(network.neck, PlainLevel)
    if (channels, box_head) == (256, "res5"):
        assert isinstance(network.neck.output, nn.Identity)
        assert torch.equal(attended, features[-1])
    else:
        assert network.neck.output.weight.shape == (expected, channels, 1, 1)
    assert network.head.strides == (stride,)
    output = network.head([attended])
    anchors = network.head.anchors(output).view(-1, network.head.anchor_spec.num_anchors, 4)
    assert len(anchors) == (64 // stride) * (96 // stride)
    step = anchors[1] - anchors[0]
    assert torch.allclose(step, torch.tensor([stride, 0.0, stride, 0.0]).expand_as(step), atol=1e-4)


def test_a_level_that_is_not_plain_lies_at_stride_4() -> None:
    network: Any = detector(mode="hard", level=3)
    assert network.pyramid(torch.zeros(1, 3, 64, 96))[0].shape[-2:] == (16, 24)
    assert network.head.strides == (4,)


def deviations(**switches: Any) -> tuple[str, ...]:
    return plan(tiny_suite(methods=[{"name": "mrae"} | switches]))[0].deviations


def test_rows_say_at_which_stride_they_detect() -> None:
    four = "one map of stride 4 instead of a pyramid"
    assert four in deviations()
    assert four in deviations(mode="hard", level=3)
    assert four in deviations(mode="hard", plain=True)
    assert "one map of stride 16 instead of a pyramid" in deviations(
        mode="hard", level=3, plain=True
    )
    enlarged = "the level has the size and channels of MRAE's sum; the paper's baselines are plain"
    assert enlarged in deviations(mode="hard")
    assert enlarged not in (*deviations(), *deviations(mode="hard", level=2, plain=True))


def test_only_a_single_level_can_be_plain() -> None:
    with pytest.raises(SuiteError, match="plain has no effect with mode: soft"):
        deviations(mode="soft", plain=True)
