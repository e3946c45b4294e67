"""The runs of a plan, one after the other: skip what is done, resume what is half done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch

from sobench import record
from sobench.execute import Watcher, execute, has_detections, rescore
from sobench.models.build import check_detector
from sobench.plan import Run
from sobench.protocols import PROTOCOLS
from sobench.record import Record


class MatrixWatcher(Watcher, Protocol):
    """Who wants to know how a matrix is getting on."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """A run begins or is picked up; ``number`` counts from 1."""

    def end(self, run: Run, outcome: Record, fresh: bool) -> None:
        """A run is done; ``fresh`` is false if it had been done before."""


def run_matrix(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    watch: MatrixWatcher,
    checkpoint_seconds: float = 60.0,
) -> Iterator[Record]:
    """The record of every run, in order.

    What is done is not done again; only its scores are brought up to the suite's protocol. A run
    that diverged would do so again, so it stays as it is until its folder is deleted; one that
    failed for another reason is tried again.

    Raises:
        RequestError: a row that is to be trained cannot be built; before any other is.
    """
    untrained = [run for run in runs if _to_do(run, results)[1] == "train"]
    for run in {run.entry.label: run for run in untrained}.values():
        check_detector(run.suite, run.entry)
    for number, run in enumerate(runs, 1):
        watch.begin(run, number, len(runs))
        before, to_do = _to_do(run, results)
        if to_do == "train" or before is None:
            outcome = execute(run, results, device, watch, checkpoint_seconds)
        else:
            outcome = rescore(run, results, before) if to_do == "score" else before
        watch.end(run, outcome, fresh=outcome is not before)
        yield outcome


def _to_do(run: Run, results: Path) -> tuple[Record | None, Literal["train", "score", "nothing"]]:
    """The record that there is, and what a run still needs."""
    before = record.read(run.folder(results))
    if before and (before.status == "diverged" or _scored_as_wanted(run, before)):
        return before, "nothing"
    rescorable = before is not None and before.scored and has_detections(run, results)
    return before, "score" if rescorable else "train"


def _scored_as_wanted(run: Run, outcome: Record) -> bool:
    scored = outcome.scored
    return (
        scored is not None
        and scored.protocol == run.suite.protocol
        and scored.protocol_version == PROTOCOLS[run.suite.protocol].version
        and scored.engine.startswith(run.suite.engine + " ")
    )
