"""The pixels of a drawn scene: ground, roads, sprites with their shadows, light and lens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import ImageArray, Size
from sobench.data.synthetic.layout import FLAT, Scene, Strip
from sobench.data.synthetic.sprites import sprite, stamp

Picture = NDArray[np.float32]
"""``[H, W, 3]``, or ``[H, W, 1]`` if it is the same in all colours; 0..255 before the lens."""

_GROUNDS = ((88, 118, 70), (124, 132, 84), (188, 170, 134), (136, 116, 92), (150, 149, 144))
"""Grass, dry grass, sand, soil, concrete; red, green, blue."""


def paint(rng: np.random.Generator, scene: Scene, size: Size) -> ImageArray:
    """``[H, W, 3]`` uint8 RGB of a scene; its colours, light and noise are drawn from ``rng``."""
    picture = _ground(rng, size, scene.roads)
    sun, depth = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.2, 0.55)
    for shape in (*scene.ground, *scene.objects, *scene.above):
        x1, y1, x2, y2 = shape.bounds
        throw = 0.0 if shape.kind in FLAT else min(x2 - x1, y2 - y1)
        stamp(picture, sprite(shape, rng), depth, round(sun[0] * throw), round(sun[1] * throw))
    return _lens(rng, picture * _light(rng, size))


def _noise(rng: np.random.Generator, size: Size, cell: int) -> Picture:
    """Smooth noise ``[H, W, 1]`` in -1..1 with bumps of about ``cell`` pixels."""
    height, width = size
    grid = rng.random((height // cell + 2, width // cell + 2), np.float32) * 2 - 1

    def steps(length: int) -> tuple[NDArray[np.intp], Picture]:
        """The cell of each pixel, and how far it is on the way to the next one, smoothed."""
        low, remainder = np.divmod(np.arange(length), cell)
        way = remainder.astype(np.float32) / np.float32(cell)
        return low, way * way * (3 - 2 * way)

    low, way = steps(height)
    rows = grid[low] + (grid[low + 1] - grid[low]) * way[:, None]
    low, way = steps(width)
    smooth: Picture = rows[:, low] + (rows[:, low + 1] - rows[:, low]) * way
    return smooth[..., None]


def _ground(rng: np.random.Generator, size: Size, roads: tuple[Strip, ...]) -> Picture:
    """Two sorts of ground in patches, with texture, and the roads across; ``[H, W, 3]``."""
    first, second = np.array(_GROUNDS, np.float32)[rng.permutation(len(_GROUNDS))[:2]]
    share = np.clip(_noise(rng, size, max(size) // 3) * 2.5 + 0.5, 0, 1)
    picture: Picture = first + (second - first) * share
    tint = rng.uniform(-7, 7, 3).astype(np.float32)
    picture += tint * _noise(rng, size, 23)
    grain = _noise(rng, size, 2) * np.float32(rng.uniform(4, 16))
    picture += grain + 11 * _noise(rng, size, 7) + 7 * _noise(rng, size, 17)
    for road in roads:
        _pave(rng, picture, road, grain)
    return picture


def _pave(rng: np.random.Generator, picture: Picture, road: Strip, grain: Picture) -> None:
    """Paint asphalt with two edge lines and a broken line in the middle."""
    cos, sin = road.axis()
    x = np.arange(picture.shape[1], dtype=np.float32)[None, :, None] - np.float32(road.x)
    y = np.arange(picture.shape[0], dtype=np.float32)[:, None, None] - np.float32(road.y)
    lap = (x * np.float32(cos) + y * np.float32(sin)) * np.float32(1 / 15)
    off = np.abs(y * np.float32(cos) - x * np.float32(sin))
    edge = 1 - np.abs(off - np.float32(road.across - 1.5))
    middle = np.where(lap - np.floor(lap) < np.float32(0.55), np.float32(1.2) - off, 0)
    line = np.clip(np.maximum(edge, middle), 0, 1) * np.float32(0.7)
    asphalt = np.float32(rng.uniform(82, 116)) + np.float32(0.5) * grain
    asphalt += (205 - asphalt) * line
    picture += (asphalt - picture) * np.clip(np.float32(road.across + 0.5) - off, 0, 1)


def _light(rng: np.random.Generator, size: Size) -> Picture:
    """``[H, W, 1]`` factors of the picture: exposure, a slope of light, the shadow of a cloud."""
    height, width = size
    ranges = ((0.75, 1.12), (-0.2, 0.2), (-0.2, 0.2), (-0.2, 0.35))
    gain, right, down, depth = (np.float32(rng.uniform(*bounds)) for bounds in ranges)
    x = np.arange(width, dtype=np.float32)[None, :, None] / np.float32(width) - np.float32(0.5)
    y = np.arange(height, dtype=np.float32)[:, None, None] / np.float32(height) - np.float32(0.5)
    cloud = np.clip(_noise(rng, size, max(size) // 2) * 4, 0, 1)
    light: Picture = gain * (1 + right * x + down * y) * (1 - max(depth, np.float32(0)) * cloud)
    return light


def _lens(rng: np.random.Generator, picture: Picture) -> ImageArray:
    """Haze, a slight blur inside the frame, sensor noise, and 8 bits."""
    haze, side = np.float32(rng.uniform(0, 0.4)), np.float32(rng.uniform(0, 0.17))
    grey = picture[..., 1:2] * np.float32(0.6) + np.float32(60)
    picture += (grey - picture) * haze
    picture[1:-1] += side * (picture[:-2] + picture[2:] - 2 * picture[1:-1])
    picture[:, 1:-1] += side * (picture[:, :-2] + picture[:, 2:] - 2 * picture[:, 1:-1])
    dots = rng.integers(0, 256, (2, *picture.shape), np.uint8).astype(np.float32)
    picture += (dots[0] + dots[1] - 255) * np.float32(rng.uniform(1, 5) / 104)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
