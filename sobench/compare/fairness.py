"""The lines of fairness beneath a leaderboard, from runs and records alone; no torch, no data."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from sobench.runs.record import Cost, Record
from sobench.runs.state import States
from sobench.suite.external import ExternalRun
from sobench.suite.plan import Run
from sobench.text import shortened

_TOPICS = {
    "backbone": ("backbone",),
    "input": ("input",),
    "augmentation": ("augment",),
    "schedule": ("schedule", "precision"),
    "detections": ("detect",),
    "data": ("dataset", "limit"),
}
"""Topic -> keys of a run's settings. Heads and anchors are the methods' own matter."""

_NAMED = 4
_LONGER = 1.05
"""Trainings over one training, from which a row is named; a record's seconds waver."""


def fairness(runs: Sequence[Run], states: States) -> tuple[str, ...]:
    """What is uniform in a table and what is not, in up to four lines.

    Args:
        runs: of the table, with all seeds.
        states: of these runs; rows without any result are left out.
    """
    rows: defaultdict[str, list[Run]] = defaultdict(list)
    records: defaultdict[str, list[Record]] = defaultdict(list)
    external: dict[str, None] = {}
    for run in runs:
        result = states[run.settings_id].result if run.settings_id in states else None
        if result is not None and isinstance(run, ExternalRun):
            external[run.entry.label] = None
        elif result is not None:
            rows[run.entry.label].append(run)
            records[run.entry.label].append(result)
    lines = [_uniform(rows, records), _deviating(rows), _effort(rows, records)] if rows else []
    if external:
        lines.append(
            f"external: {_named([*external])}: detections made elsewhere, scored here like those "
            "of every row; how they were trained is not known, and costs are not measured"
        )
    return tuple(filter(None, lines))


def _uniform(rows: Mapping[str, list[Run]], records: Mapping[str, list[Record]]) -> str:
    values: dict[str, dict[str, str]] = {
        topic: {label: _settings(of_row[0], keys) for label, of_row in rows.items()}
        for topic, keys in _TOPICS.items()
    }
    values["images"] = {
        label: json.dumps(sorted({(r.data, *sorted(r.images.items())) for r in of_row}))
        for label, of_row in records.items()
    }
    values["seeds"] = {label: str(sorted(r.seed for r in of_row)) for label, of_row in rows.items()}
    same = [topic for topic, by_label in values.items() if len({*by_label.values()}) == 1]
    parts = [f"uniform: {', '.join(same)}"] if same else []
    others = [
        f"{topic} ({_odd(by_label)})" for topic, by_label in values.items() if topic not in same
    ]
    parts += [f"not uniform: {', '.join(others)}"] if others else []
    return "; ".join(parts)


def _settings(run: Run, keys: Sequence[str]) -> str:
    return json.dumps([run.settings[key] for key in keys], sort_keys=True)


def _odd(by_label: Mapping[str, str]) -> str:
    """The rows that are not as most are; of equally many, not as the first is."""
    ((usual, _),) = Counter(by_label.values()).most_common(1)
    return _named([label for label, value in by_label.items() if value != usual])


def _deviating(rows: Mapping[str, list[Run]]) -> str:
    numbers = {label: len(of_row[0].deviations) for label, of_row in rows.items()}
    own = [f"{label} {number}" for label, number in numbers.items() if number]
    if not own:
        return "no row deviates from the suite"
    verb = "deviates" if len(own) == 1 else "deviate"
    return f"{len(own)} of {len(rows)} rows {verb}, in so many ways: {_named(own)}"


def _effort(rows: Mapping[str, list[Run]], records: Mapping[str, list[Record]]) -> str:
    """Extra training, code and machines."""
    extra = [
        text for label, of_row in rows.items() if (text := _extra(label, of_row, records[label]))
    ]
    parts = [f"extra training: {_named(extra)}" if extra else "no row has extra training"]
    environments = [r.environment for of_row in records.values() for r in of_row if r.environment]
    code = [*dict.fromkeys(f"sobench {e.code}" for e in environments)]
    machines = {(e.host, e.device) for e in environments}
    if code:
        which = f"by {code[0]}" if len(code) == 1 else f"by {len(code)} versions of the code"
        where = "one machine" if len(machines) == 1 else f"{len(machines)} machines"
        parts.append(f"all results {which} on {where}")
    return "; ".join(parts)


def _extra(label: str, runs: Sequence[Run], records: Sequence[Record]) -> str:
    """How many times one training a row takes; or what it requires, where no time is known."""
    ratios = [x for record in records if record.cost and (x := _ratio(record.cost)) is not None]
    if ratios:
        times = median(ratios)
        return f"{label} x{times:.1f}" if times > _LONGER else ""
    required = [f"{role} {run.entry.label}" for role, run in runs[0].requires]
    return f"{label} ({', '.join(required)})" if required else ""


def _ratio(cost: Cost) -> float | None:
    """Seconds of all trainings over those of one; ``None`` if they are not known."""
    if cost.train_s is None or cost.required_s is None or cost.extra_s is None:
        return None
    whole = cost.train_s + cost.required_s
    one = whole - cost.extra_s
    return whole / one if one > 0 else None


def _named(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(shortened(text) for text in texts[:_NAMED]) + more
