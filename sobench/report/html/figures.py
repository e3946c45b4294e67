"""The charts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from markupsafe import Markup

from sobench.compare.average_rank import AverageRanks
from sobench.compare.history import LearningCurve, Points
from sobench.compare.leaderboard import Leaderboard
from sobench.compare.pareto import pareto_front
from sobench.compare.sizes import SizeBin
from sobench.compare.tiers import tier_text
from sobench.metrics.table import SCORE_FORMAT, Metric
from sobench.report.html.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Shown,
    axis_of,
    axis_title,
    chart,
    labels,
    line,
    marker,
    number,
    places,
    svg,
    x_of,
    y_of,
)

RECALL = Axis("recall", 0.0, 1.0)
PRECISION = Axis("precision", 0.0, 1.0)


def cost_chart(board: Leaderboard, cost: Metric, shown: Shown) -> Markup | None:
    """The metric that ranks against a cost, with intervals and the rows worth their cost."""
    metric = board.metrics[0]
    points: dict[str, tuple[float, float]] = {
        str(row["method"]): (float(row[cost.name]), float(row[metric]))
        for _, row in board.table.iterrows()
        if cost.name in row and pd.notna(row[cost.name]) and pd.notna(row[metric])
    }
    if not points:
        return None
    intervals = {label: _interval(board, label) for label in points}
    ends = [end for interval in intervals.values() if interval for end in interval]
    x = axis_of(f"{cost.title} ({cost.unit})", [cost_ for cost_, _ in points.values()], True)
    y = axis_of(metric, [*(score for _, score in points.values()), *ends])
    front = pareto_front(points)
    stairs = [place for label in front for place in _stair(points, label, front)]
    marks = [
        Markup('<polyline class="front" points="{}"/>').format(
            places((x_of(x, a), y_of(y, b)) for a, b in stairs)
        )
    ]
    for label, (value, score) in points.items():
        row = shown[label]
        told = f"{row.name}: {metric} {SCORE_FORMAT.format(score)}, {cost.format.format(value)} "
        told += cost.unit
        if (interval := intervals[label]) is not None:
            marks.append(
                Markup('<path class="whisker r{0}" data-row="{0}" d="M{1:.1f} {2:.1f}V{3:.1f}"/>')
                .format(row.number, x_of(x, value), *(y_of(y, end) for end in interval))
            )  # fmt: skip
        marks.append(marker(x_of(x, value), y_of(y, score), row.number, told, label not in front))
    marks += labels(
        [
            (x_of(x, a), y_of(y, b), shown[label].number, shown[label].name)
            for label, (a, b) in points.items()
        ]
    )
    return chart(x, y, marks, f"{metric} against {cost.title}")


def _stair(
    points: Mapping[str, tuple[float, float]], label: str, front: Sequence[str]
) -> list[tuple[float, float]]:
    """The step of the front up to a row: along the score of the one before, then up."""
    at = front.index(label)
    cost, score = points[label]
    return [(cost, points[front[at - 1]][1]), (cost, score)] if at else [(cost, score)]


def _interval(board: Leaderboard, label: str) -> tuple[float, float] | None:
    found = board.verdict.estimates.get(label, {}).get(board.metrics[0])
    return None if found is None or pd.isna(found.low) else (found.low, found.high)


def forest(board: Leaderboard, shown: Shown) -> Markup | None:
    """The metric that ranks, with its interval and the tier, row by row."""
    metric, step, left = board.metrics[0], 24.0, 150.0
    rows = [
        (str(row["method"]), float(row[metric]), _interval(board, str(row["method"])))
        for _, row in board.table.iterrows()
        if pd.notna(row[metric])
    ]
    if not any(interval for _, _, interval in rows):
        return None
    height = TOP + step * len(rows) + BOTTOM
    values = [value for _, mean, ends in rows for value in (mean, *(ends or ()))]
    x = axis_of(f"{metric}, mean and 95 % interval", values)

    def place(value: float) -> float:
        return left + x.share(value) * (WIDTH - left - RIGHT)

    marks = [
        Markup('<path class="grid" d="M{0:.1f} {1}V{2}"/><text class="tick" x="{0:.1f}" y="{3}" '
               'text-anchor="middle">{4}</text>').format(
            place(value), TOP, height - BOTTOM, height - BOTTOM + 15, number(value))
        for value in x.ticks()
    ]  # fmt: skip
    for position, (label, mean, interval) in enumerate(rows):
        middle = TOP + step * (position + 0.5)
        tier, row = tier_text(board.verdict.tiers.get(label, ())), shown[label]
        name = f"{row.short(22 - len(tier))}  [{tier}]"
        marks.append(
            Markup('<text class="name" data-row="{}" x="{}" y="{:.1f}" text-anchor="end">{}'
                   '<title>{}</title></text>').format(
                row.number, left - 10, middle + 4, name, row.name)
        )  # fmt: skip
        told = f"{row.name}: {SCORE_FORMAT.format(mean)}"
        if interval:
            low, high = interval
            told += f" [{SCORE_FORMAT.format(low)}, {SCORE_FORMAT.format(high)}]"
            marks.append(
                Markup('<path class="whisker r{0}" data-row="{0}" d="M{1:.1f} {2:.1f}H{3:.1f}"/>')
                .format(row.number, place(low), middle, place(high))
            )  # fmt: skip
        marks.append(marker(place(mean), middle, row.number, told))
    marks.append(axis_title(x.title, height, left))
    return svg(WIDTH, height, marks, f"{metric} with intervals")


def precision_recall(curves: Mapping[str, Sequence[float]], shown: Shown, name: str) -> Markup:
    """Precision over recall; rows without a curve have an empty line, for other choices."""
    marks = [
        line(
            [
                (x_of(RECALL, i / 100), y_of(PRECISION, p))
                for i, p in enumerate(curves.get(label, ()))
            ],
            row.number,
            row.name,
        )
        for label, row in shown.items()
    ]
    return chart(RECALL, PRECISION, marks, name)


def learning_chart(
    curves: Mapping[str, LearningCurve], shown: Shown, what: str, title: str
) -> Markup | None:
    """Loss, or the metric that ranks, over training steps.

    Args:
        what: ``loss`` or ``ap``.
        title: of the vertical axis.
    """
    points: dict[str, Points] = {
        label: getattr(curve, what) for label, curve in curves.items() if getattr(curve, what)
    }
    if not points:
        return None
    steps = [float(step) for of_row in points.values() for step, _ in of_row]
    x = Axis("training step", 0.0, max(steps) * 1.03 or 1.0)
    values = [value for of_row in points.values() for _, value in of_row]
    is_loss = what == "loss"
    y = axis_of(title, values, may_be_log=is_loss, from_zero=not is_loss)
    marks = []
    for label, of_row in points.items():
        of_line = [(x_of(x, float(step)), y_of(y, value)) for step, value in of_row]
        row = shown[label]
        marks.append(line(of_line, row.number, row.name))
        for (a, b), (step, value) in zip(of_line, of_row, strict=True):
            marks.append(marker(a, b, row.number, f"{row.name}: {value:.4g} at step {step}"))
    return chart(x, y, marks, title)


def size_chart(sizes: Sequence[SizeBin], shown: Shown) -> Markup | None:
    """The share of the objects that each row finds, by their size."""
    if not sizes:
        return None
    y = Axis("recall at IoU .50", 0.0, 1.0)
    step = (WIDTH - LEFT - RIGHT) / len(sizes)
    centres = [LEFT + step * (i + 0.5) for i in range(len(sizes))]
    marks = []
    for centre, of_bin in zip(centres, sizes, strict=True):
        marks.append(
            Markup('<text class="tick" x="{0:.1f}" y="{1}" text-anchor="middle">{2}</text>'
                   '<text class="tick faint" x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>')
            .format(centre, HEIGHT - BOTTOM + 13, size_text(of_bin), HEIGHT - BOTTOM + 24,
                    f"n={of_bin.objects}")
        )  # fmt: skip
    for label in sizes[0].recall:
        places_ = [(c, y_of(y, b.recall[label])) for c, b in zip(centres, sizes, strict=True)]
        row = shown[label]
        marks.append(line(places_, row.number, row.name))
        for (a, b), of_bin in zip(places_, sizes, strict=True):
            told = f"{row.name}, {size_text(of_bin)} px: {of_bin.recall[label]:.2f}"
            marks.append(marker(a, b, row.number, told))
    x = Axis("square root of the area in pixels; n objects", 0.0, 1.0, ticked=False)
    return chart(x, y, marks, "recall by size")


def size_text(of_bin: SizeBin) -> str:
    """Such as ``24-32`` or ``128+``."""
    high = "" if of_bin.high == float("inf") else f"{of_bin.high:g}"
    return f"{of_bin.low:g}-{high}" if high else f"{of_bin.low:g}+"


def rank_diagram(ranks: AverageRanks, shown: Shown) -> Markup:
    """Average ranks on a line, with bars over rows that are not told apart (Demšar 2006)."""
    count, step, side = len(ranks.rows), 19.0, 136.0
    x = Axis("average rank, 1 is best", 1.0, float(count))

    def place(rank: float) -> float:
        return side + x.share(rank) * (WIDTH - 2 * side)

    bars = [group for group in ranks.groups if len(group) > 1]
    axis_y, first = 44.0, 44.0 + 12.0 + 7.0 * len(bars)
    half = (count + 1) // 2
    height = first + step * (half + 1)
    ends = f"M{place(1):.1f} {axis_y}H{place(count):.1f}"
    marks = [Markup('<path class="rule" d="{}"/>').format(ends)]
    for rank in range(1, count + 1):
        marks.append(
            Markup('<path class="rule" d="M{0:.1f} {1}v-5"/><text class="tick" x="{0:.1f}" y="{2}" '
                   'text-anchor="middle">{3}</text>').format(
                place(rank), axis_y, axis_y - 9, rank)
        )  # fmt: skip
    if ranks.can_tell:
        end = place(1.0 + ranks.critical)
        marks.append(
            Markup('<path class="rule" d="M{0:.1f} 14H{1:.1f}m0 -3v6M{0:.1f} 11v6"/><text '
                   'class="tick" x="{2:.1f}" y="18">critical difference {3:.2f}</text>').format(
                place(1), end, end + 6, ranks.critical)
        )  # fmt: skip
    for position, (label, average) in enumerate(
        zip(ranks.rows, ranks.average.tolist(), strict=True)
    ):
        left, row = position < half, shown[label]
        level = first + step * ((position if left else count - 1 - position) + 0.5)
        edge, anchor = (side - 8, "end") if left else (WIDTH - side + 8, "start")
        marks.append(
            Markup('<polyline class="line r{0}" data-row="{0}" points="{1}"/><text class="name" '
                   'data-row="{0}" x="{2:.1f}" y="{3:.1f}" text-anchor="{4}">{5} {6:.2f}'
                   "<title>{7}</title></text>").format(
                row.number,
                places([(place(average), axis_y), (place(average), level), (edge, level)]),
                edge - 4 if left else edge + 4, level + 4, anchor, row.short(15), average, row.name)
        )  # fmt: skip
    averages = dict(zip(ranks.rows, ranks.average.tolist(), strict=True))
    for number_, group in enumerate(bars):
        level = axis_y + 8 + 7 * number_
        marks.append(
            Markup('<path class="clique" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                place(averages[group[0]]) - 3, level, place(averages[group[-1]]) + 3
            )
        )
    return svg(WIDTH, height, marks, "average ranks")
