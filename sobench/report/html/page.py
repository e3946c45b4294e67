"""Results of suites as one page that works from the disk, without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from sobench import __version__
from sobench.compare.curves import ALL, Curves, Part
from sobench.compare.error_types import KINDS
from sobench.compare.page_data import PageData
from sobench.compare.pictures import Picture
from sobench.compare.reasons import by_reason
from sobench.compare.several import Several
from sobench.data.dataset import FloatArray
from sobench.metrics.table import COST_METRICS
from sobench.report.beneath import footnotes as lines_of
from sobench.report.beneath import partial_lines
from sobench.report.columns import shown_columns
from sobench.report.html.charts import EXTERNAL_MARK, PageRow, Shown
from sobench.report.html.figures import (
    cost_chart,
    forest,
    learning_chart,
    precision_recall,
    rank_diagram,
    size_chart,
)
from sobench.report.html.tables import (
    class_grid,
    error_grids,
    footnotes,
    further_grid,
    leaderboard_grid,
    pair_matrix,
)
from sobench.report.published import published_sheet
from sobench.report.sheet import Sheet
from sobench.report.view import View
from sobench.suite.protocols import PROTOCOLS, Protocol
from sobench.suite.tuned import learning_rate_lines
from sobench.text import printable

MOST_CURVES = 9_000
"""Curves of classes in one page, at most: they would take some 4 MB."""

COSTS = ("gflops", "latency_ms", "params_m")

SOURCE = Path(__file__).parent


def render(pages: Sequence[PageData], several: Several | None = None) -> str:
    """The whole page: HTML with its style, script, data and images inside.

    Args:
        pages: one for each suite.
        several: average ranks over them.
    """
    names = [label for page in pages for label in page.labels]
    names += [label for ranked in several.tables for label in ranked.ranks.rows] if several else []
    external = {label for page in pages for label in page.board.external}
    shown = {
        label: PageRow(number, label, label in external)
        for number, label in enumerate(dict.fromkeys(names))
    }
    return _template().render(
        title=" + ".join(page.board.title for page in pages),
        rows=list(shown.values()),
        external_mark=EXTERNAL_MARK if any(row.is_external for row in shown.values()) else "",
        suites=[_suite(number, page, shown) for number, page in enumerate(pages)],
        ranks=_ranks(several, shown) if several else None,
        version=__version__,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(SOURCE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters["by_reason"] = by_reason
    return environment.get_template("page.html.j2")


def _shown(value: Any) -> Any:
    """Control characters of a name are written out."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value, keep="\n")


def _suite(number: int, page: PageData, of_page: Shown) -> dict[str, Any]:
    """What the template shows of one suite."""
    board = page.board
    # The same label may be that of another row in another suite.
    own = {
        label: PageRow(of_page[label].number, label, label in board.external)
        for label in page.labels
    }
    costs = [cost for name in COSTS for cost in COST_METRICS if cost.name == name]
    curves, dropped = _limited(page.curves, len(own))
    errors = error_grids(page.boxes.errors, own) if page.boxes.errors else None
    return {
        "key": f"s{number}",
        "page": page,
        "board": board,
        "leaderboard": leaderboard_grid(board, own),
        "footnotes": footnotes(board),
        "lines": lines_of(board, shown_columns(board, View())[0]),
        "notes": [note for note in board.notes if note not in partial_lines(board)],
        "learning_rates": learning_rate_lines(board.learning_rates),
        "forest": forest(board, own),
        "costs": list(filter(None, (cost_chart(board, cost, own) for cost in costs))),
        "curves": _curve_data(curves, own),
        "curve_chart": precision_recall(_first_curves(curves, own), own, "precision over recall"),
        "dropped": dropped,
        "classes": class_grid(board, _objects(page)),
        "class_metric": board.class_metric,
        "sizes": size_chart(page.sizes, own),
        "errors": errors,
        "error_rule": _error_rule(PROTOCOLS[page.suite.protocol]),
        "kinds": KINDS,
        "loss": learning_chart(page.learning, own, "loss", "training loss"),
        "ap": learning_chart(page.learning, own, "ap", f"{board.metrics[0]} on the val images"),
        "pairs": pair_matrix(board, page.found),
        "further": further_grid(board, own),
        "published": _published(page),
        "pictures": [_picture(picture, own) for picture in page.boxes.pictures],
    }


def _error_rule(protocol: Protocol) -> str:
    """What TIDE means under a protocol of another family than COCO's; empty for its own."""
    if protocol.family == "coco":
        return ""
    if protocol.family == "tt100k":
        return (
            "Right are the detections that AP50 takes for right, whatever accuracy and recall do."
        )
    return f"Which detections are right, and what AP50 is, are as {protocol.name} has them."


def _published(page: PageData) -> Sheet | None:
    """The tables of papers on the same data, if there are any."""
    if not page.published:
        return None
    return published_sheet(page.suite, page.published, page.board)


def _ranks(several: Several, shown: Shown) -> dict[str, Any]:
    return {
        "several": several,
        "diagrams": [(r, rank_diagram(r.ranks, shown)) for r in several.tables],
    }


def _objects(page: PageData) -> dict[str, int]:
    """Class -> number of objects, where it is known."""
    counts = page.found.pairs[0].by_class if page.found else {}
    return {name: round(c.objects) for name, c in counts.items()}


def _limited(curves: Curves, rows: int) -> tuple[Curves, int]:
    """As many classes as have room on the page, in their order, and how many are left out."""
    classes = [part for part in curves if part.kind == "class"]
    room = MOST_CURVES // max(1, 3 * rows)
    left_out = set(classes[room:])
    return {part: c for part, c in curves.items() if part not in left_out}, len(left_out)


def _first_curves(curves: Curves, rows: Iterable[str]) -> dict[str, list[float]]:
    """The curves that are drawn first: of all objects at an IoU of .50."""
    first = curves.get(ALL, {}).get("0.50", {})
    return {label: first[label].tolist() for label in rows if label in first}


def _curve_data(curves: Curves, shown: Shown) -> list[dict[str, Any]]:
    """All curves for the page's script: precision in thousandths, and the area as it is shown."""
    order = {"all": 0, "size": 1, "class": 2}
    parts = sorted(curves, key=lambda part: order[part.kind])
    return [
        {
            "name": _part_text(part),
            "kind": part.kind,
            "ious": {
                iou: {
                    str(shown[label].number): {
                        "points": _thousandths(curve),
                        "area": f"{curve.mean():.3f}",
                    }
                    for label, curve in by_label.items()
                }
                for iou, by_label in curves[part].items()
            },
        }
        for part in parts
    ]


def _part_text(part: Part) -> str:
    return {"all": "all classes", "size": f"size {part.name}"}.get(part.kind, part.name)


def _thousandths(curve: FloatArray) -> list[int]:
    values: list[int] = np.round(curve * 1000).astype(int).tolist()
    return values


def _picture(picture: Picture, shown: Shown) -> dict[str, Any]:
    """An image with the outlines of its boxes as paths."""
    return {
        "name": picture.name,
        "width": picture.width,
        "height": picture.height,
        "source": Markup("data:image/jpeg;base64,") + base64.b64encode(picture.jpeg).decode(),
        "objects": _outlines(picture.objects),
        "number": len(picture.objects),
        "rows": [
            (shown[label], {
                kind: (_outlines(boxes), len(boxes))
                for kind, boxes in (("true", row.true), ("false", row.false),
                                    ("missed", row.missed))
            })
            for label, row in picture.rows.items()
        ],
    }  # fmt: skip


def _outlines(boxes: FloatArray) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in boxes.tolist())
