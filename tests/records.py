"""Records that were never trained for, and the command line as a function."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sobench.cli import main
from sobench.environment import Environment
from sobench.metrics.scores import Scores
from sobench.metrics.table import score_metrics
from sobench.runs import record
from sobench.runs.record import Cost, Record
from sobench.runs.state import RunState, state_of
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def metrics_of(protocol: str, ap: float | None) -> dict[str, float | None]:
    """Every metric of a protocol, each of another value that follows from ``ap``."""
    names = [metric.name for metric in score_metrics(PROTOCOLS[protocol])]
    return {name: None if ap is None else ap + i / 1000 for i, name in enumerate(names)}


def scored(ap: float | None, protocol: str = "coco", **changes: Any) -> Scores:
    """Scores in which cars are found better than buses by 0.2."""
    values: dict[str, Any] = {
        "protocol": protocol,
        "protocol_version": PROTOCOLS[protocol].version,
        "engine": "hotcoco 1.0",
        "metrics": metrics_of(protocol, ap),
        "per_class": {
            "car": {"AP": None if ap is None else ap + 0.1},
            "bus": {"AP": None if ap is None else ap - 0.1},
            "tram": {"AP": None},
        },
        "curves": {"car": {"mean": [1.0, 0.5, None]}},
    }
    return Scores(**values | changes)


ENVIRONMENT = Environment(
    code="0.1.0 abcdef0123",
    python="3.11.0",
    packages={"torch": "2.0"},
    system="Linux x86_64",
    host="somewhere",
    device="some processor, 2 cores",
    threads=2,
)
COST = Cost(
    parameters=2_500_000, trainable=2_000_000, gflops=1.25, latency_ms=12.5,
    train_images_s=40.0, train_s=90.0, required_s=0.0, peak_memory_mb=512.0,
)  # fmt: skip


def record_of(run: Run, ap: float | None = 0.5, **changes: Any) -> Record:
    """The record that ``run`` might have left behind; ``scored`` are its only scores."""
    only = changes.pop("scored", None) or scored(ap, run.suite.protocol)
    values: dict[str, Any] = {
        **record.identity(run),
        "status": "partial" if run.partial else "ok",
        "images": {"train": 9, "val": 3},
        "scores": {only.name: only},
        "cost": COST,
        "environment": ENVIRONMENT,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(**values | changes)


def states_of(runs: Iterable[Run], records: Iterable[Record]) -> dict[str, RunState]:
    """The states of runs that left these records behind, and no other files."""
    by_id = {record.settings_id: record for record in records}
    return {run.settings_id: state_of(run, by_id.get(run.settings_id)) for run in runs}


def failed_record(run: Run, status: str = "failed", reason: str = "no luck") -> Record:
    """The record of a run that did not finish."""
    return Record.model_validate({**record.identity(run), "status": status, "reason": reason})


class Outcome(NamedTuple):
    """What a command line left behind."""

    code: int
    out: str
    err: str


def invoke(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Outcome:
    """``sobench ARGUMENTS``, in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        main([str(argument) for argument in arguments])
    assert isinstance(leaving.value.code, int)
    return Outcome(leaving.value.code, *capsys.readouterr())


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in ``folder``, cache below it, and forget what the user has set."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SOBENCH_CACHE", str(folder / "cache"))
    for name in ("SOBENCH_DATA", "SOBENCH_RESULTS", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
