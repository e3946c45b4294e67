"""Shapes placed on an image, and their pixels.

Only comparisons, sums and products decide which pixels a stroke covers, so a mask is the same on
every machine.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray
from sobench.data.synthetic.shapes import SHAPES, TONES, Shade, Stroke

Window = tuple[slice, slice]

SUB = 3
"""Samples per pixel and axis."""


@dataclass(frozen=True)
class PlacedShape:
    """A shape at its place on the image.

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
    """The pixels of a placed shape.

    Attributes:
        left, top: the place of the first pixel on the image.
        alpha: ``[h, w]`` opacity in 0..1.
        paint: ``[h, w, 3]`` colour (0..255) times alpha.
    """

    left: int
    top: int
    alpha: FloatArray
    paint: FloatArray


def place_shape(kind: str, x: float, y: float, size: float, angle: float) -> PlacedShape:
    """A shape whose box is centred on ``x, y`` and has an area of ``size`` squared (pixels).

    ``angle`` is in radians. Its sine and cosine are rounded to six digits, because their last
    digits are not the same on every machine.
    """
    cos, sin = round(math.cos(angle), 6), round(math.sin(angle), 6)
    extents = [_extent(stroke, cos, sin) for stroke in SHAPES[kind]]
    lefts, tops, rights, bottoms = zip(*extents, strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    scale = size / math.sqrt((right - left) * (bottom - top))
    half_width, half_height = scale * (right - left) / 2, scale * (bottom - top) / 2
    bounds = (x - half_width, y - half_height, x + half_width, y + half_height)
    x, y = x - scale * (left + right) / 2, y - scale * (top + bottom) / 2
    return PlacedShape(kind, x, y, scale, cos, sin, bounds)


def _extent(stroke: Stroke, cos: float, sin: float) -> tuple[float, float, float, float]:
    """``x1, y1, x2, y2`` of a stroke, in units, once its frame is turned by ``cos, sin``."""
    x, y = stroke.u * cos - stroke.v * sin, stroke.u * sin + stroke.v * cos
    run, rise = stroke.cos * cos - stroke.sin * sin, stroke.cos * sin + stroke.sin * cos
    half_width = abs(stroke.hu * run) + abs(stroke.hv * rise) + stroke.r
    half_height = abs(stroke.hu * rise) + abs(stroke.hv * run) + stroke.r
    return x - half_width, y - half_height, x + half_width, y + half_height


def shift(shape: PlacedShape, right: float, down: float) -> PlacedShape:
    """The same shape, moved by so many pixels."""
    x1, y1, x2, y2 = shape.bounds
    bounds = (x1 + right, y1 + down, x2 + right, y2 + down)
    return replace(shape, x=shape.x + right, y=shape.y + down, bounds=bounds)


def inks(shape: PlacedShape) -> tuple[int, int, NDArray[np.uint8]]:
    """First column, first row, and the ink ``[SUB * h, SUB * w]`` of each sample; 0 is none."""
    left, top = math.floor(shape.bounds[0]), math.floor(shape.bounds[1])
    width, height = math.ceil(shape.bounds[2]) - left, math.ceil(shape.bounds[3]) - top
    x = (left - shape.x + (np.arange(width * SUB) + 0.5) / SUB) / shape.scale
    y = (top - shape.y + (np.arange(height * SUB) + 0.5) / SUB)[:, None] / shape.scale

    # All strokes at once: a sample is covered where its distance from the rectangle is at most r.
    strokes = SHAPES[shape.kind]
    numbers = [(s.u, s.v, s.hu, s.hv, s.r, s.cos, s.sin) for s in strokes]
    u, v, hu, hv, r, cos, sin = np.array(numbers).T[:, :, None, None]
    run, rise = cos * shape.cos - sin * shape.sin, cos * shape.sin + sin * shape.cos
    squared_distance = _squared_excess(x * run - (u * cos + v * sin), y * rise, hu)
    squared_distance += _squared_excess((u * sin - v * cos) - x * rise, y * run, hv)
    covered = squared_distance <= (r * r).astype(np.float32)

    ink = np.zeros(covered.shape[1:], np.uint8)
    for stroke, mask in zip(strokes, covered, strict=True):
        np.copyto(ink, stroke.ink, where=mask)
    return left, top, ink


def _squared_excess(columns: FloatArray, rows: FloatArray, half: FloatArray) -> NDArray[np.float32]:
    """The squared distance of each sample from ``-half..half`` on one axis of a stroke."""
    excess = columns.astype(np.float32) + rows.astype(np.float32)
    np.abs(excess, out=excess)
    excess -= half.astype(np.float32)
    np.maximum(excess, 0, out=excess)
    excess *= excess
    return excess


def coverage(shape: PlacedShape) -> tuple[int, int, FloatArray]:
    """First column, first row, and the share ``[h, w]`` of each pixel that the shape covers."""
    left, top, ink = inks(shape)
    return left, top, _pixel_shares(ink > 0)


def _pixel_shares(masks: NDArray[np.bool_]) -> FloatArray:
    """``[..., SUB * h, SUB * w]`` samples -> ``[..., h, w]`` the share of a pixel that is set."""
    row_counts = np.zeros(masks[..., ::SUB, :].shape, np.uint8)
    for offset in range(SUB):
        row_counts += masks[..., offset::SUB, :]
    counts = np.zeros(row_counts[..., ::SUB].shape, np.uint8)
    for offset in range(SUB):
        counts += row_counts[..., offset::SUB]
    return np.asarray(counts / np.float64(SUB * SUB))


def palette(kind: str, rng: np.random.Generator) -> FloatArray:
    """``[inks + 1, 4]`` red, green, blue in 0..255 and opacity; row 0, no ink, is all zero."""
    colours: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
    for ink in TONES[kind]:
        if isinstance(ink, Shade):
            red, green, blue = (min(255.0, ink.gain * value) for value in colours[ink.ink])
        else:
            tone = ink[int(rng.integers(len(ink)))]
            ranges = (tone.hue, tone.saturation, tone.value)
            hue, saturation, value = (low + (high - low) * rng.random() for low, high in ranges)
            red, green, blue = (255 * c for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))
        colours.append((red, green, blue))
    table = np.ones((len(colours), 4))
    table[0] = 0.0
    table[:, :3] = colours
    return table


