"""What ``sobench run`` would do and what it would cost, on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console

from sobench.data.pixels import not_cached
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
    cache_room, results_free = found.free
    if new := [need for need in found.caches if need.state == "to build"]:
        console.print(
            f"image cache: {sum(need.count for need in new)} images to decode, "
            f"{sum(need.size for need in new) / _MIB:.0f} MiB of {cache_room / _MIB:.0f} that it "
            f"may take, {duration(found.cache_s)}; `sobench data` builds it and finds images that "
            "cannot be read",
            soft_wrap=True,
        )
    for need in found.caches:
        if need.state == "too large":
            print_warning(console, f"warning: {not_cached(need.name, need.size)}")
    if table_rows:
        console.print(
            f"results: {found.result_bytes / _MIB:.0f} MiB of {results_free / _MIB:.0f} free, with "
            "the checkpoints of one training",
            soft_wrap=True,
        )
    if found.lacks_room:
        print_warning(console, "there is not enough room; set --results to a folder with more")
    console.print(f"in all: {duration(found.seconds)}")
