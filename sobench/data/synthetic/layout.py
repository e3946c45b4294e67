"""The layout of a drawn scene: roads, the ground, objects, and the shapes that cover them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sobench.data.dataset import FloatArray, Size, as_boxes
from sobench.data.synthetic.sprites import PlacedShape, coverage, place_shape, shift, windows

CLASSES = ("car", "truck", "pedestrian", "bicycle", "tent")
SIZES = (6.0, 24.0)
"""Smallest and largest square root of a box's area, pixels."""
FLAT = ("slab", "kerb", "pond")
"""Shapes that lie on the ground and throw no shadow."""

_ATTEMPTS = 40
"""Places that are tried for an object before it is given up."""
_VEHICLES = ("car", "truck")
_UPRIGHT = ("pedestrian", "bicycle")
_SIZE_SHARES = (0.0, 0.12, 0.30, 0.50, 0.75, 0.92, 1.0)
_SIZE_QUANTILES = (6.0, 7.6, 9.6, 12.0, 15.5, 19.5, 24.0)
_SIZE_FACTORS = (1.0, 1.25, 0.85, 1.0, 1.05)
_CLUTTER = (*FLAT, "slab", "kerb", "stone", "bench", "crate", "crate", "crown")


@dataclass(frozen=True)
class Strip:
    """A road, or the area of a crowd: a turned rectangle around ``x, y``.

    ``angle`` is in radians; ``along`` and ``across`` are its half sides in pixels.
    """

    x: float
    y: float
    angle: float
    along: float
    across: float

    def axis(self) -> tuple[float, float]:
        """Cosine and sine of the angle, rounded so that they are the same on every machine."""
        return round(math.cos(self.angle), 6), round(math.sin(self.angle), 6)


@dataclass(frozen=True)
class Scene:
    """The shapes of a scene, from the bottom up: each covers the ones before it."""

    roads: tuple[Strip, ...]
    ground: tuple[PlacedShape, ...]
    objects: tuple[PlacedShape, ...]
    above: tuple[PlacedShape, ...]