def sprite(shape: PlacedShape, rng: np.random.Generator) -> Sprite:
    """The pixels of a shape; its colours are drawn from ``rng``."""
    left, top, ink = inks(shape)
    colours = palette(shape.kind, rng)
    shares = _pixel_shares(ink == np.arange(len(colours), dtype=np.uint8)[:, None, None])
    mixed = (shares[..., None] * colours[:, None, None]).sum(axis=0)
    return Sprite(left, top, mixed[..., 3], mixed[..., :3])


def windows(
    left: int, top: int, patch: tuple[int, ...], image: tuple[int, ...]
) -> tuple[Window, Window]:
    """The overlap of a patch at ``left, top`` with an image: on the image, and on the patch."""
    x1, y1 = min(max(left, 0), image[1]), min(max(top, 0), image[0])
    x2, y2 = max(min(left + patch[1], image[1]), x1), max(min(top + patch[0], image[0]), y1)
    inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    return (slice(y1, y2), slice(x1, x2)), inner


def stamp(
    picture: NDArray[np.float32], sprite: Sprite, depth: float, right: int, down: int
) -> None:
    """Paint a sprite over ``[H, W, 3]``, after its shadow, which falls ``right, down`` pixels off.

    ``depth`` in 0..1 is the share of the light that the shadow takes away.
    """
    patch_shape = sprite.alpha.shape
    if right or down:
        left, top = sprite.left + right, sprite.top + down
        image, patch = windows(left, top, patch_shape, picture.shape)
        picture[image] *= 1 - depth * sprite.alpha[patch][..., None]
    image, patch = windows(sprite.left, sprite.top, patch_shape, picture.shape)
    picture[image] *= 1 - sprite.alpha[patch][..., None]
    picture[image] += sprite.paint[patch]
