"""The runs of a suite and their states, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sobench.report.terminal import print_table
from sobench.runs.state import RunState, States
from sobench.suite.plan import Run
from sobench.suite.tuned import learning_rate_lines


def print_plan(
    runs: Sequence[Run], states: States, console: Console, notes: Sequence[str] = ()
) -> None:
    """Every run with its state, and beneath them the reasons of the states.

    Args:
        states: empty if the data are not at hand, which states and ids depend on.
        notes: further lines.
    """
    numbers = {run.settings_id: str(number) for number, run in enumerate(runs, 1)}
    table_rows = [
        [
            numbers[run.settings_id],
            run.entry.label,
            str(run.seed),
            states[run.settings_id].name if states else "no data",
            run.id if states else "-",
            ", ".join(f"{role} {numbers[r.settings_id]}" for role, r in run.requires) or "-",
            str(len(run.deviations)),
        ]
        for run in runs
    ]
    suite = runs[0].suite
    headings = ["#", "method", "seed", "state", "run", "requires", "deviations"]
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    print_table(console, headings, table_rows, f"{suite.title or suite.name}: {count}")
    lines = [_reason(run, states[run.settings_id]) for run in runs if states]
    lines += learning_rate_lines({run.entry.label: run.learning_rate for run in runs})
    if any(run.deviations for run in runs):
        lines.append("deviations: `sobench audit` shows what they are")
    lines += [*(f"partial: {option}" for option in runs[0].partial), *notes]
    for line in filter(None, lines):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _reason(run: Run, state: RunState) -> str:
    """The state of a run with its reason; empty if the state says it all."""
    return (
        f"{run.entry.label} seed {run.seed}: {state.name}: {state.reason}" if state.reason else ""
    )
