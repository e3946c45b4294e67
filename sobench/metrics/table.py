"""The table of metrics: names, headings, units, directions and formats. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Literal

from sobench.suite.protocols import Protocol

Quantity = Literal["AP", "AR"]
IoU = Literal["0.50", "0.75", "mean"]

SCORE_FORMAT = "{:.3f}"
"""How scores are printed, wherever they are."""

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


def score_metrics(protocol: Protocol) -> tuple[Metric, ...]:
    """The metrics of a protocol in the order of its columns; the first one ranks."""
    match protocol.family:
        case "coco":
            return coco_metrics(protocol)
        case "voc":
            return (_metric("AP50"), _metric("AR50"))
        case "visdrone":
            return _visdrone_metrics(protocol)
        case "tt100k":
            return _tt100k_metrics(protocol) + coco_metrics(protocol)


def class_metrics(protocol: Protocol) -> tuple[str, ...]:
    """What is known of each class; tables show the first."""
    match protocol.family:
        case "coco" | "visdrone":
            return ("AP", "AP50", "AP75", "AR")
        case "voc":
            return ("AP50", "AR50")
        case "tt100k":
            return ("F1", "accuracy", "recall", "AP", "AP50", "AP75", "AR")


def smallest_metric(protocol: Protocol) -> str | None:
    """The metric of the smallest objects that is like the one that ranks, if there is one."""
    sizes = protocol.sides or protocol.bins
    return f"{score_metrics(protocol)[0].name}_{next(iter(sizes))}" if sizes else None


def recall_metric(protocol: Protocol) -> str:
    """The recall of all detections that count."""
    return f"AR@{protocol.max_dets[-1]}" if protocol.max_dets else "AR50"


def coco_metrics(protocol: Protocol) -> tuple[ScoreMetric, ...]:
    """Those that are defined as COCO defines AP and AR.

    ``AP``, ``AP50``, ``AP75``, ``AP_<bin>`` for each size bin, ``AR@<n>`` for each limit of
    detections, ``AR_<bin>``; then, if the protocol asks for them, ``AP50_<bin>`` and
    ``AR50_<bin>``. Those without a limit in their name hold at the last limit, and AP at that of
    the protocol for it.
    """
    last, bins = protocol.max_dets[-1], protocol.bins
    ap_limit = protocol.ap_limit or last
    bins_at_50 = bins if protocol.bins_at_50 else ()
    return (
        _score("AP", "AP", ap_limit),
        _score("AP50", "AP", ap_limit, iou="0.50"),
        _score("AP75", "AP", ap_limit, iou="0.75"),
        *(_score(f"AP_{area}", "AP", ap_limit, area=area) for area in bins),
        *(_score(f"AR@{limit}", "AR", limit) for limit in protocol.max_dets),
        *(_score(f"AR_{area}", "AR", last, area=area) for area in bins),
        *(_score(f"AP50_{area}", "AP", ap_limit, iou="0.50", area=area) for area in bins_at_50),
        *(_score(f"AR50_{area}", "AR", last, iou="0.50", area=area) for area in bins_at_50),
    )


def _visdrone_metrics(protocol: Protocol) -> tuple[Metric, ...]:
    """The means of the official toolkit, and behind them those in which all classes count alike."""
    names = ("AP", "AP50", "AP75", *(f"AR@{limit}" for limit in protocol.max_dets))
    official = (
        "the mean of the official toolkit, in which a class counts once for each image with it"
    )
    return (
        *(_metric(name, official if name == "AP" else "") for name in names),
        *(
            _metric(f"{name}_class", "the mean in which each class counts once" * (name == "AP"))
            for name in names
        ),
    )


def _tt100k_metrics(protocol: Protocol) -> tuple[Metric, ...]:
    """F1, accuracy and recall, overall and by longest side; the best F1 and its cut-off."""
    longest = max(high for _, high in protocol.sides.values())
    notes = {
        "F1": "the harmonic mean of accuracy and recall over all classes together, of signs below "
        f"{longest:g} px, at IoU .50 and a score of {protocol.cutoff:g} or more",
        "accuracy": "the share of detections that are right, which others call precision",
    }
    return (
        *(_metric(name, notes.get(name, "")) for name in ("F1", "accuracy", "recall")),
        *(
            _metric(f"{name}_{size}", _sides_note(protocol) * (f"{name}_{size}" == "F1_S"))
            for size in protocol.sides
            for name in ("F1", "accuracy", "recall")
        ),
        _metric("best_F1", "the highest F1 over the score cut-offs .05, .10, ..., .95"),
        _metric("best_cutoff", "the cut-off of the highest F1, the highest one of several"),
    )


def _sides_note(protocol: Protocol) -> str:
    sides = ", ".join(f"{name} [{low:g}, {high:g})" for name, (low, high) in protocol.sides.items())
    return f"sizes of F1, accuracy and recall are longest sides in px, {sides}; those of AP areas"


def _metric(name: str, footnote: str = "") -> Metric:
    return Metric(name, name, "", True, SCORE_FORMAT, footnote)


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
