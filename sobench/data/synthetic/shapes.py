"""The shapes of synthetic scenes: tables of their strokes and of the tones that these may have.

A shape is a list of strokes in a frame of its own: ``u`` runs along the shape (to its front, or to
the right of an upright one), ``v`` across it (downwards).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Stroke:
    """The points within ``r`` of a rectangle of half sides ``hu``, ``hv`` around ``u, v``.

    ``cos``, ``sin`` are the direction of its first side; ``ink`` is the number of its tone in
    ``TONES``, counted from 1, and 0 cuts a hole.
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
"""The strokes of each shape; a later stroke covers an earlier one."""


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
"""The inks of each shape, from ink 1; one of several tones is drawn for each placed shape."""
