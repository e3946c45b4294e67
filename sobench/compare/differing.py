"""What differs between two sides beside their numbers: settings, versions, machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sobench.compare.sides import Outcome
from sobench.runs.search import leaves
from sobench.suite.plan import Run

_NOT_A_RESULT = (
    "name", "title", "methods", "dataset.root", "dataset.config", "dataset.outside_root",
    "backbone.weights",
)  # fmt: skip
"""Keys of a suite that change no result, or are told row by row."""

Differing = dict[str, tuple[str, str]]
"""Dotted key -> its value in A and in B; empty where it is not set."""


def settings_of(outcomes: Mapping[int, Outcome]) -> dict[str, str]:
    """The settings of a row by dotted key, as its records have them, without the seed."""
    settings = next(iter(outcomes.values())).record.settings
    return leaves({key: v for key, v in settings.items() if key != "seed"})


def differing(a: Mapping[str, str], b: Mapping[str, str]) -> Differing:
    """The keys whose values differ, or that only one of the two has."""
    return {
        key: (a.get(key, ""), b.get(key, ""))
        for key in dict.fromkeys((*a, *b))
        if a.get(key) != b.get(key)
    }


def differing_suites(a: Sequence[Run], b: Sequence[Run], known: Differing) -> Differing:
    """Keys of the suites that differ and are no setting of a row, such as ``seeds``."""
    first, second = (
        leaves(runs[0].suite.model_dump(mode="json"))
        | {"seeds": str(list(dict.fromkeys(run.seed for run in runs)))}
        for runs in (a, b)
    )
    settings = {*leaves(a[0].settings), *leaves(b[0].settings), *known, *_NOT_A_RESULT}
    return {key: v for key, v in differing(first, second).items() if key not in settings}


def provenance_of(
    shared: Sequence[tuple[Mapping[int, Outcome], Mapping[int, Outcome]]],
) -> dict[str, tuple[str, str]]:
    """Data, engine, code, libraries and device of both sides, each with all its values."""
    sides = [[o for pair in shared for o in pair[side].values()] for side in (0, 1)]

    def line(values: Sequence[Sequence[str]]) -> tuple[str, str]:
        first, second = (" / ".join(dict.fromkeys(of_side)) for of_side in values)
        return first, second

    environments = [
        [o.record.environment for o in of_side if o.record.environment] for of_side in sides
    ]
    return {
        "data": line([[o.record.data for o in of_side] for of_side in sides]),
        "engine": line([[o.scores.engine for o in of_side] for of_side in sides]),
        "code": line([[f"sobench {e.code}" for e in of_side] for of_side in environments]),
        "libraries": line(
            [[f"torch {e.packages.get('torch', '?')}" for e in of_side] for of_side in environments]
        ),
        "device": line([[e.device for e in of_side] for of_side in environments]),
    }
