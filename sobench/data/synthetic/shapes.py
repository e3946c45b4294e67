"""The things that synthetic scenes are made of: tables of strokes and tones, and what paints them.

A shape is a list of strokes in its own frame: ``u`` runs along the thing (to its front, or to the
right of an upright one), ``v`` across it (downwards). Only comparisons, sums and products decide
what a stroke covers, so a mask is the same on every machine.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Window = tuple[slice, slice]

SUB = 3
"""Samples per pixel and axis."""


@dataclass(frozen=True)
class Stroke:
    """The points within ``r`` of a rectangle of half sides ``hu``, ``hv`` around ``u, v``.

    ``cos``, ``sin`` are the direction of its first side; ``ink`` says what it is painted with.
    """

    ink: int
    u: float
    v: float
    hu: float
    hv: float
    r: float
    cos: float = 1.0
    sin: float = 0.0


def _box(ink: int, u: float, v: float, hu: float, hv: float, r: float) -> Stroke:
    return Stroke(ink, u, v, hu, hv, r)


def _disc(ink: int, u: float, v: float, r: float) -> Stroke:
    return Stroke(ink, u, v, 0.0, 0.0, r)


def _bar(ink: int, u: float, v: float, u2: float, v2: float, r: float) -> Stroke:
    length = math.sqrt((u2 - u) * (u2 - u) + (v2 - v) * (v2 - v))
    cos, sin = (u2 - u) / length, (v2 - v) / length
    return Stroke(ink, (u + u2) / 2, (v + v2) / 2, length / 2, 0.0, r, cos, sin)


SHAPES: dict[str, tuple[Stroke, ...]] = {
    "car": (
        _box(1, 0.0, 0.0, 0.84, 0.30, 0.16),
        _box(3, -0.18, 0.0, 0.36, 0.30, 0.06),
        _box(2, 0.30, 0.0, 0.10, 0.28, 0.06),
        _box(2, -0.66, 0.0, 0.05, 0.26, 0.05),
        _box(4, 0.90, 0.30, 0.02, 0.04, 0.05),
        _box(4, 0.90, -0.30, 0.02, 0.04, 0.05),
        _box(5, -0.92, 0.30, 0.01, 0.06, 0.04),
        _box(5, -0.92, -0.30, 0.01, 0.06, 0.04),
    ),
    "truck": (
        _box(5, 0.45, 0.0, 0.15, 0.12, 0.02),
        _box(1, -0.30, 0.0, 0.67, 0.31, 0.03),
        *(_box(2, -0.83 + 0.27 * rib, 0.0, 0.03, 0.27, 0.02) for rib in range(5)),
        _box(3, 0.76, 0.0, 0.16, 0.22, 0.08),
        _box(4, 0.84, 0.0, 0.04, 0.20, 0.03),
    ),
    "pedestrian": (
        _bar(3, -0.16, 0.20, -0.22, 0.88, 0.12),
        _bar(3, 0.16, 0.20, 0.20, 0.88, 0.12),
        _box(1, 0.0, -0.16, 0.24, 0.26, 0.17),
        _bar(2, -0.40, -0.24, -0.44, 0.20, 0.07),
        _bar(2, 0.40, -0.24, 0.44, 0.20, 0.07),
        _disc(2, 0.0, -0.74, 0.26),
        _box(4, 0.0, -0.88, 0.10, 0.0, 0.12),
    ),
    "bicycle": (
        _disc(1, -0.60, 0.30, 0.42),
        _disc(0, -0.60, 0.30, 0.25),
        _disc(1, 0.60, 0.30, 0.42),
        _disc(0, 0.60, 0.30, 0.25),
        _bar(2, -0.60, 0.30, -0.15, -0.25, 0.09),
        _bar(2, -0.60, 0.30, 0.00, 0.32, 0.09),
        _bar(2, -0.15, -0.25, 0.42, -0.25, 0.10),
        _bar(2, 0.00, 0.32, 0.42, -0.25, 0.09),
        _bar(2, 0.60, 0.30, 0.40, -0.48, 0.09),
        _bar(3, 0.28, -0.52, 0.52, -0.50, 0.10),
        _bar(3, -0.32, -0.38, -0.08, -0.38, 0.10),
    ),
    "tent": (
        _disc(4, 0.0, 0.0, 1.0),
        _disc(1, 0.0, 0.0, 0.90),
        _bar(2, -0.76, 0.0, 0.76, 0.0, 0.13),
        _bar(2, 0.0, -0.76, 0.0, 0.76, 0.13),
        _bar(2, -0.54, -0.54, 0.54, 0.54, 0.13),
        _bar(2, -0.54, 0.54, 0.54, -0.54, 0.13),
        _disc(3, 0.0, 0.0, 0.20),
    ),
    "crown": (
        _disc(1, -0.35, -0.25, 0.55),
        _disc(1, 0.40, -0.20, 0.52),
        _disc(1, 0.05, 0.42, 0.55),
        _disc(2, -0.40, -0.35, 0.30),
        _disc(2, 0.38, -0.10, 0.26),
        _disc(2, -0.05, 0.35, 0.28),
        _disc(3, 0.05, 0.02, 0.16),
        _disc(3, -0.30, 0.20, 0.12),
        _disc(3, 0.42, 0.30, 0.12),
    ),
    "stone": (_disc(1, -0.2, 0.0, 0.8), _disc(1, 0.35, 0.1, 0.65), _disc(2, -0.2, -0.25, 0.4)),
    "slab": (_box(2, 0.0, 0.0, 0.96, 0.66, 0.04), _box(1, 0.0, 0.0, 0.84, 0.54, 0.04)),
    "bench": (_box(1, 0.0, -0.12, 0.97, 0.05, 0.03), _box(2, 0.0, 0.12, 0.97, 0.08, 0.03)),
    "crate": (_box(1, 0.0, 0.0, 0.92, 0.42, 0.05), _box(2, 0.0, 0.0, 0.80, 0.0, 0.05)),
    "pond": (_disc(1, 0.0, 0.0, 1.0), _disc(2, 0.15, 0.15, 0.75)),
    "pole": (_bar(1, -1.0, 0.0, 1.0, 0.0, 0.05), _disc(2, 1.0, 0.0, 0.10)),
    "kerb": (_bar(1, -1.0, 0.0, 1.0, 0.0, 0.03),),
}
"""What a thing looks like; a later stroke covers an earlier one and ink 0 cuts a hole."""


@dataclass(frozen=True)
class Tone:
    """Ranges of hue, saturation and value, all in 0..1; a hue may run past 1."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


