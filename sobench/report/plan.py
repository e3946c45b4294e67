"""The runs of a suite and their states, on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from rich.console import Console

from sobench.data.cache_limit import limit_text
from sobench.report.columns import Column, fitting
from sobench.report.prune import size
from sobench.report.terminal import print_lines, print_table
from sobench.runs.needs import DataNeeds
from sobench.runs.state import RunState, StateName, States
from sobench.suite.plan import Run
from sobench.suite.tuned import learning_rate_lines

_LONGEST_LABEL = 20
"""Characters that the name of a row takes at least, where it is that long; the rest is wrapped."""


def print_plan(
    runs: Sequence[Run], states: States, console: Console, notes: Sequence[str] = ()
) -> None:
    """Every run with its state, and beneath them the reasons of the states.

    Args:
        states: empty if the data are not at hand, which states and ids depend on.
        notes: further lines.
    """
    shown, left_out = fitting(_columns(runs, states), console.width, _LONGEST_LABEL)
    suite = runs[0].suite
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    headings, cells = [column.title for column in shown], [column.cells for column in shown]
    title = f"{suite.title or suite.name}: {count}"
    print_table(console, headings, [*zip(*cells, strict=True)], title)
    if names := ", ".join(column.title for column in left_out):
        print_lines(console, [f"no room for {names}: a wider terminal shows them"])
    lines = [_reason(run, states[run.settings_id]) for run in runs if states]
    lines += learning_rate_lines({run.entry.label: run.learning_rate for run in runs})
    if any(run.deviations for run in runs):
        lines.append("deviations: `sobench audit` shows what they are")
    lines += [*(f"partial: {option}" for option in runs[0].partial), *notes]
    print_lines(console, filter(None, lines))


def print_plans(
    plans: Sequence[tuple[Sequence[Run], States]], console: Console, notes: Sequence[str] = ()
) -> None:
    """How many runs each suite has in which state, a line for each suite.

    Args:
        plans: the runs of each, and their states, empty if the data are not at hand.
        notes: further lines.
    """
    counts = [
        Counter(states[run.settings_id].name if states else "no data" for run in runs)
        for runs, states in plans
    ]
    names = [name for name in (*get_args(StateName), "no data") if any(of[name] for of in counts)]
    total = sum(len(runs) for runs, _ in plans)
    rows = [
        (runs[0].suite.name, *(str(of[name] or "-") for name in names), str(len(runs)))
        for (runs, _), of in zip(plans, counts, strict=True)
    ]
    title = f"{len(plans)} suites: {total} runs"
    print_table(console, ("suite", *names, "runs"), rows, title)
    print_lines(console, [*notes, "sobench plan SUITE shows the runs of one, with what they need"])


def print_needs(needs: DataNeeds, console: Console) -> None:
    """The image caches that the runs read, and the memory that their data take."""
    lines = [
        f"image cache, {need.name}: {need.count} images, {size(need.size)}, {need.state}"
        for need in needs.caches
    ]
    if any(need.state != "built" for need in needs.caches):
        lines.append(f"new caches may take {size(needs.room)} together, {limit_text()}")
    if any(need.state == "too large" for need in needs.caches):
        lines.append("what is too large is decoded whenever it is needed, which takes processors")
    lines.append(
        f"memory of the data: annotations {size(needs.annotation_bytes)}, a batch "
        f"{size(needs.batch_bytes)}; `sobench run --dry-run` measures that of a step"
    )
    print_lines(console, lines)


def _columns(runs: Sequence[Run], states: States) -> list[Column]:
    """All columns; ids and required runs have room before the numbers of deviations."""
    numbers = {run.settings_id: str(number) for number, run in enumerate(runs, 1)}
    requires = [", ".join(f"{role} {numbers[r.settings_id]}" for role, r in run.requires)
                for run in runs]  # fmt: skip
    names = [states[run.settings_id].name if states else "no data" for run in runs]
    cells: dict[str, tuple[int, list[str]]] = {
        "#": (0, [*numbers.values()]),
        "method": (0, [run.entry.label for run in runs]),
        "seed": (0, [str(run.seed) for run in runs]),
        "state": (0, names),
        "run": (1, [run.id if states and run.data else "-" for run in runs]),
        "requires": (2, [text or "-" for text in requires]),
        "deviations": (3, [str(len(run.deviations)) for run in runs]),
    }
    return [
        Column(name, name, tuple(of_column), priority=priority)
        for name, (priority, of_column) in cells.items()
    ]


def _reason(run: Run, state: RunState) -> str:
    """The state of a run with its reason; empty if the state says it all."""
    return (
        f"{run.entry.label} seed {run.seed}: {state.name}: {state.reason}" if state.reason else ""
    )
