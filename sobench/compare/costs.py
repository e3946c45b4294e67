"""What a row costs, from the records of its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from sobench.runs.record import Record


def costs_of(records: Sequence[Record]) -> dict[str, float | None]:
    """``COST_METRICS`` by name: medians over the seeds where they are measured.

    Minutes of training are those of the run and of all that it requires. Empty if no record has
    costs; ``None`` where a cost is not known, and for no further training.
    """
    costs = [record.cost for record in records if record.cost]
    if not costs:
        return {}
    return {
        "params_m": costs[0].parameters / 1e6,
        "gflops": costs[0].gflops,
        "latency_ms": _median([cost.latency_ms for cost in costs]),
        "train_img_s": _median([cost.train_images_s for cost in costs]),
        "train_min": _minutes([_sum(cost.train_s, cost.required_s) for cost in costs]),
        "extra_min": _minutes([cost.extra_s for cost in costs]) or None,
    }


def _sum(train_s: float | None, required_s: float | None) -> float | None:
    return None if train_s is None or required_s is None else train_s + required_s


def _minutes(seconds: Sequence[float | None]) -> float | None:
    middle = _median(seconds)
    return None if middle is None else middle / 60


def _median(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return median(defined) if defined else None
