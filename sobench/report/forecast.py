"""What ``sobench run`` would do and what it would cost, on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console

from sobench.report.progress import duration
from sobench.report.terminal import print_table, print_warning

if TYPE_CHECKING:
    from sobench.runs.forecast import Forecast

_MIB = 2**20


def print_forecast(found: Forecast, console: Console) -> None:
    """A line for each row that is to be trained, the sums, and what stands in the way."""
    rows = Counter(task.run.row_id for task in found.trained)
    labels = {task.run.row_id: task.run.entry.label for task in found.tasks}
    table_rows = []
    for row_id, runs in rows.items():
        estimate = found.estimates[row_id]
        memory = "-" if estimate.memory_mb is None else f"{estimate.memory_mb:.0f}"
        table_rows.append([
            labels[row_id], str(runs), str(estimate.steps), f"{estimate.step_s:.3f}",
            duration(estimate.detect_s), duration(estimate.seconds),
            duration(runs * estimate.seconds), memory,
            f"{runs * estimate.result_bytes / _MIB:.0f}",
        ])  # fmt: skip
    if table_rows:
        headings = ["method", "runs", "steps", "s/step", "detection", "time of a run", "time",
                    "peak MiB", "results MiB"]  # fmt: skip
        print_table(console, headings, table_rows, "to train, by a few steps that were timed here")
    others = Counter(
        task.found.name for task in found.tasks if not task.is_trained and task.refusal is None
    )
    for state, count in others.items():
        console.print(f"{count} {'run' if count == 1 else 'runs'} {state}, not trained")
    for row_id, reason in found.failures.items():
        print_warning(console, f"{labels[row_id]}: cannot be trained or tested: {reason}")
    cache, (cache_free, results_free) = found.cache, found.free
    if cache.images:
        console.print(
            f"image cache: {cache.images} images to decode, {cache.size / _MIB:.0f} MiB of "
            f"{cache_free / _MIB:.0f} free, {duration(cache.seconds)}; `sobench data` builds it "
            "and finds images that cannot be read",
            soft_wrap=True,
        )
    if table_rows:
        console.print(
            f"results: {found.result_bytes / _MIB:.0f} MiB of {results_free / _MIB:.0f} free, with "
            "the checkpoints of one training",
            soft_wrap=True,
        )
    if found.lacks_room:
        print_warning(console, "there is not enough room; set SOBENCH_CACHE or --results to "
                      "folders with more")  # fmt: skip
    console.print(f"in all: {duration(found.seconds)}")
