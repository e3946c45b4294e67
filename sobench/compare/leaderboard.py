"""Records -> ranked table, with the provenance of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

import pandas as pd

from sobench.errors import NothingToCompare
from sobench.metrics.scores import Scores
from sobench.metrics.table import score_metrics
from sobench.runs import record
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite

_NOT_RUN = "not run yet"


@dataclass(frozen=True)
class Leaderboard:
    """A table and what stands beneath it.

    Attributes:
        title: of the suite.
        table: a row for each method, best first: ``rank``, ``method``, ``seeds``, each metric as
            the mean over seeds and ``<metric>_std`` (empty for one seed), then costs.
        metrics: names of the metric columns, the ranking one first.
        per_class: a row for each method, a column for each class: mean AP.
        sizes: a row for each method and further input size: ``method``, ``input``, ``seeds``, and
            metrics as in ``table``; empty if the suite has no ``eval_sizes``.
        deviations: label -> what differs from the suite.
        missing: rows without a result, with the reason.
        provenance: line by line.
        notes: what a reader should know before trusting a rank.
    """

    title: str
    table: pd.DataFrame
    metrics: tuple[str, ...]
    per_class: pd.DataFrame
    sizes: pd.DataFrame
    deviations: dict[str, tuple[str, ...]]
    missing: dict[str, str]
    provenance: dict[str, str]
    notes: tuple[str, ...]


def collect(runs: Sequence[Run], results: Path) -> list[Record]:
    """The records of these runs, of one state of the dataset, from their folders.

    Records are matched by their settings, so that the data need not be at hand. If they were made
    on several states of the dataset, the state with the most records counts, then the newest.
    """
    wanted = {run.settings_id for run in runs}
    by_data: dict[str, list[Record]] = defaultdict(list)
    for method in sorted({(run.suite.name, run.entry.name) for run in runs}):
        for folder in sorted(results.joinpath(*method).glob("s*")):
            found = record.read(folder)
            if found is not None and found.settings_id in wanted:
                by_data[found.data].append(found)
    if not by_data:
        return []
    return max(by_data.values(), key=lambda group: (len(group), max(r.finished for r in group)))


def build(runs: Sequence[Run], records: Sequence[Record]) -> Leaderboard:
    """Rank the methods of a plan by mean AP over their seeds.

    Raises:
        NothingToCompare: not one run has a result.
    """
    suite = runs[0].suite
    # A label is no part of a run's identity: it may have been changed since.
    labels = {run.settings_id: run.entry.label for run in runs}
    good: dict[str, list[Record]] = defaultdict(list)
    for found in records:
        label = labels.get(found.settings_id)  # a teacher that is no row has none
        if label and found.scored is not None and not _outdated(found.scored, suite.protocol):
            good[label].append(found)
    if not good:
        known = [f"; {n}: {r}" for n, r in _missing(runs, records).items() if r != _NOT_RUN]
        raise NothingToCompare(
            f"{suite.name}: no finished run of this suite; `sobench run` makes some"
            + "".join(known[:1])
        )
    metrics = tuple(metric.name for metric in score_metrics(PROTOCOLS[suite.protocol]))
    rows = [_row(label, group, metrics) for label, group in good.items()]
    rows.sort(key=lambda row: -_or_worst(row["AP"]))
    for rank, row in enumerate(rows, 1):
        row["rank"] = rank
    per_class = pd.DataFrame([_class_row(str(row["method"]), good) for row in rows])
    return Leaderboard(
        title=suite.title or suite.name,
        table=pd.DataFrame(rows).set_index("rank").reset_index(),
        metrics=metrics,
        per_class=per_class,
        sizes=pd.DataFrame(_size_rows(suite, [str(r["method"]) for r in rows], good, metrics)),
        deviations={run.entry.label: run.deviations for run in runs if run.deviations},
        missing=_missing(runs, records),
        provenance=_provenance(runs, [r for group in good.values() for r in group]),
        notes=_notes(runs, good),
    )


def _row(label: str, group: Sequence[Record], metrics: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {"method": label, "seeds": len(group)}
    row |= _averaged([r.scored for r in group if r.scored], metrics)
    costs = [r.cost for r in group if r.cost]
    if costs:
        row["params_m"] = costs[0].parameters / 1e6
        row["gflops"] = costs[0].gflops
        row["latency_ms"] = _median([c.latency_ms for c in costs])
        row["train_img_s"] = _median([c.train_images_s for c in costs])
        row["train_min"] = _minutes([_sum(c.train_s, c.required_s) for c in costs])
        row["extra_min"] = _minutes([c.extra_s for c in costs]) or None
    return row


def _averaged(scores: Sequence[Scores], metrics: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {}
    for name in metrics:
        values = [scored.metrics.get(name) for scored in scores]
        known = [value for value in values if value is not None]
        row[name] = mean(known) if known else None
        row[f"{name}_std"] = stdev(known) if len(known) > 1 else None
    return row


def _size_rows(
    suite: Suite, ranked: Sequence[str], good: dict[str, list[Record]], metrics: Sequence[str]
) -> list[dict[str, object]]:
    """Best method first, and of each its input sizes in the suite's order."""
    names = [record.size_name(size) for size in suite.eval_sizes]
    return [
        {"method": label, "input": name, "seeds": len(scores)} | _averaged(scores, metrics)
        for label in ranked
        for name in names
        for scores in [[r.sizes[name] for r in good[label] if _tested(r, name, suite)]]
        if scores
    ]


