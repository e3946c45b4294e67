"""Drawn scenes: many tiny vehicles, people and tents from above. They need no download.

A scene is a function of the suite's seed, size and number of objects, of the split and the index
alone: the first images of a split do not depend on how many are asked for, and a picture does not
depend on the ones read before it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import (
    AnnotatedImage,
    Dataset,
    FloatArray,
    ImageArray,
    as_boxes,
    as_labels,
)
from sobench.data.synthetic.shapes import Thing, coverage, moved, place, sprite, stamp, windows
from sobench.suite.datasets import SyntheticData

VERSION = 1
"""Counts the changes that alter a picture or a box."""

CLASSES = ("car", "truck", "pedestrian", "bicycle", "tent")
SIZES = (6.0, 24.0)
"""Smallest and largest square root of a box's area, pixels."""
VISIBLE = 0.5
"""An object that shows less of itself than this becomes an ignore region of its class."""

Split = Literal["train", "val"]
Canvas = NDArray[np.float32]

_TRIES = 40
_VEHICLES = ("car", "truck")
_UPRIGHT = ("pedestrian", "bicycle")
_SIZE_SHARES = (0.0, 0.12, 0.30, 0.50, 0.75, 0.92, 1.0)
_SIZE_QUANTILES = (6.0, 7.6, 9.6, 12.0, 15.5, 19.5, 24.0)
_SIZE_FACTORS = (1.0, 1.25, 0.85, 1.0, 1.05)
_FLAT = ("slab", "kerb", "pond")
_CLUTTER = (*_FLAT, "slab", "kerb", "stone", "bench", "crate", "crate", "crown")
_GROUNDS = ((88, 118, 70), (124, 132, 84), (188, 170, 134), (136, 116, 92), (150, 149, 144))
"""Grass, dry grass, sand, soil, concrete; red, green, blue."""


