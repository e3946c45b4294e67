"""Results of a suite as single plots, for papers and slides; drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sobench.compare.curves import ALL
from sobench.compare.history import Points
from sobench.compare.page_data import PageData
from sobench.compare.pareto import pareto_front
from sobench.compare.tiers import tier_text
from sobench.metrics.precision import RECALLS
from sobench.metrics.table import COST_METRICS, Metric
from sobench.report.beneath import partial_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#4A4F57", "#56B4E9", "#7A6100")
"""After Okabe and Ito, "Color Universal Design", 2008; without their yellow, faint on white."""

_MARKERS, _DASHES = ("o", "s", "^"), ("-", "--", ":")

_SETTINGS: Any = {
    "figure.dpi": 160, "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "legend.fontsize": 8, "svg.fonttype": "none", "svg.hashsalt": "sobench", "pdf.fonttype": 42,
    "text.parse_math": False,
}  # fmt: skip

_LETTERS = 15
"""Characters of a title in an inch."""

Style = Mapping[str, dict[str, Any]]
"""Label -> colour, marker and line style."""


def plots_of(page: PageData, form: str) -> dict[str, bytes]:
    """Every plot of one suite that its results allow, as files.

    Args:
        page: the results.
        form: ``png``, ``svg`` or ``pdf``.

    Returns:
        End of the file's name, such as ``cost_gflops.png`` -> content.
    """
    import matplotlib

    style = {label: _style(number) for number, label in enumerate(page.labels)}
    with matplotlib.rc_context(rc=_SETTINGS):
        return {f"{name}.{form}": _saved(figure, form) for name, figure in _figures(page, style)}


def _figures(page: PageData, style: Style) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each plot of one suite that its results allow."""
    for name in ("gflops", "latency_ms", "params_m"):
        cost = next(metric for metric in COST_METRICS if metric.name == name)
        if figure := _cost(page, cost, style):
            yield f"cost_{name}", figure
    draws: dict[str, Callable[[PageData, Style], Figure | None]] = {
        "intervals": _intervals,
        "precision_recall": _precision_recall,
        "classes": _classes,
        "sizes": _sizes,
        "learning": _learning,
    }
    for name, draw in draws.items():
        if figure := draw(page, style):
            yield name, figure


def _cost(page: PageData, cost: Metric, style: Style) -> Figure | None:
    board, metric = page.board, page.board.metrics[0]
    points = {
        str(row["method"]): (float(row[cost.name]), float(row[metric]))
        for _, row in board.table.iterrows()
        if cost.name in row and pd.notna(row[cost.name]) and pd.notna(row[metric])
    }
    if not points:
        return None
    figure, (axes,) = _new(page, 1)
    front = pareto_front(points)
    axes.step(*zip(*(points[label] for label in front), strict=True), where="post",
              color="0.6", linewidth=1, linestyle="--", label="Pareto front")  # fmt: skip
    for label, (x, y) in points.items():
        axes.errorbar(x, y, _whisker(page, label, y), label=_name(page, label), capsize=2,
                      **(style[label] | {"linestyle": "none"}))  # fmt: skip
    axes.set(xlabel=f"{cost.title} ({cost.unit})", ylabel=f"{metric}, mean and 95 % interval")
    _legend(axes, len(points))
    return figure


def _intervals(page: PageData, style: Style) -> Figure | None:
    board, metric = page.board, page.board.metrics[0]
    means = {
        str(row["method"]): float(row[metric])
        for _, row in board.table.iterrows()
        if pd.notna(row[metric])
    }
    if not means:
        return None
    figure, (axes,) = _new(page, 1, height=1.2 + 0.28 * len(means))
    for position, (label, mean) in enumerate(means.items()):
        axes.errorbar(mean, position, xerr=_whisker(page, label, mean), capsize=2,
                      **style[label])  # fmt: skip
    tiers = {label: tier_text(page.board.verdict.tiers.get(label, ())) for label in means}
    names = [f"{page.board.shown_label(label)}  [{tier}]" for label, tier in tiers.items()]
    axes.set_yticks(range(len(means)), names)
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set(xlabel=f"{metric}, mean and 95 % interval; tier in brackets")
    return figure


