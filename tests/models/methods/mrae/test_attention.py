"""MRAE: the weights of the levels, and their sum by hand."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from sobench.models.methods.mrae.model import (
    AttentionExtractor,
    LevelVector,
    SalientValues,
    TemplateSimilarity,
)
from tests.models.methods.mrae.networks import detector


def similarity(template: int) -> TemplateSimilarity:
    """Maps of one channel; a vector holds the sums of the first, second and other cells."""
    module = TemplateSimilarity((1, 1, 1), template)
    for vector in module.vectors:
        assert isinstance(vector, LevelVector)
        with torch.no_grad():
            vector.reduce.weight.fill_(1.0)
            vector.reduce.bias.zero_()  # type: ignore[union-attr]
            vector.connect.weight.zero_()
            vector.connect.weight[0, 0] = vector.connect.weight[1, 1] = 1.0
    return module


def level(first: float, second: float, side: int) -> Tensor:
    """A map of ``side`` cells whose first two of 16 x 16 areas have these means."""
    x = torch.zeros(1, 1, side, side)
    width = side // 16
    x[..., :width, :width] = first
    x[..., :width, width : 2 * width] = second
    x[0, 0, 0, 0] += 1.0 if width > 1 else 0.0
    x[0, 0, 0, width - 1] -= 1.0 if width > 1 else 0.0
    return x


LEVELS = [level(3, 4, 64), level(4, 3, 32), level(-6, -8, 16)]


@pytest.mark.parametrize(
    ("template", "degrees"),
    [
        # (3, 4) and (4, 3) have a cosine of 24 / 25; (-6, -8) points away from (3, 4).
        (0, (1, 0.96, -1)),
        (1, (0.96, 1, -0.96)),
        (2, (-1, -0.96, 1)),
    ],
)
def test_similarity_by_hand(template: int, degrees: tuple[float, ...]) -> None:
    total = sum(exp(degree) for degree in degrees)
    expected = [exp(degree) / total for degree in degrees]
    assert similarity(template)(LEVELS)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_similarity_in_figures() -> None:
    # e = 2.71828, e^.96 = 2.61170 and 1 / e = .36788 sum up to 5.69786.
    weights = similarity(0)(LEVELS)[0].tolist()
    assert weights == pytest.approx([0.47707, 0.45837, 0.06457], abs=1e-5)


def test_a_map_of_zeros_is_like_nothing_but_itself() -> None:
    features = [torch.zeros(1, 1, 64, 64, requires_grad=True), *LEVELS[1:]]
    weights = similarity(0)(features)
    assert weights[0].tolist() == pytest.approx([exp(1) / (exp(1) + 2), *[1 / (exp(1) + 2)] * 2])
    weights[0, 1].backward()
    assert features[0].grad is not None
    assert features[0].grad.isfinite().all()


VECTORS = arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


@settings(deadline=None, max_examples=100)
@given(VECTORS, st.integers(0, 2))
def test_no_level_is_alone_and_none_is_left_out(vectors: Any, template: int) -> None:
    module = TemplateSimilarity((1, 1, 1), template)
    module.vectors = nn.ModuleList(nn.Identity() for _ in range(3))
    weights = module([torch.from_numpy(v)[None] for v in vectors])[0].tolist()
    assert sum(weights) == pytest.approx(1, abs=1e-6)
    own = weights.pop(template)
    assert 0.33333 <= own <= 0.78699
    assert all(0.06337 <= weight <= 0.46832 for weight in weights)


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        (1, 1, (0.3333, 0.3333, 0.3333)),
        (-1, -1, (0.7870, 0.1065, 0.1065)),
        (1, -1, (0.4683, 0.4683, 0.0634)),
    ],
)
def test_the_bounds_are_reached(second: int, third: int, expected: tuple[float, ...]) -> None:
    module = TemplateSimilarity((1, 1, 1), 0)
    module.vectors = nn.ModuleList(nn.Identity() for _ in range(3))
    vector = torch.tensor([[0.3, -0.2, 7.0]])
    weights = module([vector, second * 5 * vector, third * vector])
    assert weights[0].tolist() == pytest.approx(expected, abs=5e-5)


def test_soft_attention_is_the_softmax_of_maxima() -> None:
    module = SalientValues((1, 2, 1))
    with torch.no_grad():
        for conv, (weight, bias) in zip(
            module.reduce, (([2.0], 0.5), ([1.0, -1.0], 0.0), ([1.0], 0.0)), strict=True
        ):
            conv.weight.copy_(torch.tensor(weight).view(1, -1, 1, 1))  # type: ignore[operator]
            conv.bias.fill_(bias)  # type: ignore[operator]
    features = [
        torch.tensor([[[[0.1, 0.25], [-3, 0]]]]),  # 2 * .25 + .5 = 1
        torch.tensor([[[[5.0, 1]], [[4, 3]]]]),  # 5 - 4 = 1
        torch.tensor([[[[-2.0]]]]),
    ]
    total = 2 * exp(1) + exp(-2)
    expected = [exp(1) / total, exp(1) / total, exp(-2) / total]
    assert module(features)[0].tolist() == pytest.approx(expected)


class FixedAttention(nn.Module):
    """Attention with fixed weights."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self.weights = torch.tensor(rows)

    def forward(self, features: list[Tensor]) -> Tensor:
        assert [x.shape[1] for x in features] == [1, 1, 2]
        return self.weights


