"""The table of metrics: names, headings, units, directions and formats. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Literal

from sobench.suite.protocols import Protocol

Quantity = Literal["AP", "AR"]
IoU = Literal["0.50", "0.75", "mean"]

SCORE_FORMAT = "{:.3f}"
"""How AP and AR are printed, wherever they are."""

ALL_AREAS = "all"
"""The area range of metrics that are not of one size bin."""


@dataclass(frozen=True)
class Metric:
    """One column of a leaderboard.

    Attributes:
        name: its key in records, and its column in CSV and JSON.
        title: the heading that people read.
        unit: empty for a fraction in 0..1.
        higher_is_better: the direction.
        format: how a value is printed, as for ``str.format``.
        footnote: printed beneath a table that shows the column; empty if the title says enough.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    format: str
    footnote: str = ""

    def text(self, value: float | None) -> str:
        """A value as it is printed; ``-`` where it is undefined."""
        return "-" if value is None or isnan(value) else self.format.format(value)


@dataclass(frozen=True, kw_only=True)
class ScoreMetric(Metric):
    """A mean over classes of precision or recall, as COCO defines them.

    Attributes:
        quantity: ``AP`` is the mean precision over recalls, ``AR`` the highest recall.
        iou: the IoU threshold, or ``mean`` over .50:.05:.95.
        area: a size bin of the protocol, or ``ALL_AREAS``.
        max_dets: the limit of detections per image and class.
    """

    quantity: Quantity
    iou: IoU
    area: str
    max_dets: int


def score_metrics(protocol: Protocol) -> tuple[ScoreMetric, ...]:
    """The metrics of a protocol in the order of its columns; the first one ranks.

    ``AP``, ``AP50``, ``AP75``, ``AP_<bin>`` for each size bin, ``AR@<n>`` for each limit of
    detections, ``AR_<bin>``; then, if the protocol asks for them, ``AP50_<bin>`` and
    ``AR50_<bin>``. Those without a limit in their name hold at the last limit.
    """
    last = protocol.max_dets[-1]
    bins_at_50 = protocol.bins if protocol.bins_at_50 else ()
    return (
        _score("AP", "AP", last),
        _score("AP50", "AP", last, iou="0.50"),
        _score("AP75", "AP", last, iou="0.75"),
        *(_score(f"AP_{area}", "AP", last, area=area) for area in protocol.bins),
        *(_score(f"AR@{limit}", "AR", limit) for limit in protocol.max_dets),
        *(_score(f"AR_{area}", "AR", last, area=area) for area in protocol.bins),
        *(_score(f"AP50_{area}", "AP", last, iou="0.50", area=area) for area in bins_at_50),
        *(_score(f"AR50_{area}", "AR", last, iou="0.50", area=area) for area in bins_at_50),
    )


def _score(
    name: str, quantity: Quantity, max_dets: int, iou: IoU = "mean", area: str = ALL_AREAS
) -> ScoreMetric:
    return ScoreMetric(
        name, name, "", True, SCORE_FORMAT, quantity=quantity, iou=iou, area=area, max_dets=max_dets
    )


COST_METRICS: tuple[Metric, ...] = (
    Metric("params_m", "params M", "1e6 weights", False, "{:.2f}"),
    Metric("gflops", "GFLOPs", "1e9 multiply-adds per image", False, "{:.2f}"),
    Metric("latency_ms", "ms", "milliseconds per image", False, "{:.1f}"),
    Metric("train_img_s", "img/s", "images per second", True, "{:.1f}"),
    Metric("train_min", "train min", "minutes", False, "{:.1f}"),
    Metric(
        "extra_min", "extra min", "minutes", False, "{:.1f}",
        "the share of train min spent beyond one training, on teachers and further stages",
    ),
)  # fmt: skip
"""What a method costs, in the order of the columns behind the scores."""
