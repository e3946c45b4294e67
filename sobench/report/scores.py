"""The scores of one set of detections, for people and for files."""

from __future__ import annotations

from collections.abc import Sequence

from sobench.metrics.scores import Scores
from sobench.metrics.table import SCORE_FORMAT, score_metrics
from sobench.report.sheet import Sheet, Table
from sobench.suite.protocols import PROTOCOLS


def scores_sheet(title: str, scores: Scores, lines: Sequence[str]) -> Sheet:
    """A table of the metrics and one of the classes.

    Args:
        lines: what stands beneath them.
    """
    explained = tuple(
        f"{metric.title}: {metric.footnote}"
        for metric in score_metrics(PROTOCOLS[scores.protocol])
        if metric.footnote
    )
    images = (f"scored images: {scores.images}",) if scores.images else ()
    metrics = tuple((name, _cell(value)) for name, value in scores.metrics.items())
    headings = tuple(next(iter(scores.per_class.values()), {}))
    classes = tuple(
        (name, *(_class_cell(key, values.get(key)) for key in headings))
        for name, values in scores.per_class.items()
    )
    titles = tuple(heading.replace("ground_truth", "objects") for heading in headings)
    protocol = f"protocol: {scores.protocol} v{scores.protocol_version}, {scores.engine}"
    return Sheet(
        title=title,
        tables=(
            Table("Metrics", ("metric", "value"), metrics),
            Table("By class", ("class", *titles), classes),
        ),
        lines=(*explained, *lines, *images, protocol),
        csv=({"title": title, **scores.metrics},),
        json={
            "title": title,
            "protocol": scores.protocol,
            "protocol_version": scores.protocol_version,
            "engine": scores.engine,
            "metrics": scores.metrics,
            "per_class": scores.per_class,
            "images": scores.images,
            "notes": list(lines),
        },
    )


def _cell(value: float | None) -> str:
    return "-" if value is None else SCORE_FORMAT.format(value)


def _class_cell(key: str, value: float | None) -> str:
    return f"{value:.0f}" if key == "ground_truth" and value is not None else _cell(value)
