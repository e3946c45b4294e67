"""Axes and marks as SVG; every text is escaped, and colours are left to the style sheet.

A mark of row ``n`` of the page has the class ``rn`` and the attribute ``data-row``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sobench.suite.external import shown_label

WIDTH, HEIGHT = 460.0, 330.0
"""Of a chart in units of its view box."""

LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 12.0, 46.0
"""Margins around the plot."""

_LOG_FROM = 12.0
"""Ratio of the largest to the smallest value from which an axis may be logarithmic."""

EXTERNAL_MARK = "†"
"""Behind the name of an external row in a chart."""

_LETTER = 6.2
"""Width of a letter of a label, on average."""


@dataclass(frozen=True)
class PageRow:
    """A row of the page.

    Attributes:
        number: that its colour and its marks go by.
        label: in its suite.
        is_external: whether its detections were made elsewhere.
    """

    number: int
    label: str
    is_external: bool = False

    @property
    def name(self) -> str:
        """Its label, as tables show it."""
        return shown_label(self.label, (self.label,) if self.is_external else ())

    def short(self, longest: int) -> str:
        """Its label where there is little room, with ``EXTERNAL_MARK`` if it is external."""
        mark = f" {EXTERNAL_MARK}" if self.is_external else ""
        room = longest - len(mark)
        cut = self.label if len(self.label) <= room else f"{self.label[: room - 1]}…"
        return f"{cut}{mark}"


Shown = Mapping[str, PageRow]
"""Label -> the row of the page."""


@dataclass(frozen=True)
class Axis:
    """What a coordinate means.

    Attributes:
        title: with the unit.
        low, high: ends of the axis.
        log: whether equal steps are equal ratios.
        ticked: whether it has ticks; otherwise the chart writes its own.
    """

    title: str
    low: float
    high: float
    log: bool = False
    ticked: bool = True

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the lower end and 1 at the upper."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        if not self.ticked:
            return []
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [10.0**n * factor for n in decades for factor in (1, 2, 5)]
        else:
            step = _round_step(self.high - self.low)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [number * step for number in range(first, last + 1)]
        return [value for value in values if -1e-9 <= self.share(value) <= 1 + 1e-9]


def axis_of(
    title: str, values: Iterable[float], may_be_log: bool = False, from_zero: bool = False
) -> Axis:
    """An axis with room around some values.

    Args:
        may_be_log: whether it is logarithmic where the values are positive and differ greatly.
        from_zero: whether it begins at 0 at the latest.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if may_be_log and low > 0 and high / low >= _LOG_FROM:
        return Axis(f"{title}, log scale", low / 1.3, high * 1.3, log=True)
    low = min(low, 0.0) if from_zero else low
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Axis(title, low if from_zero else max(low - room, 0.0 if low >= 0 else -math.inf),
                high + room)  # fmt: skip


def x_of(axis: Axis, value: float) -> float:
    """The horizontal place of a value in the view box."""
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def y_of(axis: Axis, value: float, height: float = HEIGHT) -> float:
    """The vertical place of a value in the view box."""
    return height - BOTTOM - axis.share(value) * (height - TOP - BOTTOM)


def chart(x: Axis, y: Axis, marks: Iterable[Markup], name: str) -> Markup:
    """A chart with a grid, ticks and titles.

    Args:
        name: what a screen reader says.
    """
    grid = [
        Markup('<path class="grid" d="M{0:.1f} {1}V{2}"/><text class="tick" x="{0:.1f}" y="{3}" '
               'text-anchor="middle">{4}</text>').format(
            x_of(x, value), TOP, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 15, number(value))
        for value in x.ticks()
    ]  # fmt: skip
    grid += [
        Markup('<path class="grid" d="M{1} {0:.1f}H{2}"/><text class="tick" x="{3}" y="{4:.1f}" '
               'text-anchor="end">{5}</text>').format(
            y_of(y, value), LEFT, WIDTH - RIGHT, LEFT - 6, y_of(y, value) + 3.5, number(value))
        for value in y.ticks()
    ]  # fmt: skip
    titles = axis_title(x.title) + Markup(
        '<text class="axis" transform="translate(13 {:.1f}) rotate(-90)" text-anchor="middle">'
        "{}</text>"
    ).format((TOP + HEIGHT - BOTTOM) / 2, y.title)
    return svg(WIDTH, HEIGHT, [*grid, titles, *marks], name)


def axis_title(text: str, height: float = HEIGHT, left: float = LEFT) -> Markup:
    """The title beneath a plot."""
    return Markup('<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
        (left + WIDTH - RIGHT) / 2, height - 7, text
    )


def svg(width: float, height: float, content: Iterable[Markup], name: str) -> Markup:
    """A picture that scales with its place on the page."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, name, Markup("").join(content))


def line(points: Sequence[tuple[float, float]], row: int, title: str) -> Markup:
    """A line through places of the view box."""
    return Markup('<polyline class="line r{0}" data-row="{0}" points="{1}"><title>{2}</title>'
                  "</polyline>").format(row, places(points), title)  # fmt: skip


def places(points: Iterable[tuple[float, float]]) -> str:
    """Points as an attribute of a line."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def marker(x: float, y: float, row: int, title: str, hollow: bool = False) -> Markup:
    """A point, in one of three shapes by the row's number."""
    shapes = (
        "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
        "M-4 -4h8v8h-8z",
        "M0 -5.5L5 3.5H-5z",
    )
    return Markup(
        '<path class="marker{3} r{0}" data-row="{0}" transform="translate({1:.1f} {2:.1f})" '
        'd="{4}"><title>{5}</title></path>'
    ).format(row, x, y, " hollow" if hollow else "", shapes[row // 8 % 3], title)


def labels(points: Sequence[tuple[float, float, int, str]]) -> list[Markup]:
    """Names beside points (x, y, row, name), where there is room for them.

    A name that would cover another one or a point is left out; the point still has its title.
    """
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y, _, _ in points]
    marks = []
    for x, y, row, name in points:
        width = len(name) * _LETTER
        for dx, dy, anchor in ((8, 3.5, "start"), (-8, 3.5, "end"), (0, -9, "middle"),
                               (0, 17, "middle")):  # fmt: skip
            left = {"start": x + dx, "end": x + dx - width, "middle": x - width / 2}[anchor]
            box = (left, y + dy - 9, left + width, y + dy + 2)
            inside = box[0] >= LEFT and box[2] <= WIDTH - 2 and box[1] >= 2
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                marks.append(
                    Markup('<text class="name" data-row="{}" x="{:.1f}" y="{:.1f}" '
                           'text-anchor="{}">{}</text>').format(row, x + dx, y + dy, anchor, name)
                )  # fmt: skip
                break
    return marks


def number(value: float) -> str:
    """A tick's text."""
    return f"{value:.6g}" if abs(value) < 1e5 else f"{value / 1e3:.6g}k"


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, of which the span holds four to ten."""
    raw = span / 6
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