def extractor(levels: tuple[int, ...], attention: nn.Module | None) -> AttentionExtractor:
    """One, one and two channels; the first level is lifted by (1, 10), the second by (0, -1)."""
    neck = AttentionExtractor((1, 1, 2), levels, attention, None, "none")
    for lift, number in zip(neck.lifts, levels, strict=True):
        if number < 2:
            value = torch.tensor(((1.0, 10.0), (0.0, -1.0))[number])
            lift.weight.data.copy_(value.view(2, 1, 1, 1))  # type: ignore[operator]
            assert lift.bias.tolist() == [0, 0]  # type: ignore[operator]
    return neck


def maps() -> list[Tensor]:
    """Two images; sides that halve to odd numbers."""
    c2 = torch.tensor([[1.0, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]])[None, None]
    c3 = torch.tensor([[100.0, 200, 300], [400, 500, 600]])[None, None]
    c4 = torch.tensor([[[1000.0, 2000]], [[3000, 4000]]])[None]
    return [torch.cat((x, -x)) for x in (c2, c3, c4)]


def test_weighted_sum_by_hand() -> None:
    neck = extractor((0, 1, 2), FixedAttention([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]))
    (attended,) = neck(maps())
    assert attended.shape == (2, 2, 3, 5)
    # Columns 0, 0, 1, 1, 2 and rows 0, 0, 1 of C3; columns 0, 0, 0, 1, 1 of C4.
    assert attended[0, 0].tolist() == [
        [250.5, 251, 251.5, 502, 502.5],
        [253, 253.5, 254, 504.5, 505],
        [255.5, 256, 256.5, 507, 507.5],
    ]
    assert attended[0, 1, 0].tolist() == [
        5 - 25 + 750, 10 - 25 + 750, 15 - 50 + 750, 20 - 50 + 1000, 25 - 75 + 1000,
    ]  # fmt: skip
    assert attended[1, 1].tolist() == [[-3000, -3000, -3000, -4000, -4000]] * 3


@pytest.mark.parametrize(
    ("chosen", "first_row"),
    [(0, [10, 20, 30, 40, 50]), (1, [-100, -100, -200, -200, -300]), (2, [3000] * 3 + [4000] * 2)],
)
def test_hard_attention_is_one_level_at_the_same_size(chosen: int, first_row: list[int]) -> None:
    neck = extractor((chosen,), None)
    (attended,) = neck(maps()[: chosen + 1])
    assert attended.shape == (2, 2, 3, 5)
    assert attended[0, 1, 0].tolist() == first_row
    assert len(list(neck.parameters())) == (0 if chosen == 2 else 2)


@pytest.mark.parametrize("mode", ["mrae", "soft"])
def test_the_images_of_a_batch_do_not_meet(mode: str) -> None:
    neck = detector(mode=mode).neck
    features = [torch.randn(3, c, s, s) for c, s in ((64, 16), (128, 8), (256, 4))]
    with torch.no_grad():
        (together,) = neck(features)
        for index in range(3):
            (alone,) = neck([x[index : index + 1] for x in features])
            assert torch.allclose(together[index], alone[0], atol=1e-5)
        assert neck.attention is not None
        weights = neck.attention(features)  # type: ignore[operator]
    assert weights.shape == (3, 3)
    assert torch.allclose(weights.sum(dim=1), torch.ones(3))
    assert (weights[0] != weights[1]).any()


def test_reduced_precision_stays_reduced() -> None:
    """Weights in float32 would make the largest maps of the network twice as large."""
    neck = detector().neck
    features = [torch.randn(1, c, s, s) for c, s in ((64, 16), (128, 8), (256, 4))]
    with torch.autocast("cpu", torch.bfloat16):
        features = [x.bfloat16() for x in features]
        assert neck.attention(features).dtype == torch.float32  # type: ignore[operator]
        assert neck(features)[0].dtype == torch.bfloat16
