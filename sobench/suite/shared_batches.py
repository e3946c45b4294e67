"""Whether the batches of runs can be shared by several processes, and how."""

from __future__ import annotations

from collections.abc import Sequence

from sobench.errors import RequestError
from sobench.suite.methods import get_method
from sobench.suite.plan import Run, with_required


def check_batches(runs: Sequence[Run], processes: int) -> None:
    """Check that every process gets an image of every batch.

    Raises:
        RequestError: a batch has fewer images than there are processes.
    """
    if problems := _too_small(runs, processes):
        raise RequestError(problems[0])


def sharing_notes(runs: Sequence[Run], processes: int) -> list[str]:
    """What is to be known of runs in several processes, a line each."""
    if processes == 1:
        return []
    notes = _too_small(runs, processes)
    for size, labels in _by_size(runs).items():
        least, more = divmod(size, processes)
        if least and more:
            notes.append(
                f"--gpus-per-run {processes}: {labels}: a batch of {size} images gives a process "
                f"{least} or {least + 1}, and those with {least} wait for the others"
            )
    for source, labels in _by_source(runs).items():
        notes.append(
            f"--gpus-per-run {processes}: {labels} of {source}: whether the losses divide by "
            "counts over the whole batch is up to that package; see docs/own-method.md"
        )
    return notes


def _too_small(runs: Sequence[Run], processes: int) -> list[str]:
    return [
        f"--gpus-per-run {processes}: {labels}: a batch has {size} images, too few for "
        f"{processes} processes; --gpus-per-run {size} is the most"
        for size, labels in _by_size(runs).items()
        if size < processes
    ]


def _by_size(runs: Sequence[Run]) -> dict[int, str]:
    """The labels of all runs that are trained, by the size of their batches."""
    found: dict[int, dict[str, None]] = {}
    for run in with_required(runs):
        found.setdefault(run.suite.schedule.batch_size, {})[run.entry.label] = None
    return {size: ", ".join(labels) for size, labels in found.items()}


def _by_source(runs: Sequence[Run]) -> dict[str, str]:
    """The labels of the runs whose method comes from another package, by that package."""
    found: dict[str, dict[str, None]] = {}
    for run in with_required(runs):
        if source := get_method(run.entry.name).source:
            found.setdefault(source, {})[run.entry.label] = None
    return {source: ", ".join(labels) for source, labels in found.items()}