def _precision_recall(page: PageData, style: Style) -> Figure | None:
    by_iou = {iou: curves for iou, curves in page.curves.get(ALL, {}).items() if curves}
    if not by_iou:
        return None
    figure, panels = _new(page, len(by_iou))
    for axes, (iou, curves) in zip(panels, sorted(by_iou.items()), strict=True):
        for label in filter(curves.__contains__, page.labels):
            line = {key: style[label][key] for key in ("color", "linestyle")}
            axes.plot(RECALLS, curves[label], label=_name(page, label), **line)
        title = "mean of IoU .50 to .95" if iou == "mean" else f"IoU {iou.lstrip('0')}"
        axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    _legend(panels[-1], len(curves))
    return figure


def _classes(page: PageData, style: Style) -> Figure | None:  # noqa: ARG001
    table = page.board.per_class.set_index("method").astype(float)
    if table.empty or table.isna().all(axis=None):
        return None
    size = (2.5 + 0.55 * len(table.columns), 1.6 + 0.3 * len(table))
    figure, (axes,) = _new(page, 1, width=size[0], height=size[1])
    image = axes.imshow(table, cmap="cividis", aspect="auto", vmin=0)
    axes.set_xticks(range(len(table.columns)), table.columns, rotation=40, ha="right")
    axes.set_yticks(range(len(table)), [page.board.shown_label(label) for label in table.index])
    axes.grid(visible=False)
    middle = float(np.nanmax(table)) / 2
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if not np.isnan(value):
            colour = "black" if value > middle else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=7)
    figure.colorbar(image, ax=axes, label=page.board.class_metric)
    return figure


def _sizes(page: PageData, style: Style) -> Figure | None:
    if not page.sizes:
        return None
    figure, (axes,) = _new(page, 1)
    names = [_size(b.low, b.high, b.objects) for b in page.sizes]
    for label in page.sizes[0].recall:
        recalls = [of_bin.recall[label] for of_bin in page.sizes]
        axes.plot(names, recalls, label=_name(page, label), **style[label])
    axes.set(xlabel="square root of the object's area in pixels; n objects",
             ylabel="recall at IoU .50 from the best F1 on", ylim=(0, 1))  # fmt: skip
    _legend(axes, len(page.sizes[0].recall))
    return figure


def _size(low: float, high: float, objects: int) -> str:
    text = f"{low:g}+" if np.isinf(high) else f"{low:g}-{high:g}"
    return f"{text}\nn={objects}"


def _learning(page: PageData, style: Style) -> Figure | None:
    from matplotlib.ticker import LogLocator, NullFormatter

    shown: dict[str, dict[str, Points]] = {
        "training loss": {k: c.loss for k, c in page.learning.items() if c.loss},
        f"{page.board.metrics[0]} on the val images": {
            k: c.ap for k, c in page.learning.items() if c.ap
        },
    }
    shown = {title: curves for title, curves in shown.items() if curves}
    if not shown:
        return None
    figure, panels = _new(page, len(shown))
    for axes, (title, curves) in zip(panels, shown.items(), strict=True):
        for label, points in curves.items():
            axes.plot(*zip(*points, strict=True), label=_name(page, label), markersize=4,
                      **style[label])  # fmt: skip
        axes.set(xlabel="training step", ylabel=title)
        if title == "training loss":
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
    _legend(panels[-1], len(page.learning))
    return figure


def _new(
    page: PageData, panels: int, width: float = 5.2, height: float = 3.8
) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, the suite's title, and what the result is a part of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * (panels if panels == 1 else panels * 0.85), height),
                    layout="constrained")  # fmt: skip
    lines = [page.board.title, *partial_lines(page.board)]
    letters = int(_LETTERS * figure.get_figwidth())
    title = "\n".join(piece for text in lines for piece in wrap(text, letters))
    figure.suptitle(title, fontsize=9)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _legend(axes: Axes, rows: int) -> None:
    """Beside the plot, so that it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=1 + rows // 18)


def _name(page: PageData, label: str) -> str:
    """A row as tables show it; matplotlib leaves what begins with a line out of legends."""
    name = page.board.shown_label(label)
    return f" {name}" if name.startswith("_") else name


def _whisker(page: PageData, label: str, mean: float) -> list[list[float]]:
    """From a mean to the ends of its interval, which is of the metric that ranks."""
    found = page.board.verdict.estimates.get(label, {}).get(page.board.metrics[0])
    if found is None or pd.isna(found.low):
        return [[0.0], [0.0]]
    # Of no width, an interval may differ from the mean in the last digit.
    return [[max(mean - found.low, 0.0)], [max(found.high - mean, 0.0)]]


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": _MARKERS[number // len(COLOURS) % len(_MARKERS)],
        "linestyle": _DASHES[number // len(COLOURS) % len(_DASHES)],
    }


def _saved(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    # The same results give the same bytes.
    metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
    figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()