def _sum(own: float | None, before: float | None) -> float | None:
    return None if own is None else own + (before or 0.0)


def _minutes(seconds: Sequence[float | None]) -> float | None:
    typical = _median(seconds)
    return None if typical is None else typical / 60


def _class_row(label: str, good: dict[str, list[Record]]) -> dict[str, object]:
    values: dict[str, list[float]] = defaultdict(list)
    for found in good[label]:
        for name, scores in (found.scored.per_class if found.scored else {}).items():
            ap = scores.get("AP")
            values[name] += [] if ap is None else [ap]
    return {"method": label} | {name: mean(v) if v else None for name, v in values.items()}


def _missing(runs: Sequence[Run], records: Sequence[Record]) -> dict[str, str]:
    outcomes = {r.settings_id: r for r in records}
    sizes = [record.size_name(size) for size in runs[0].suite.eval_sizes]
    missing = {}
    for run in runs:
        found = outcomes.get(run.settings_id)
        name = f"{run.entry.label} seed {run.seed}"
        if found is None:
            missing[name] = _NOT_RUN
        elif found.scored is None:
            missing[name] = f"{found.status}: {found.reason}"
        elif _outdated(found.scored, run.suite.protocol):
            made = f"{found.scored.protocol} v{found.scored.protocol_version}"
            missing[name] = f"scored by {made}; `sobench run` scores it again, without training"
        elif untested := [s for s in sizes if not _tested(found, s, run.suite)]:
            missing[name] = f"not tested at {', '.join(untested)}; `sobench run` tests it"
    return missing


def _tested(found: Record, size: str, suite: Suite) -> bool:
    """Whether a run has scores at a further input size by the suite's present protocol."""
    return size in found.sizes and not _outdated(found.sizes[size], suite.protocol)


def _outdated(scored: Scores, protocol: str) -> bool:
    version = PROTOCOLS[protocol].version
    return (scored.protocol, scored.protocol_version) != (protocol, version)


def _provenance(runs: Sequence[Run], records: Sequence[Record]) -> dict[str, str]:
    suite = runs[0].suite
    protocol = PROTOCOLS[suite.protocol]
    places = [r.environment for r in records if r.environment]
    packages = [f"torch {p.packages.get('torch', '?')}" for p in places]
    return {
        "protocol": f"{suite.protocol} v{protocol.version} ({protocol.title})",
        "engine": _several([r.scored.engine for r in records if r.scored]),
        "data": _several([f"{suite.dataset.format} {r.data}" for r in records]),
        "images": _several(
            [f"{r.images['train']} train, {r.images['val']} val" for r in records if r.images]
        ),
        "seeds": ", ".join(map(str, sorted({r.seed for r in records}))),
        "code": _several([f"sobench {p.code}" for p in places]),
        "libraries": _several(packages),
        "device": _several([p.device for p in places]),
    }


def _notes(runs: Sequence[Run], good: dict[str, list[Record]]) -> tuple[str, ...]:
    notes = []
    partial = sorted({reason for run in runs for reason in run.partial})
    if partial:
        notes.append(f"PARTIAL RESULT ({'; '.join(partial)}): not comparable with the full suite")
    fewest = min(len(group) for group in good.values())
    if fewest < 2:
        notes.append("one seed: ranks are not tested, close ones may be chance")
    places = [r.environment for group in good.values() for r in group if r.environment]
    if len({place.device for place in places}) > 1:
        notes.append("several devices: latency and speed do not compare")
    if len({place.code for place in places}) > 1:
        notes.append("several versions of the code: see provenance")
    return tuple(notes)


def _several(values: Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(values))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _or_worst(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else -1.0