@dataclass(frozen=True)
class Shade:
    """The tone of an earlier ink, ``gain`` times as bright."""

    ink: int
    gain: float


_DARK = Tone((0.55, 0.68), (0.1, 0.4), (0.08, 0.22))
_PALE = Tone((0.08, 0.6), (0.0, 0.08), (0.84, 0.98))
_LEAF = Tone((0.22, 0.36), (0.35, 0.6), (0.22, 0.40))

TONES: dict[str, tuple[tuple[Tone, ...] | Shade, ...]] = {
    "car": (
        (
            Tone((0.96, 1.04), (0.7, 0.95), (0.6, 0.9)),
            Tone((0.56, 0.66), (0.6, 0.9), (0.55, 0.9)),
            Tone((0.13, 0.16), (0.75, 0.95), (0.8, 0.95)),
        ),
        (_DARK,),
        Shade(1, 1.18),
        (Tone((0.12, 0.16), (0.1, 0.4), (0.95, 1.0)),),
        (Tone((0.98, 1.02), (0.8, 0.95), (0.7, 0.9)),),
    ),
    "truck": (
        (
            _PALE,
            Tone((0.09, 0.13), (0.25, 0.5), (0.72, 0.9)),
            Tone((0.45, 0.55), (0.1, 0.35), (0.6, 0.8)),
        ),
        Shade(1, 0.72),
        (Tone((0.0, 0.12), (0.7, 0.95), (0.65, 0.9)), Tone((0.55, 0.65), (0.6, 0.9), (0.5, 0.8))),
        (_DARK,),
        (_DARK,),
    ),
    "pedestrian": (
        (Tone((0.0, 1.0), (0.6, 0.95), (0.6, 0.95)), _PALE),
        (Tone((0.05, 0.09), (0.3, 0.55), (0.6, 0.92)),),
        (Tone((0.58, 0.68), (0.3, 0.6), (0.15, 0.35)),),
        (Tone((0.05, 0.1), (0.3, 0.6), (0.1, 0.3)),),
    ),
    "bicycle": (
        (Tone((0.0, 1.0), (0.0, 0.15), (0.05, 0.14)),),
        (Tone((0.0, 1.0), (0.6, 0.95), (0.7, 1.0)), Tone((0.12, 0.17), (0.7, 0.95), (0.85, 1.0))),
        (Tone((0.0, 1.0), (0.0, 0.3), (0.1, 0.25)),),
    ),
    "tent": (
        (Tone((0.96, 1.1), (0.7, 0.95), (0.75, 0.95)), Tone((0.52, 0.85), (0.6, 0.85), (0.6, 0.9))),
        (_PALE,),
        Shade(1, 0.55),
        Shade(1, 0.7),
    ),
    "crown": ((_LEAF,), Shade(1, 1.3), Shade(1, 0.65)),
    "stone": ((Tone((0.06, 0.14), (0.05, 0.2), (0.4, 0.6)), _LEAF), Shade(1, 1.25)),
    "slab": (
        (Tone((0.0, 0.1), (0.2, 0.5), (0.4, 0.65)), Tone((0.5, 0.7), (0.0, 0.12), (0.4, 0.75))),
        Shade(1, 0.82),
    ),
    "bench": ((Tone((0.06, 0.1), (0.4, 0.6), (0.3, 0.5)),), Shade(1, 1.25)),
    "crate": ((Tone((0.0, 1.0), (0.3, 0.8), (0.4, 0.85)), _PALE), Shade(1, 0.85)),
    "pond": ((Tone((0.0, 1.0), (0.1, 0.4), (0.35, 0.7)),), Shade(1, 0.9)),
    "pole": ((Tone((0.5, 0.7), (0.0, 0.1), (0.45, 0.75)),), Shade(1, 1.2)),
    "kerb": (
        (Tone((0.1, 0.2), (0.0, 0.1), (0.7, 0.85)), Tone((0.1, 0.2), (0.0, 0.2), (0.3, 0.4))),
    ),
}
"""The inks of each shape, from ink 1; one of several tones is drawn for each thing."""


