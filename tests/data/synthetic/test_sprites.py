"""Shapes fill their bounds, sprites match their coverage, and covered objects are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from sobench.data.synthetic.layout import Scene, visible_shares
from sobench.data.synthetic.shapes import SHAPES, TONES
from sobench.data.synthetic.sprites import SUB, coverage, inks, place_shape, sprite, stamp


def test_visible_share_of_stacked_objects() -> None:
    below, beside = (place_shape("crate", x, 30, 12, 0) for x in (20, 60))
    above = place_shape("crate", 20, 30, 14, 0)
    scene = Scene((), (), (below, beside), (above,))
    assert visible_shares(scene, (64, 96)) == [0.0, 1.0]
    left, _, right, _ = below.bounds
    half = place_shape("crate", 20 + (right - left) / 2, 30, 12, 0)
    scene = Scene((), (), (below, half), ())
    half_hidden, uncovered = visible_shares(scene, (64, 96))
    assert half_hidden == pytest.approx(0.5, abs=0.06)
    assert uncovered == 1.0


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.15, 0.8, 2.5, 4.0])
@pytest.mark.parametrize("size", [6.0, 11.3, 24.0])
def test_bounds_are_tight(kind: str, angle: float, size: float) -> None:
    shape = place_shape(kind, 40.3, 35.8, size, angle)
    x1, y1, x2, y2 = shape.bounds
    assert (x2 - x1) * (y2 - y1) == pytest.approx(size * size)
    left, top, ink = inks(shape)
    rows, columns = np.nonzero(ink)
    drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    origin = np.array([left, top, left, top])
    np.testing.assert_allclose(origin + np.array(drawn) / SUB, shape.bounds, atol=0.5)


def test_a_sprite_is_its_coverage_in_colour() -> None:
    shape = place_shape("bicycle", 20, 20, 15, 0.1)
    drawn = sprite(shape, np.random.default_rng(0))
    left, top, cover = coverage(shape)
    assert (drawn.left, drawn.top) == (left, top)
    np.testing.assert_allclose(drawn.alpha, cover)
    assert drawn.paint.shape == (*cover.shape, 3)
    assert (drawn.paint <= 255 * cover[..., None] + 1e-9).all()


def test_every_shape_has_a_tone_for_each_ink() -> None:
    assert SHAPES.keys() == TONES.keys()
    for kind, strokes in SHAPES.items():
        assert {stroke.ink for stroke in strokes} - {0} <= set(range(1, len(TONES[kind]) + 1))


@pytest.mark.parametrize("place", [(-30, 5), (5, 200), (-3, -2), (94, 62)])
def test_stamps_are_cut_at_the_border(place: tuple[int, int]) -> None:
    picture = np.full((64, 96, 3), 100, np.float32)
    shape = place_shape("crate", *place, 14, 0.4)
    stamp(picture, sprite(shape, np.random.default_rng(0)), 0.5, 2, -1)
    inside = -10 < place[0] < 106 and -10 < place[1] < 74
    assert bool((picture != 100).any()) is inside