@dataclass(frozen=True)
class Strip:
    """A road, or the place of a crowd: a turned rectangle around ``x, y``.

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
    """A layout; each of its things covers the ones before it."""

    roads: tuple[Strip, ...]
    ground: tuple[Thing, ...]
    objects: tuple[Thing, ...]
    above: tuple[Thing, ...]


def read(spec: SyntheticData, split: Split) -> Dataset:
    """The layouts of a split, annotated; ``read_image`` paints them when asked."""
    count = spec.train if split == "train" else spec.val
    images = tuple(_annotate(spec, split, index) for index in range(count))
    hidden = sum(len(image.ignore) for image in images)
    return Dataset(
        title=f"synthetic {split}",
        classes=CLASSES,
        category_ids=tuple(range(1, len(CLASSES) + 1)),
        images=images,
        read_image=partial(_paint, spec, split),
        notes=Counter({"objects mostly hidden, now ignore regions": hidden}),
    )


def fingerprint(spec: SyntheticData) -> str:
    """12 hex digits that change with the spec and with ``VERSION``; nothing is drawn."""
    told = json.dumps([VERSION, spec.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _annotate(spec: SyntheticData, split: Split, index: int) -> AnnotatedImage:
    height, width = spec.size
    scene = _scene(spec, split, index)
    seen = np.array(_visible(scene, height, width)) >= VISIBLE
    labels = as_labels([CLASSES.index(thing.kind) for thing in scene.objects])
    bounds = as_boxes([thing.bounds for thing in scene.objects])
    boxes = bounds[seen]
    return AnnotatedImage(
        id=index + 1,
        name=f"synthetic/{split}/{index:05d}",
        width=width,
        height=height,
        boxes=boxes,
        labels=labels[seen],
        areas=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        ignore=bounds[~seen],
        ignore_labels=labels[~seen],
    )


def _generator(spec: SyntheticData, split: Split, index: int, stage: int) -> np.random.Generator:
    key = (("train", "val").index(split), index, stage)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(spec.seed, spawn_key=key)))


def _scene(spec: SyntheticData, split: Split, index: int) -> Scene:
    rng = _generator(spec, split, index, 0)
    height, width = spec.size
    roads = tuple(_road(rng, height, width) for _ in range(int(rng.integers(1, 3))))
    count = int(rng.integers(spec.objects[0], spec.objects[1] + 1))
    objects = _objects(rng, count, roads, height, width)
    litter = 2 + int(rng.integers(4, 9)) * height * width // 16384
    ground = tuple(_clutter(rng, height, width) for _ in range(litter))
    above = tuple(_cover(rng, objects, height, width) for _ in range(1 + count // 8))
    return Scene(roads, ground, objects, above)


def _road(rng: np.random.Generator, height: int, width: int) -> Strip:
    x, y = width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.8)
    return Strip(x, y, rng.uniform(0, math.pi), 0.8 * max(height, width), rng.uniform(11, 19))


def _clutter(rng: np.random.Generator, height: int, width: int) -> Thing:
    """Something on the ground that is no object; it may reach out of the image."""
    kind = _CLUTTER[int(rng.integers(len(_CLUTTER)))]
    size = rng.uniform(12, 32) if kind in _FLAT else rng.uniform(5, 15)
    x, y = width * rng.random(), height * rng.random()
    return place(kind, x, y, size, rng.uniform(0, 2 * math.pi))


def _cover(rng: np.random.Generator, objects: tuple[Thing, ...], height: int, width: int) -> Thing:
    """A tree or a pole above the ground, often over the edge of an object."""
    kind = "crown" if rng.random() < 0.6 else "pole"
    x, y = width * rng.random(), height * rng.random()
    if objects and rng.random() < 0.7:
        near = objects[int(rng.integers(len(objects)))]
        x, y = near.x + rng.uniform(-9, 9), near.y + rng.uniform(-9, 9)
    return place(kind, x, y, rng.uniform(9, 19), rng.uniform(0, 2 * math.pi))


def _objects(
    rng: np.random.Generator, count: int, roads: tuple[Strip, ...], height: int, width: int
) -> tuple[Thing, ...]:
    """Up to ``count`` objects inside the image, each class where it gathers in this scene."""
    homes = [_homes(rng, kind, 1 + count // 40, roads, height, width) for kind in CLASSES]
    shares = np.cumsum(0.4 + rng.random(len(CLASSES)))
    altitude = rng.uniform(0.85, 1.15)
    placed: list[Thing] = []
    taken = np.empty((count, 4))
    for _ in range(count):
        label = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
        size = float(np.interp(rng.random(), _SIZE_SHARES, _SIZE_QUANTILES))
        size = min(max(size * altitude * _SIZE_FACTORS[label], SIZES[0]), SIZES[1])
        home = homes[label][int(rng.integers(len(homes[label])))]
        thing = place(CLASSES[label], 0.0, 0.0, size, _heading(rng, CLASSES[label], home))
        at = _free_place(rng, thing, home, taken[: len(placed)], height, width)
        if at is not None:
            taken[len(placed)] = np.tile(at, 2) + thing.bounds
            placed.append(moved(thing, *at))
    return tuple(placed)


def _homes(
    rng: np.random.Generator,
    kind: str,
    count: int,
    roads: tuple[Strip, ...],
    height: int,
    width: int,
) -> tuple[Strip, ...]:
    if kind in _VEHICLES:
        return roads
    reach = math.sqrt(height * width) * rng.uniform(0.15, 0.3)
    spots = rng.random((count, 2)) * (width, height)
    return tuple(Strip(float(x), float(y), 0.0, reach, reach) for x, y in spots)


def _heading(rng: np.random.Generator, kind: str, home: Strip) -> float:
    """Vehicles drive along their road, now and then across; people and bicycles stay upright."""
    if kind in _UPRIGHT:
        return rng.uniform(-0.2, 0.2)
    if kind in _VEHICLES and rng.random() < 0.8:
        return home.angle + rng.uniform(-0.08, 0.08) + math.pi * int(rng.integers(2))
    return rng.uniform(0, 2 * math.pi)


def _free_place(
    rng: np.random.Generator, thing: Thing, home: Strip, taken: FloatArray, height: int, width: int
) -> tuple[float, float] | None:
    """Where the thing lies inside the image and covers little (now and then, much) of others."""
    limit = 0.75 if rng.random() < 0.12 else 0.12
    cos, sin = home.axis()
    x1, y1, x2, y2 = thing.bounds
    for attempt in range(_TRIES):
        along, across = rng.uniform(-1, 1) * home.along, rng.uniform(-0.75, 0.75) * home.across
        x, y = home.x + along * cos - across * sin, home.y + along * sin + across * cos
        if attempt > _TRIES // 2 or rng.random() < 0.1:
            x, y = width * rng.random(), height * rng.random()
        if x + x1 < 0 or y + y1 < 0 or x + x2 > width or y + y2 > height:
            continue
        box = np.array([(x + x1, y + y1, x + x2, y + y2)])
        if not (_overlaps(box, taken) > limit).any():
            return x, y
    return None


def _overlaps(ones: FloatArray, others: FloatArray) -> FloatArray:
    """``[N, M]`` the area that two boxes share, as a part of the smaller one."""
    ax1, ay1, ax2, ay2 = ones.T[:, :, None]
    bx1, by1, bx2, by2 = others.T
    wide = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    high = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    smaller = np.minimum((ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1))
    return np.asarray(np.maximum(wide, 0) * np.maximum(high, 0) / smaller)


def _visible(scene: Scene, height: int, width: int) -> list[float]:
    """The part 0..1 of each object that nothing above it covers."""
    things = (*scene.objects, *scene.above)
    bounds = as_boxes([thing.bounds for thing in things])
    alone = (_overlaps(bounds, bounds) > 0).sum(axis=1) == 1
    free = np.ones((height, width))
    parts = [1.0] * len(things)
    for rank in np.flatnonzero(~alone)[::-1]:
        left, top, cover = coverage(things[rank])
        image, patch = windows(left, top, cover.shape, free.shape)
        parts[rank] = float((cover[patch] * free[image]).sum() / cover.sum())
        free[image] *= 1 - cover[patch]
    return parts[: len(scene.objects)]


def _paint(spec: SyntheticData, split: Split, index: int) -> ImageArray:
    """The picture ``[H, W, 3]`` uint8 of scene ``index``."""
    count = spec.train if split == "train" else spec.val
    if not 0 <= index < count:
        raise IndexError(f"synthetic {split} has {count} images; there is no index {index}")
    height, width = spec.size
    scene = _scene(spec, split, index)
    rng = _generator(spec, split, index, 1)
    input_shape = _ground(rng, height, width, scene.roads)
    sun, depth = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.2, 0.55)
    for thing in (*scene.ground, *scene.objects, *scene.above):
        x1, y1, x2, y2 = thing.bounds
        throw = 0.0 if thing.kind in _FLAT else min(x2 - x1, y2 - y1)
        stamp(input_shape, sprite(thing, rng), depth, round(sun[0] * throw), round(sun[1] * throw))
    return _lens(rng, input_shape * _light(rng, height, width))


def _noise(rng: np.random.Generator, height: int, width: int, cell: int) -> Canvas:
    """Smooth noise ``[H, W, 1]`` in -1..1 with bumps of about ``cell`` pixels."""
    grid = rng.random((height // cell + 2, width // cell + 2), np.float32) * 2 - 1

    def between(length: int) -> tuple[NDArray[np.intp], Canvas]:
        low, rest = np.divmod(np.arange(length), cell)
        at = rest.astype(np.float32) / np.float32(cell)
        return low, at * at * (3 - 2 * at)

    low, at = between(height)
    rows = grid[low] + (grid[low + 1] - grid[low]) * at[:, None]
    low, at = between(width)
    smooth: Canvas = rows[:, low] + (rows[:, low + 1] - rows[:, low]) * at
    return smooth[..., None]


def _ground(rng: np.random.Generator, height: int, width: int, roads: tuple[Strip, ...]) -> Canvas:
    """Two sorts of ground in patches, with texture, and the roads across; ``[H, W, 3]``."""
    one, two = np.array(_GROUNDS, np.float32)[rng.permutation(len(_GROUNDS))[:2]]
    share = np.clip(_noise(rng, height, width, max(height, width) // 3) * 2.5 + 0.5, 0, 1)
    input_shape: Canvas = one + (two - one) * share
    tint = rng.uniform(-7, 7, 3).astype(np.float32)
    input_shape += tint * _noise(rng, height, width, 23)
    grain = _noise(rng, height, width, 2) * np.float32(rng.uniform(4, 16))
    input_shape += grain + 11 * _noise(rng, height, width, 7) + 7 * _noise(rng, height, width, 17)
    for road in roads:
        _pave(rng, input_shape, road, grain)
    return input_shape


def _pave(rng: np.random.Generator, input_shape: Canvas, road: Strip, grain: Canvas) -> None:
    """Asphalt with two edge lines and a broken line in the middle."""
    cos, sin = road.axis()
    x = np.arange(input_shape.shape[1], dtype=np.float32)[None, :, None] - np.float32(road.x)
    y = np.arange(input_shape.shape[0], dtype=np.float32)[:, None, None] - np.float32(road.y)
    lap = (x * np.float32(cos) + y * np.float32(sin)) * np.float32(1 / 15)
    off = np.abs(y * np.float32(cos) - x * np.float32(sin))
    edge = 1 - np.abs(off - np.float32(road.across - 1.5))
    middle = np.where(lap - np.floor(lap) < np.float32(0.55), np.float32(1.2) - off, 0)
    paint = np.clip(np.maximum(edge, middle), 0, 1) * np.float32(0.7)
    asphalt = np.float32(rng.uniform(82, 116)) + np.float32(0.5) * grain
    asphalt += (205 - asphalt) * paint
    input_shape += (asphalt - input_shape) * np.clip(np.float32(road.across + 0.5) - off, 0, 1)


def _light(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """``[H, W, 1]`` what to multiply with: exposure, a slope of light, the shadow of a cloud."""
    spans = ((0.75, 1.12), (-0.2, 0.2), (-0.2, 0.2), (-0.2, 0.35))
    gain, right, down, depth = (np.float32(rng.uniform(*span)) for span in spans)
    x = np.arange(width, dtype=np.float32)[None, :, None] / np.float32(width) - np.float32(0.5)
    y = np.arange(height, dtype=np.float32)[:, None, None] / np.float32(height) - np.float32(0.5)
    cloud = np.clip(_noise(rng, height, width, max(height, width) // 2) * 4, 0, 1)
    light: Canvas = gain * (1 + right * x + down * y) * (1 - max(depth, np.float32(0)) * cloud)
    return light


def _lens(rng: np.random.Generator, input_shape: Canvas) -> ImageArray:
    """Haze, a slight blur inside the frame, sensor noise, and 8 bits."""
    haze, side = np.float32(rng.uniform(0, 0.4)), np.float32(rng.uniform(0, 0.17))
    grey = input_shape[..., 1:2] * np.float32(0.6) + np.float32(60)
    input_shape += (grey - input_shape) * haze
    input_shape[1:-1] += side * (input_shape[:-2] + input_shape[2:] - 2 * input_shape[1:-1])
    input_shape[:, 1:-1] += side * (
        input_shape[:, :-2] + input_shape[:, 2:] - 2 * input_shape[:, 1:-1]
    )
    dots = rng.integers(0, 256, (2, *input_shape.shape), np.uint8).astype(np.float32)
    input_shape += (dots[0] + dots[1] - 255) * np.float32(rng.uniform(1, 5) / 104)
    return np.clip(np.rint(input_shape), 0, 255).astype(np.uint8)
