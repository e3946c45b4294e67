"""A check of a suite against its baseline on a terminal, and what a new baseline can find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sobench.compare.findings import MEASURED, Finding, Part, Regression
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.terminal import print_table

_HEADINGS = ["verdict", "row", "metric", "baseline", "now", "tolerance", "detectable"]
_COUNTS = ("parameters", "detections", "detections of the same seed")
_EXACT: tuple[Part, ...] = ("cost", "determinism")


def print_check(regression: Regression, console: Console) -> None:
    """Regressions first, with their reasons; then accuracy row by row, and the rest in a line."""
    failing = regression.failing
    if failing:
        _print_findings(console, failing, f"{regression.title}: regressions")
        for finding in failing:
            if finding.told:
                text = f"{finding.row}: {finding.metric}: {finding.told}"
                console.print(Text(text), soft_wrap=True)
        console.print()
    held = [f for f in regression.of_part("accuracy") if not f.fails]
    if held:
        _print_findings(console, held, f"{regression.title}: accuracy")
    lines = [line for part in _EXACT for line in _summary(regression, part)]
    lines += _remarks(held)
    lines += [f"{name}: {text}" for name, text in regression.provenance.items()]
    for line in (*lines, *regression.notes):
        console.print(Text(line, style="dim"), soft_wrap=True)
    console.print(Text(conclusion(regression), style="bold"), soft_wrap=True)


def conclusion(regression: Regression) -> str:
    """The outcome in one line."""
    failing, tests = regression.failing, [f for f in regression.findings if f.verdict in MEASURED]
    if not failing:
        return f"pass: {len(tests)} tests, no regression"
    named = list(dict.fromkeys(f"{finding.row} {finding.metric}" for finding in failing))
    more = f" and {len(named) - 6} more" if named[6:] else ""
    number = "1 regression" if len(failing) == 1 else f"{len(failing)} regressions"
    return f"FAIL: {number}: {', '.join(named[:6])}{more}"


def print_power(title: str, findings: Sequence[Finding], console: Console) -> None:
    """What a check against a new baseline would find, row by row."""
    headings = ["row", "metric", "baseline", "tolerance", "detectable", ""]
    cells = [
        [f.row, f.metric, shown(f, f.baseline), shown_tolerance(f, f.tolerance),
         shown_tolerance(f, f.detectable), f.told]
        for f in findings
    ]  # fmt: skip
    print_table(console, headings, cells, title)


def shown(finding: Finding, value: float | None) -> str:
    """A value as its metric is written."""
    if value is None:
        return "-"
    if finding.metric in _COUNTS:
        return f"{value:.0f}"
    if finding.metric == "images/s":
        return f"{value:.1f}"
    is_loss = "loss" in finding.metric or finding.metric == "GFLOPs"
    return f"{value:.4g}" if is_loss else SCORE_FORMAT.format(value)


def shown_tolerance(finding: Finding, value: float | None) -> str:
    """A difference, or a factor such as ``x 1.30``."""
    if value is None:
        return "-"
    if not finding.relative:
        return "exact" if not value else SCORE_FORMAT.format(value)
    if value < 1.005:
        return f"x 1 + {value - 1:.0e}"
    return f"x {value:.2f}" if value < 1000 else f"x {value:.0e}"


def _print_findings(console: Console, findings: Sequence[Finding], title: str) -> None:
    cells = [
        [f.verdict, f.row, f.metric, shown(f, f.baseline), shown(f, f.now),
         shown_tolerance(f, f.tolerance), shown_tolerance(f, f.detectable)]
        for f in findings
    ]  # fmt: skip
    print_table(console, _HEADINGS, cells, title)


def _summary(regression: Regression, part: Part) -> list[str]:
    """Of each metric of a part how many rows have passed, and why others were not compared."""
    findings = regression.of_part(part)
    lines = []
    for metric in dict.fromkeys(finding.metric for finding in findings):
        of_metric = [finding for finding in findings if finding.metric == metric]
        verdicts = Counter(finding.verdict for finding in of_metric)
        reasons = dict.fromkeys(f.told for f in of_metric if f.verdict == "not compared")
        told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
        lines.append(f"{part}: {metric}: {told}" + (f" ({'; '.join(reasons)})" if reasons else ""))
    return lines


def _remarks(findings: Sequence[Finding]) -> list[str]:
    """Each remark with the rows that it holds for."""
    rows: dict[str, list[str]] = {}
    for finding in findings:
        if finding.told:
            rows.setdefault(f"{finding.verdict}: {finding.told}", []).append(
                f"{finding.row} {finding.metric}"
            )
    return [f"{remark} ({', '.join(names)})" for remark, names in rows.items()]