@dataclass(frozen=True)
class Thing:
    """One placed shape.

    Attributes:
        kind: a key of ``SHAPES``.
        x, y: the origin of its frame, pixels of the image.
        scale: pixels per unit of its frame.
        cos, sin: its turn, clockwise on the screen.
        bounds: ``x1, y1, x2, y2`` that its strokes just touch.
    """

    kind: str
    x: float
    y: float
    scale: float
    cos: float
    sin: float
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True)
class Sprite:
    """A thing in pixels: ``alpha`` ``[h, w]`` in 0..1 and ``paint`` ``[h, w, 3]``, which is colour
    (0..255) times alpha; ``left``, ``top`` say where its first pixel lies on the image.
    """

    left: int
    top: int
    alpha: NDArray[np.float64]
    paint: NDArray[np.float64]


def place(kind: str, x: float, y: float, size: float, angle: float) -> Thing:
    """A thing whose box is centred on ``x, y`` and has an area of ``size`` squared (pixels).

    ``angle`` is in radians. Its sine and cosine are rounded to six digits, because their last
    digits are not the same on every machine.
    """
    cos, sin = round(math.cos(angle), 6), round(math.sin(angle), 6)
    spans = [_extent(stroke, cos, sin) for stroke in SHAPES[kind]]
    lefts, tops, rights, bottoms = zip(*spans, strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    scale = size / math.sqrt((right - left) * (bottom - top))
    half_width, half_height = scale * (right - left) / 2, scale * (bottom - top) / 2
    bounds = (x - half_width, y - half_height, x + half_width, y + half_height)
    x, y = x - scale * (left + right) / 2, y - scale * (top + bottom) / 2
    return Thing(kind, x, y, scale, cos, sin, bounds)


def _extent(stroke: Stroke, cos: float, sin: float) -> tuple[float, float, float, float]:
    """``x1, y1, x2, y2`` of a stroke, in units, once its frame is turned by ``cos, sin``."""
    x, y = stroke.u * cos - stroke.v * sin, stroke.u * sin + stroke.v * cos
    run, rise = stroke.cos * cos - stroke.sin * sin, stroke.cos * sin + stroke.sin * cos
    wide = abs(stroke.hu * run) + abs(stroke.hv * rise) + stroke.r
    high = abs(stroke.hu * rise) + abs(stroke.hv * run) + stroke.r
    return x - wide, y - high, x + wide, y + high


def moved(thing: Thing, right: float, down: float) -> Thing:
    """The same thing, so many pixels away."""
    x1, y1, x2, y2 = thing.bounds
    bounds = (x1 + right, y1 + down, x2 + right, y2 + down)
    return replace(thing, x=thing.x + right, y=thing.y + down, bounds=bounds)


def inks(thing: Thing) -> tuple[int, int, NDArray[np.uint8]]:
    """First column, first row, and the ink ``[SUB * h, SUB * w]`` of each sample; 0 is none."""
    left, top = math.floor(thing.bounds[0]), math.floor(thing.bounds[1])
    width, height = math.ceil(thing.bounds[2]) - left, math.ceil(thing.bounds[3]) - top
    x = (left - thing.x + (np.arange(width * SUB) + 0.5) / SUB) / thing.scale
    y = (top - thing.y + (np.arange(height * SUB) + 0.5) / SUB)[:, None] / thing.scale
    strokes = SHAPES[thing.kind]
    numbers = [(s.u, s.v, s.hu, s.hv, s.r, s.cos, s.sin) for s in strokes]
    u, v, hu, hv, r, cos, sin = np.array(numbers).T[:, :, None, None]
    run, rise = cos * thing.cos - sin * thing.sin, cos * thing.sin + sin * thing.cos
    away = _beyond(x * run - (u * cos + v * sin), y * rise, hu)
    away += _beyond((u * sin - v * cos) - x * rise, y * run, hv)
    covered = away <= (r * r).astype(np.float32)
    ink = np.zeros(covered.shape[1:], np.uint8)
    for stroke, mask in zip(strokes, covered, strict=True):
        np.copyto(ink, stroke.ink, where=mask)
    return left, top, ink


def _beyond(
    columns: NDArray[np.float64], rows: NDArray[np.float64], half: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The square of how far each sample lies outside ``-half..half`` on one axis of a stroke."""
    away = columns.astype(np.float32) + rows.astype(np.float32)
    np.abs(away, out=away)
    away -= half.astype(np.float32)
    np.maximum(away, 0, out=away)
    away *= away
    return away


def coverage(thing: Thing) -> tuple[int, int, NDArray[np.float64]]:
    """First column, first row, and the share ``[h, w]`` of each pixel that the thing covers."""
    left, top, ink = inks(thing)
    return left, top, _shares(ink > 0)


def _shares(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``[..., SUB * h, SUB * w]`` samples -> ``[..., h, w]`` the share of a pixel that is set."""
    rows = np.zeros(masks[..., ::SUB, :].shape, np.uint8)
    for part in range(SUB):
        rows += masks[..., part::SUB, :]
    counts = np.zeros(rows[..., ::SUB].shape, np.uint8)
    for part in range(SUB):
        counts += rows[..., part::SUB]
    return np.asarray(counts / np.float64(SUB * SUB))


def palette(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """``[inks + 1, 4]`` red, green, blue in 0..255 and opacity; row 0, no ink, is all zero."""
    rows: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
    for ink in TONES[kind]:
        if isinstance(ink, Shade):
            red, green, blue = (min(255.0, ink.gain * part) for part in rows[ink.ink])
        else:
            tone = ink[int(rng.integers(len(ink)))]
            spans = (tone.hue, tone.saturation, tone.value)
            hue, saturation, value = (low + (high - low) * rng.random() for low, high in spans)
            red, green, blue = (255 * c for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))
        rows.append((red, green, blue))
    table = np.ones((len(rows), 4))
    table[0] = 0.0
    table[:, :3] = rows
    return table


def sprite(thing: Thing, rng: np.random.Generator) -> Sprite:
    """The thing in pixels; its colours are drawn from ``rng``."""
    left, top, ink = inks(thing)
    colours = palette(thing.kind, rng)
    shares = _shares(ink == np.arange(len(colours), dtype=np.uint8)[:, None, None])
    mixed = (shares[..., None] * colours[:, None, None]).sum(axis=0)
    return Sprite(left, top, mixed[..., 3], mixed[..., :3])


def windows(
    left: int, top: int, patch: tuple[int, ...], image: tuple[int, ...]
) -> tuple[Window, Window]:
    """Where a patch at ``left, top`` lies on the image, and which part of the patch that is."""
    x1, y1 = min(max(left, 0), image[1]), min(max(top, 0), image[0])
    x2, y2 = max(min(left + patch[1], image[1]), x1), max(min(top + patch[0], image[0]), y1)
    inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    return (slice(y1, y2), slice(x1, x2)), inner


def stamp(
    input_shape: NDArray[np.float32], thing: Sprite, depth: float, right: int, down: int
) -> None:
    """Paint a thing over ``[H, W, 3]``, after its shadow, which falls ``right, down`` pixels off.

    ``depth`` 0..1 is the part of the light that the shadow takes away.
    """
    shape = thing.alpha.shape
    if right or down:
        image, patch = windows(thing.left + right, thing.top + down, shape, input_shape.shape)
        input_shape[image] *= 1 - depth * thing.alpha[patch][..., None]
    image, patch = windows(thing.left, thing.top, shape, input_shape.shape)
    input_shape[image] *= 1 - thing.alpha[patch][..., None]
    input_shape[image] += thing.paint[patch]
