"""Anchors from boxes: groups that anyone would see are found, whatever the order of the boxes."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sobench.data.dataset import FloatArray
from sobench.models.parts.clusters import cluster_anchors, kmeans


def boxes(*rows: tuple[int, float, float]) -> FloatArray:
    """From (how many, side, ratio)."""
    return np.concatenate(
        [np.tile((side / ratio**0.5, side * ratio**0.5), (count, 1)) for count, side, ratio in rows]
    )


GROUPS = boxes((5000, 4, 1), (3, 9, 0.25), (40, 20, 4), (1, 100, 1), (7, 20, 0.25))


def test_clear_groups_are_found_however_few_are_in_one() -> None:
    sides, ratios = cluster_anchors(GROUPS)
    assert sides == pytest.approx((4, 9, 20, 100))
    assert ratios == pytest.approx((0.25, 1, 4))


def test_a_cluster_is_the_geometric_mean_of_its_boxes() -> None:
    sizes = boxes((1, 5, 1), (3, 5.2, 1), (1, 20, 1), (1, 80, 1), (1, 82, 1), (1, 300, 1))
    sides, _ = cluster_anchors(sizes)
    assert sides == pytest.approx(((5 * 5.2**3) ** 0.25, 20, (80 * 82) ** 0.5, 300))


def test_ratios_are_height_over_width() -> None:
    assert cluster_anchors(np.array([[10.0, 20.0]]))[1] == pytest.approx((1, 2, 4))


def test_order_makes_no_difference_to_the_last_bit() -> None:
    random = np.random.default_rng(3)
    sizes = random.lognormal(3, 1, (3000, 2))
    first = cluster_anchors(sizes)
    assert cluster_anchors(sizes) == first
    for _ in range(3):
        assert cluster_anchors(random.permutation(sizes)) == first


@pytest.mark.parametrize("seed", range(4))
def test_the_split_is_the_best_of_all(seed: int) -> None:
    values = np.sort(np.random.default_rng(seed).normal(size=18)) + 1e6  # far off, nothing cancels
    splits = [np.split(values, cut) for cut in combinations(range(1, 18), 3)]
    errors = [sum(((part - part.mean()) ** 2).sum() for part in split) for split in splits]
    best = [part.mean() for part in splits[int(np.argmin(errors))]]
    assert kmeans(values, 4) == pytest.approx(best, abs=1e-9)


def test_boxes_without_area_are_left_out() -> None:
    empty = np.array([[0, 5.0], [3, 0], [0, 0], [-2, 4], [np.nan, 3], [np.inf, 3]])
    assert cluster_anchors(np.concatenate((empty, GROUPS))) == cluster_anchors(GROUPS)
    for none in (empty, np.empty((0, 2))):
        with pytest.raises(ValueError, match=f"none of the {len(none)} boxes has an area"):
            cluster_anchors(none)


def test_what_the_boxes_do_not_tell_apart_is_made_up_around_them() -> None:
    sides, ratios = cluster_anchors(boxes((9, 16, 1)))
    assert sides == pytest.approx((8, 16, 32, 64))
    assert ratios == pytest.approx((0.5, 1, 2))
    sides, ratios = cluster_anchors(boxes((2, 16, 1), (1, 24, 3)))
    assert sides == pytest.approx((8, 16, 24, 48))
    assert ratios == pytest.approx((0.5, 1, 3))
    # Rounding must not make two clusters of one.
    almost = boxes((5, 16, 1), (5, 16 * (1 + 1e-12), 1 - 1e-12), (1, 16.01, 1.001))
    assert cluster_anchors(almost)[1] == pytest.approx((0.5, 1, 2), rel=0.01)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(1e-3, 1e5)))
def test_there_are_always_as_many_as_asked_for(sizes: FloatArray) -> None:
    for means, count in zip(cluster_anchors(sizes), (4, 3), strict=True):
        assert len(means) == count
        assert means[0] > 0
        assert all(low * 1.009 < high for low, high in pairwise(means))
