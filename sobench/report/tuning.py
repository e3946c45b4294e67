"""The trials of ``sobench tune`` on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev

from rich.console import Console
from rich.text import Text

from sobench.compare.tuning import RowTuning
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.terminal import print_table
from sobench.suite.tuned import TrialResult, TunedRow, values_text
from sobench.yaml_text import as_written


def print_tuning(
    title: str, tunings: Sequence[RowTuning], rows: Mapping[str, TunedRow], console: Console
) -> None:
    """Every trial of every row, which was chosen, and what to beware of.

    Args:
        rows: label -> row of the file, for those with a choice.
    """
    keys = list(tunings[0].trials[0].values)
    headings = ["method", *keys, tunings[0].metric, "chosen"]
    cells = [
        [
            tuning.label,
            *(as_written(trial.values[key]) for key in keys),
            "not done" if trial in tuning.undone else _score(trial),
            "yes" if trial == tuning.chosen else "",
        ]
        for tuning in tunings
        for trial in tuning.trials
    ]
    print_table(console, headings, cells, f"{title}: trials on held-out training images")
    for tuning in tunings:
        for line in _lines(tuning, rows.get(tuning.label)):
            console.print(Text(f"{tuning.label}: {line}", style="dim"), soft_wrap=True)


def _lines(tuning: RowTuning, row: TunedRow | None) -> list[str]:
    if row is None:
        return [f"nothing chosen: {tuning.problem}"]
    seeds = f"{len(row.seeds)} seed{'s' if len(row.seeds) > 1 else ''}"
    lines = [
        f"{values_text(row.chosen)}, chosen from {len(row.trials)} on {row.held_out} held-out "
        f"training images, {row.trained_on} to train on, {seeds}"
    ]
    return lines + [
        f"{key}: the best lies at the end of the grid: widen it" for key in tuning.at_end
    ]


def _score(trial: TrialResult) -> str:
    """The mean over the seeds with its spread; a trial that diverged has none."""
    if trial.score is None:
        return "diverged"
    text = SCORE_FORMAT.format(trial.score)
    known = [score for score in trial.scores if score is not None]
    return f"{text} ±{SCORE_FORMAT.format(stdev(known))}" if len(known) > 1 else text
