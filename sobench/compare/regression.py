"""Results and a baseline -> what is worse, part by part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sobench.compare.accuracy_gate import accuracy_findings
from sobench.compare.baseline import Baseline, Machine, SeedResult, result_of
from sobench.compare.cost_gate import cost_findings
from sobench.compare.determinism_gate import determinism_findings
from sobench.compare.findings import MEASURED, Finding, Regression, Verdict, in_order
from sobench.compare.tolerance import FALSE_ALARMS
from sobench.errors import NothingToCompare
from sobench.runs.state import States
from sobench.suite.plan import Run


def compare(
    runs: Sequence[Run],
    states: States,
    baseline: Baseline,
    whole: bool = True,
    code: str = "",
) -> Regression:
    """Hold the results of a plan against its baseline, which fits it.

    Args:
        whole: whether every row of the suite was asked for, so that each row of the baseline must
            be there.
        code: the present version, to tell of results of another one.

    Raises:
        NothingToCompare: not one row has a result that could be worse than the baseline's.
    """
    machines: list[Machine] = []
    results: defaultdict[str, list[SeedResult]] = defaultdict(list)
    for run in runs:
        outcome = states[run.settings_id].result
        if outcome is not None and outcome.environment is not None:
            machine = Machine.of(outcome.environment)
            if machine not in machines:
                machines.append(machine)
            place = machines.index(machine)
            results[run.entry.label].append(result_of(run, outcome, place))
    recorded = {label: row.seeds for label, row in baseline.rows.items()}
    both = {label: (recorded[label], new) for label, new in results.items() if label in recorded}
    findings = [
        *_unfinished(runs, states, baseline, results, whole),
        *accuracy_findings(recorded, results, baseline.protocol),
        *cost_findings(both, baseline.machines, machines),
        *determinism_findings(both, baseline.machines, machines),
    ]
    _check_measured(runs, findings)
    suite = runs[0].suite
    return Regression(
        suite.name, suite.title or suite.name, in_order(findings),
        _provenance(runs, baseline, results, machines),
        (*_notes(runs, states, baseline, results), *_note_on_code(machines, code)),
    )  # fmt: skip


def _unfinished(
    runs: Sequence[Run],
    states: States,
    baseline: Baseline,
    results: dict[str, list[SeedResult]],
    whole: bool,
) -> list[Finding]:
    """Trainings that broke, and rows of the baseline without any result."""
    findings = []
    for run in runs:
        state, label = states[run.settings_id], run.entry.label
        if label in baseline.rows and state.name in ("diverged", "failed") and not state.result:
            verdict: Verdict = "diverged" if state.name == "diverged" else "failed"
            told = f"seed {run.seed}: {state.reason}"
            findings.append(Finding(label, "run", "training", verdict, told=told))
    broken = {finding.row for finding in findings}
    asked = {run.entry.label: run for run in runs}
    for label in baseline.rows:
        if results.get(label) or label in broken or (label not in asked and not whole):
            continue
        told = "the suite has no such row any more; record the baseline anew"
        if label in asked:
            state = states[asked[label].settings_id]
            told = f"{state.name}: {state.reason}" if state.reason else "not run yet"
        findings.append(Finding(label, "run", "training", "missing", told=told))
    return findings


def _check_measured(runs: Sequence[Run], findings: Sequence[Finding]) -> None:
    """Refuse to call a check green that could not have failed."""
    accuracy = [f for f in findings if f.part == "accuracy" and f.verdict in MEASURED]
    if accuracy or any(f.verdict in ("failed", "diverged") for f in findings):
        return
    reasons = "; ".join(f"{f.row}: {f.told}" for f in findings if f.part == "run")
    why = reasons or "no metric of any row says enough to be worse"
    raise NothingToCompare(f"{runs[0].suite.name}: nothing to compare with the baseline: {why}")


def _provenance(
    runs: Sequence[Run],
    baseline: Baseline,
    results: dict[str, list[SeedResult]],
    machines: Sequence[Machine],
) -> dict[str, str]:
    then = sorted({result.seed for row in baseline.rows.values() for result in row.seeds})
    now = sorted({result.seed for of_row in results.values() for result in of_row})
    return {
        "baseline": f"recorded {baseline.recorded} by sobench {baseline.code}",
        "code": _then_and_now(_codes(baseline.machines), _codes(machines)),
        "seeds": _then_and_now(_listed(then), _listed(now)),
        "protocol": f"{baseline.protocol} v{baseline.protocol_version}",
        "data": f"{runs[0].suite.dataset.format} {baseline.data}",
        "machine": _then_and_now(_devices(baseline.machines), _devices(machines)),
    }


def _notes(
    runs: Sequence[Run],
    states: States,
    baseline: Baseline,
    results: dict[str, list[SeedResult]],
) -> tuple[str, ...]:
    notes = [
        "tolerance: what training noise explains, such that an unchanged tree fails "
        f"{FALSE_ALARMS:.0%} of the checks; detectable: found nine times in ten",
    ]
    new = [label for label in results if label not in baseline.rows]
    if new:
        notes.append(f"not in the baseline, so not compared: {', '.join(new)}; record it anew")
    partly = [
        run.name
        for run in runs
        if results.get(run.entry.label)
        and states[run.settings_id].result is None
        and states[run.settings_id].name not in ("failed", "diverged")  # which are findings
    ]
    if partly:
        notes.append(f"without a result: {', '.join(partly)}; their rows have fewer seeds")
    single = [label for label, row in baseline.rows.items() if len(row.seeds) == 1]
    if single:
        notes.append(
            f"one seed in the baseline: {', '.join(single)}; their spread is that of the other rows"
        )
    return tuple(notes)


def _note_on_code(machines: Sequence[Machine], code: str) -> list[str]:
    """What is compared may be of before a change, which then goes unnoticed."""
    others = [machine for machine in machines if machine.code != code]
    if not code or not others:
        return []
    return [f"results of {_codes(others)}, not of the present sobench {code}: begin with an empty "
            "--results to check that"]  # fmt: skip


def _then_and_now(then: str, now: str) -> str:
    return f"{then} then and now" if then == now else f"{then} then, {now} now"


def _codes(machines: Sequence[Machine]) -> str:
    return _listed(dict.fromkeys(f"sobench {machine.code}" for machine in machines)) or "none"


def _devices(machines: Sequence[Machine]) -> str:
    told = (
        f"{m.device}, {m.threads} {'thread' if m.threads == 1 else 'threads'}, "
        f"torch {m.packages.get('torch', '?')}"
        for m in machines
    )
    return " / ".join(dict.fromkeys(told)) or "none"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
