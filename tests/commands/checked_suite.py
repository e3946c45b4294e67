"""Results and a baseline of a small suite, as if they had been trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, write_suite
from tests.records import invoke, record_of

DATA = "aaaabbbbcccc"
RESULTS = Path("results")
FILE = Path("baselines/recorded/small.json")
SEEDS = (0, 1, 2)
Arguments = list[str | Path]


def train(
    path: Path, seeds: tuple[int, ...], results: Path = RESULTS, data: str = DATA,
    methods: tuple[str, ...] = (), ap: float = 0.4, **changes: Any,
) -> None:  # fmt: skip
    """Results as if they had been trained for; the seeds differ by .002 in AP."""
    for run in plan(load(path), data, seeds=seeds, methods=methods):
        values: dict[str, Any] = {
            "last_loss": {"total": 1.0 + run.seed / 100},
            "first_losses": (4.0 + run.seed, 3.0),
            "detections": 100 + run.seed,
        }
        outcome = record_of(run, ap + 0.002 * (run.seed % 3), **values | changes)
        record.write(outcome, run.folder(results))


def recorded_suite(capsys: Capture) -> Path:
    """A suite of two rows with a baseline of three seeds and nothing else."""
    path = write_suite()
    train(path, SEEDS, Path("recorded"))
    arguments: Arguments = ["check", path, "--record", "--no-run", "--seeds", "0,1,2"]
    assert invoke(capsys, *arguments, "--results", "recorded").code == 0
    return path