def draw_scene(rng: np.random.Generator, size: Size, num_objects: tuple[int, int]) -> Scene:
    """A layout for an image of ``size`` (height, width) pixels.

    Args:
        rng: gives every draw of the scene, in a fixed order.
        size: height and width in pixels.
        num_objects: the fewest and the most objects; a full scene takes fewer.
    """
    height, width = size
    roads = tuple(_road(rng, size) for _ in range(int(rng.integers(1, 3))))
    count = int(rng.integers(num_objects[0], num_objects[1] + 1))
    objects = _objects(rng, count, roads, size)
    clutter_count = 2 + int(rng.integers(4, 9)) * height * width // 16384
    ground = tuple(_clutter(rng, size) for _ in range(clutter_count))
    above = tuple(_cover(rng, objects, size) for _ in range(1 + count // 8))
    return Scene(roads, ground, objects, above)


def _road(rng: np.random.Generator, size: Size) -> Strip:
    height, width = size
    x, y = width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.8)
    return Strip(x, y, rng.uniform(0, math.pi), 0.8 * max(height, width), rng.uniform(11, 19))


def _clutter(rng: np.random.Generator, size: Size) -> PlacedShape:
    """A shape on the ground that is not an object; it may reach out of the image."""
    height, width = size
    kind = _CLUTTER[int(rng.integers(len(_CLUTTER)))]
    side = rng.uniform(12, 32) if kind in FLAT else rng.uniform(5, 15)
    x, y = width * rng.random(), height * rng.random()
    return place_shape(kind, x, y, side, rng.uniform(0, 2 * math.pi))


def _cover(rng: np.random.Generator, objects: tuple[PlacedShape, ...], size: Size) -> PlacedShape:
    """A tree or a pole above the ground, often over the edge of an object."""
    height, width = size
    kind = "crown" if rng.random() < 0.6 else "pole"
    x, y = width * rng.random(), height * rng.random()
    if objects and rng.random() < 0.7:
        near = objects[int(rng.integers(len(objects)))]
        x, y = near.x + rng.uniform(-9, 9), near.y + rng.uniform(-9, 9)
    return place_shape(kind, x, y, rng.uniform(9, 19), rng.uniform(0, 2 * math.pi))


def _objects(
    rng: np.random.Generator, count: int, roads: tuple[Strip, ...], size: Size
) -> tuple[PlacedShape, ...]:
    """Up to ``count`` objects inside the image, each class where it gathers in this scene."""
    strips = [_strips(rng, kind, 1 + count // 40, roads, size) for kind in CLASSES]
    shares = np.cumsum(0.4 + rng.random(len(CLASSES)))
    altitude = rng.uniform(0.85, 1.15)
    placed: list[PlacedShape] = []
    occupied = np.empty((count, 4))
    for _ in range(count):
        label = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
        side = float(np.interp(rng.random(), _SIZE_SHARES, _SIZE_QUANTILES))
        side = min(max(side * altitude * _SIZE_FACTORS[label], SIZES[0]), SIZES[1])
        strip = strips[label][int(rng.integers(len(strips[label])))]
        shape = place_shape(CLASSES[label], 0.0, 0.0, side, _heading(rng, CLASSES[label], strip))
        place = _free_place(rng, shape, strip, occupied[: len(placed)], size)
        if place is not None:
            occupied[len(placed)] = np.tile(place, 2) + shape.bounds
            placed.append(shift(shape, *place))
    return tuple(placed)


def _strips(
    rng: np.random.Generator, kind: str, count: int, roads: tuple[Strip, ...], size: Size
) -> tuple[Strip, ...]:
    """Where a class gathers: vehicles on the roads, the others in ``count`` crowds."""
    if kind in _VEHICLES:
        return roads
    height, width = size
    reach = math.sqrt(height * width) * rng.uniform(0.15, 0.3)
    centres = rng.random((count, 2)) * (width, height)
    return tuple(Strip(float(x), float(y), 0.0, reach, reach) for x, y in centres)


def _heading(rng: np.random.Generator, kind: str, strip: Strip) -> float:
    """Vehicles drive along their road, now and then across; people and bicycles stay upright."""
    if kind in _UPRIGHT:
        return rng.uniform(-0.2, 0.2)
    if kind in _VEHICLES and rng.random() < 0.8:
        return strip.angle + rng.uniform(-0.08, 0.08) + math.pi * int(rng.integers(2))
    return rng.uniform(0, 2 * math.pi)


def _free_place(
    rng: np.random.Generator, shape: PlacedShape, strip: Strip, occupied: FloatArray, size: Size
) -> tuple[float, float] | None:
    """A place inside the image where the shape covers little (now and then, much) of others."""
    height, width = size
    limit = 0.75 if rng.random() < 0.12 else 0.12
    cos, sin = strip.axis()
    x1, y1, x2, y2 = shape.bounds
    for attempt in range(_ATTEMPTS):
        along, across = rng.uniform(-1, 1) * strip.along, rng.uniform(-0.75, 0.75) * strip.across
        x, y = strip.x + along * cos - across * sin, strip.y + along * sin + across * cos
        # A crowded strip lets objects stray, and a few stray anyway.
        if attempt > _ATTEMPTS // 2 or rng.random() < 0.1:
            x, y = width * rng.random(), height * rng.random()
        if x + x1 < 0 or y + y1 < 0 or x + x2 > width or y + y2 > height:
            continue
        box = np.array([(x + x1, y + y1, x + x2, y + y2)])
        if not (_shared_areas(box, occupied) > limit).any():
            return x, y
    return None


def _shared_areas(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """``[N, M]`` the area that two boxes share, relative to the smaller one."""
    ax1, ay1, ax2, ay2 = boxes.T[:, :, None]
    bx1, by1, bx2, by2 = others.T
    width = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    height = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    smaller = np.minimum((ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1))
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0) / smaller)


def visible_shares(scene: Scene, size: Size) -> list[float]:
    """The share 0..1 of each object that nothing above it covers."""
    shapes = (*scene.objects, *scene.above)
    bounds = as_boxes([shape.bounds for shape in shapes])
    alone = (_shared_areas(bounds, bounds) > 0).sum(axis=1) == 1
    # From the top down, each shape takes away the light of the ones below it.
    uncovered = np.ones(size)
    shares = [1.0] * len(shapes)
    for index in np.flatnonzero(~alone)[::-1]:
        left, top, cover = coverage(shapes[index])
        image, patch = windows(left, top, cover.shape, uncovered.shape)
        shares[index] = float((cover[patch] * uncovered[image]).sum() / cover.sum())
        uncovered[image] *= 1 - cover[patch]
    return shares[: len(scene.objects)]
