"""The balanced pyramid of Libra R-CNN on tiny maps whose results were worked out by hand."""

from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor

from sobench.models.methods.libra.model import BalancedPyramid, NonLocal
from sobench.models.parts.pyramid import FeaturePyramid
from tests.models.methods.tiny_maps import (
    ONE_CHANNEL,
    RETINANET,
    FourMaps,
    centre,
    row,
    sigmoid,
)


def balanced(refine: str = "none", mean_level: int = 1, zero_init: bool = False) -> BalancedPyramid:
    pyramid = FeaturePyramid(FourMaps(), ONE_CHANNEL, RETINANET)  # type: ignore[arg-type]
    return BalancedPyramid(pyramid, ONE_CHANNEL, refine, zero_init, mean_level)


def test_levels_meet_and_part_by_hand() -> None:
    levels = [row(1, 5, 2, 6), row(10, 20), row(100)]
    balanced_rows = [x.flatten().tolist() for x in balanced().balanced(levels)]
    # At the size of the second: greatest of 1, 5 and of 2, 6; itself; 100 twice.
    left, right = (5 + 10 + 100) / 3, (6 + 20 + 100) / 3
    assert balanced_rows[0] == pytest.approx([1 + left, 5 + left, 2 + right, 6 + right])
    assert balanced_rows[1] == pytest.approx([10 + left, 20 + right])
    assert balanced_rows[2] == pytest.approx([100 + right])


def test_a_convolution_refines_behind_its_relu() -> None:
    neck = balanced("conv")
    centre(neck.refine[0], -1.0)  # type: ignore[index]
    levels = [row(1, 5, 2, 6), row(10, -200), row(100)]
    balanced_rows = [x.flatten().tolist() for x in neck.balanced(levels)]
    assert balanced_rows[1] == pytest.approx([10, -200 + (-1) * (6 - 200 + 100) / 3])


def test_non_local_attention_by_hand() -> None:
    block = NonLocal(1)
    for conv, weight in ((block.theta, 1.0), (block.phi, 2.0), (block.g, 3.0), (block.output, 5.0)):
        centre(conv, weight)
    a, b = 0.5, -1.0
    refined = block(row(a, b)).flatten().tolist()
    # exp(theta(x_i) phi(x_j)) over its sum over j, times g(x_j).
    expected = []
    for x in (a, b):
        to_a, to_b = exp(x * 2 * a), exp(x * 2 * b)
        expected.append(x + 5 * (to_a * 3 * a + to_b * 3 * b) / (to_a + to_b))
    assert refined == pytest.approx(expected, rel=1e-5)


def test_zero_init_starts_as_the_identity() -> None:
    x = torch.randn(1, 1, 3, 4)
    assert torch.equal(balanced("non_local", zero_init=True).refine(x), x)
    torch.manual_seed(0)
    assert not torch.equal(balanced("non_local").refine(x), x)


def test_attention_of_the_balanced_pyramid_keeps_its_precision_under_bfloat16() -> None:
    """Two products of about 100 that bfloat16 cannot tell apart decide between two cells."""
    block = NonLocal(1)
    for conv, weight in ((block.theta, 1.0), (block.phi, 1.0), (block.g, 1.0), (block.output, 1.0)):
        centre(conv, weight)
    x = row(10.0, 10.0625)  # both are bfloat16 numbers
    plain = block(x) - x
    with torch.autocast("cpu", torch.bfloat16):
        residual = block(x) - x
    assert plain.flatten().tolist() == pytest.approx([10.0407, 10.0407], abs=1e-3)
    weights = block_weights(block, x)
    assert weights[0, 0, 1].item() == pytest.approx(sigmoid(10 * 0.0625), abs=1e-3)
    assert residual.flatten().tolist() == pytest.approx([10.0407, 10.0407], abs=0.07)


def block_weights(block: NonLocal, x: Tensor) -> Tensor:
    """What the softmax of a block gives under bfloat16."""
    seen: list[Tensor] = []
    original = Tensor.softmax

    def watched(self: Tensor, dim: int) -> Tensor:
        seen.append(original(self, dim))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(Tensor, "softmax", watched)
        block(x)
    return seen[0].float()
