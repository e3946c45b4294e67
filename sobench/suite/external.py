"""Detections made elsewhere, as a run among those of a suite: scored like them, never trained."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from sobench.errors import RequestError
from sobench.suite.datasets import counted_keys
from sobench.suite.further_tests import without_further_tests
from sobench.suite.limit import as_setting
from sobench.suite.overrides import Request
from sobench.suite.plan import Run
from sobench.suite.sections import MethodEntry
from sobench.text import quoted

EXTERNAL = "external"
"""In place of a method's name, in records and in the folder of results."""


@dataclass(frozen=True)
class ExternalRun(Run):
    """A run of which only the detections are known; ``entry.label`` is what its user calls it.

    It is identified by its label, its seed and the images, so that the same detector on the same
    images is one row, whatever a suite says of training.
    """

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Label, seed and images."""
        return {
            "method": EXTERNAL,
            "label": self.entry.label,
            "seed": self.seed,
            "limit": as_setting(self.limit),
            "dataset": counted_keys(self.suite.dataset),
        }

    @property
    def origin(self) -> None:
        """Nothing that is known."""

    @property
    def learning_rate(self) -> str:
        """Not known either."""
        return "not known"

    @property
    def defect(self) -> str:
        """No package is needed."""
        return ""

    @property
    def deviations(self) -> tuple[str, ...]:
        """None that are known."""
        return ()


def external_labels(runs: Iterable[Run]) -> tuple[str, ...]:
    """Labels of the rows whose detections were made elsewhere."""
    return tuple(dict.fromkeys(run.entry.label for run in runs if isinstance(run, ExternalRun)))


def shown_label(label: str, external: Collection[str]) -> str:
    """The label of a row as tables show it, where these are the labels of external rows."""
    return f"{label} (external)" if label in external else label


def trained(runs: Iterable[Run]) -> list[Run]:
    """The runs that are no external ones."""
    return [run for run in runs if not isinstance(run, ExternalRun)]


def external_run(request: Request, label: str, seed: int, data: str) -> ExternalRun:
    """The run of detections that were made elsewhere on the val images of a suite.

    Args:
        data: fingerprint of the dataset, or empty, as for ``plan``.

    Raises:
        RequestError: the label is not a valid one, or that of a row of the suite.
    """
    suite = request.suite
    if any(label == row.label for row in suite.methods):
        raise RequestError(
            f"--label: suite {suite.name} has a row {quoted(label)} of its own; give these "
            "detections another label"
        )
    try:
        entry = MethodEntry(name=EXTERNAL, label=label)
    except ValidationError:
        entry = None
    if entry is None or entry.label != label:
        raise RequestError(
            f"--label: {quoted(label)} is not a valid label; write 1 to 100 characters that can be "
            "printed, without blanks at the ends"
        )
    # Only what narrows the images makes the result of stored detections a partial one.
    partial = request.partial if request.limit is not None else ()
    return ExternalRun(without_further_tests(suite), entry, seed, data, request.limit, partial)
