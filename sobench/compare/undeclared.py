"""Settings of a run that are not the suite's, and that nothing in its row declares; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sobench.runs.search import leaves
from sobench.suite.datasets import counted_keys
from sobench.suite.plan import Run
from sobench.suite.sections import Suite
from sobench.suite.tuned import overlapping
from sobench.suite.weights import weights_id

_SECTIONS = ("input", "augment", "neck", "head", "anchors", "regions", "schedule", "precision",
             "detect", "dataset", "backbone")  # fmt: skip
"""Of a suite, what results depend on; a run that has no use for one leaves it out."""

_FOR_ALL = ("protocol", "engine", "ignore_regions")
"""Keys that a run's settings leave out, or name only where they are not the default."""


def undeclared(
    run: Run, suite: Suite, settings: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Keys of a run, and of the runs that it requires, whose values nothing declares.

    A key is declared by the row's ``deviations``, by a value that was chosen for it, or, for the
    anchors and the regions, by another head of the row.

    Args:
        suite: the one that all rows share.
        settings: of the run's record, instead of those that the run has now.

    Returns:
        ``key: value of the run, value of the suite``, with the role of a required run before it.
    """
    found = [*_of_settings(run, suite, settings or run.settings)]
    found += [
        f"{key}: {getattr(run.suite, key)}, in the suite {getattr(suite, key)}"
        for key in _FOR_ALL
        if getattr(run.suite, key) != getattr(suite, key) and key not in run.entry.deviations
    ]
    for role, required in run.requires:
        found += [f"its {role} {required.entry.label}: {x}" for x in undeclared(required, suite)]
    return tuple(found)


def _of_settings(run: Run, suite: Suite, settings: Mapping[str, Any]) -> Iterator[str]:
    content = suite.model_dump(mode="json")
    shared = {key: content[key] for key in _SECTIONS if key in settings}
    shared["dataset"] = counted_keys(suite.dataset)
    # Weights are of an architecture: another one, which the row declares, has its own.
    pinned = suite.backbone.model_copy(update={"name": settings["backbone"]["name"]})
    shared["backbone"] = shared["backbone"] | {"weights": weights_id(pinned)}
    there = leaves(shared)
    here = leaves({key: value for key, value in settings.items() if key in shared})
    declared = dict(run.entry.deviations) | dict(run.choice.values if run.choice else {})
    if "head" in declared:  # which brings octaves of its own
        declared["anchors"] = None
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key) and not overlapping(key, declared):
            yield f"{key}: {here.get(key, 'not there')}, in the suite {there.get(key, 'not there')}"
    switches = dict(settings.get("switches", {}))
    for key in sorted(switches.keys() | run.entry.switches.keys()):
        if switches.get(key) != run.entry.switches.get(key):
            yield f"{key}: {switches.get(key)}, in the row {run.entry.switches.get(key)}"
