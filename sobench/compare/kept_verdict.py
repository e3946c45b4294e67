"""The verdict on a suite, kept beside its runs for as long as their detections and scores stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from hashlib import sha256
from pathlib import Path
from typing import Any

from sobench.compare.intervals import RESAMPLES, Difference, Estimate
from sobench.compare.verdict import Verdict, verdict
from sobench.data.cache_folder import cache_folder
from sobench.errors import DiskFull
from sobench.files import read_sealed, write_sealed
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, folders_of
from sobench.runs.state import States
from sobench.suite.plan import Run, short_digest
from sobench.suite.protocols import PROTOCOLS

_LAYOUT = 1
"""Version of the file; raised whenever a value could change."""


def kept_or_new(runs: Sequence[Run], states: States, results: Results) -> Verdict:
    """As ``verdict.verdict``, which is asked only if something that it follows from changed."""
    key, places = verdict_key(runs, states), verdict_places(runs, results)
    if (found := kept_verdict(places, key)) is not None:
        return found
    made = verdict(runs, states, results)
    from sobench.compare.samples import OTHER_IMAGES  # here, since a kept verdict does without

    # A row that lacks its matches today may have them tomorrow, by the same key.
    if made.labels and set(made.untested.values()) <= {OTHER_IMAGES}:
        keep_verdict(places, key, made)
    return made


def verdict_key(runs: Sequence[Run], states: States) -> str:
    """SHA-256 of all that a verdict on these runs follows from."""
    parts: list[Any] = [_LAYOUT, RESAMPLES]
    for run in runs:
        record, scores = states[run.settings_id].record, states[run.settings_id].scores
        if record is not None and scores is not None:
            digest = record.digests.get(RunFolder(Path()).detections().name)
            values = scores.model_dump(exclude={"curves"})
            parts.append([run.entry.label, record.data, record.images.get("val"), digest, values])
    return sha256(json.dumps(parts).encode()).hexdigest()


def verdict_places(runs: Sequence[Run], results: Results) -> tuple[Path, ...]:
    """Where the verdict on these rows and seeds may be kept, the better place first."""
    suite = runs[0].suite
    protocol = PROTOCOLS[suite.protocol]
    asked = short_digest([run.settings_id for run in runs])
    name = f"verdict-{protocol.name}-v{protocol.version}-{asked}.kept"
    where = short_digest([str(folder.resolve()) for folder in folders_of(results)])
    in_cache = cache_folder() / "verdicts" / where / suite.name / name
    # What is gathered belongs to none of its folders.
    return (results / suite.name / name, in_cache) if isinstance(results, Path) else (in_cache,)


def keep_verdict(places: Sequence[Path], key: str, made: Verdict) -> None:
    """Write a verdict at the first place that can be written."""
    content = {
        "key": key,
        "metrics": made.metrics,
        "labels": made.labels,
        "estimates": {label: _values(found) for label, found in made.estimates.items()},
        "pairs": [[*pair, _values(found)] for pair, found in made.pairs.items()],
        "tiers": made.tiers,
        "untested": made.untested,
        "rule": made.rule,
        "notes": made.notes,
    }
    body = json.dumps(content).encode()
    for path in places:
        # If no place can be written, it is computed again next time.
        with suppress(OSError, DiskFull):
            write_sealed(path, body)
            break


def kept_verdict(places: Sequence[Path], key: str) -> Verdict | None:
    """The verdict with this key, undamaged, or ``None`` if it is not kept."""
    for path in places:
        if (body := read_sealed(path)) is not None:
            content = json.loads(body)
            if content["key"] == key:
                return _verdict(content)
    return None


def _verdict(content: Mapping[str, Any]) -> Verdict:
    metrics = tuple(content["metrics"])
    return Verdict(
        metrics=metrics,
        labels=tuple(content["labels"]),
        estimates={
            label: {name: Estimate(*found) for name, found in zip(metrics, of_row, strict=True)}
            for label, of_row in content["estimates"].items()
        },
        pairs={
            (one, other): {
                name: Difference(*found) for name, found in zip(metrics, of_pair, strict=True)
            }
            for one, other, of_pair in content["pairs"]
        },
        tiers={label: tuple(of_row) for label, of_row in content["tiers"].items()},
        untested=content["untested"],
        rule=tuple(content["rule"]),
        notes=tuple(content["notes"]),
    )


def _values(by_metric: Mapping[str, Estimate]) -> list[tuple[Any, ...]]:
    """The fields of each estimate, in the order of the metrics."""
    return [astuple(found) for found in by_metric.values()]
