"""What stands beneath a leaderboard: provenance, cautions, and why results are missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from sobench.environment import Environment
from sobench.runs.state import States
from sobench.suite.external import trained
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS, Protocol
from sobench.suite.sections import Suite

NOT_RUN = "not run yet"
PARTIAL = "PARTIAL RESULT"
NARROWED = "PART OF THE SUITE"


def missing(runs: Sequence[Run], states: States) -> dict[str, str]:
    """Why runs have no result, or not all of it, and how to get it."""
    reasons: dict[str, str] = {}
    for run in runs:
        state, name = states[run.settings_id], f"{run.entry.label} seed {run.seed}"
        match state.name:
            case "done":
                continue
            case "missing" if not state.reason:
                reasons[name] = NOT_RUN
            case "to score":
                reasons[name] = f"{state.reason}; `sobench run` scores it again, without training"
            case "to test":
                reasons[name] = f"{state.reason}; `sobench run` tests it with the stored weights"
            case _:
                reasons[name] = f"{state.name}: {state.reason}"
    return reasons


def why_empty(runs: Sequence[Run], states: States) -> str:
    """Why there is no result: each state with its number of runs, and the first reason."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for run in runs:
        state = states[run.settings_id]
        name = NOT_RUN if state.name == "missing" and not state.reason else state.name
        example = f" ({run.entry.label} seed {run.seed}: {state.reason})" if state.reason else ""
        first.setdefault(name, example)
        counts[name] += 1
    reasons = "; ".join(f"{number} {name}{first[name]}" for name, number in counts.items())
    return f"{runs[0].suite.name}: {reasons}; `sobench run` goes on"


def partial(runs: Sequence[Run]) -> tuple[str, ...]:
    """The options that make the results of these runs others than the suite's."""
    return tuple(sorted({reason for run in runs for reason in run.partial}))


def narrowed(runs: Sequence[Run]) -> tuple[str, ...]:
    """Which part of the suite's rows and seeds was asked for; empty if it is all of both."""
    suite, own = runs[0].suite, trained(runs)
    labels = list(dict.fromkeys(run.entry.label for run in own))
    texts = []
    if len(labels) < len(suite.methods):
        texts.append(f"{len(labels)} of its {len(suite.methods)} rows")
    seeds = sorted({run.seed for run in own})
    if own and {*seeds} != {*suite.seeds}:
        asked, all_seeds = (", ".join(map(str, found)) for found in (seeds, suite.seeds))
        texts.append(f"{'seeds' if seeds[1:] else 'seed'} {asked} in place of {all_seeds}")
    return tuple(texts)


def provenance(runs: Sequence[Run], states: States) -> dict[str, str]:
    """What the numbers of a table were made with, line by line."""
    suite = runs[0].suite
    found = [states[run.settings_id] for run in runs]
    records = [state.record for state in found if state.record and state.scores]
    scores = [state.scores for state in found if state.record and state.scores]
    protocol = PROTOCOLS[suite.protocol]
    environments = _environments(trained(runs), states)
    libraries = [f"torch {e.packages.get('torch', '?')}" for e in environments]
    shared = [f"{e.processes} to a training" if e.processes > 1 else "1" for e in environments]
    scored_images = [scored.images for scored in scores if scored.images]
    return {
        "protocol": f"{suite.protocol} v{protocol.version} ({protocol.title})",
        "engine": _several([scored.engine for scored in scores]),
        "data": _several([f"{suite.dataset.format} {r.data}" for r in records]),
        "images": _several(
            [
                f"{r.images['train']} train, {r.images['val']} val"
                for r in records
                if r.images.keys() >= {"train", "val"}
            ]
        ),
        **({"scored images": _several(scored_images)} if scored_images else {}),
        "seeds": ", ".join(map(str, sorted({r.seed for r in records}))),
        "code": _several([f"sobench {e.code}" for e in environments]),
        "libraries": _several(libraries),
        "device": _several([e.device for e in environments]),
        **({"processes": _several(shared)} if {*shared} - {"1"} else {}),
        **({"external": "; ".join(sources)} if (sources := _sources(runs, states)) else {}),
    }


def _environments(runs: Sequence[Run], states: States) -> list[Environment]:
    """What results were made with."""
    records = [states[run.settings_id].result for run in runs]
    return [record.environment for record in records if record and record.environment]


def _sources(runs: Sequence[Run], states: States) -> list[str]:
    """Where the detections of external rows are from, row by row."""
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for run in runs:
        record = states[run.settings_id].result
        if record is not None and record.source is not None:
            source = record.source
            told = f"seed {run.seed} {source.name} ({source.layout}, {source.sha256[:12]})"
            sources[run.entry.label].append(told)
    return [f"{label}: {', '.join(told)}" for label, told in sources.items()]


def cautions(runs: Sequence[Run], states: States) -> tuple[str, ...]:
    """What to bear in mind when reading a table."""
    notes = []
    if told := partial(runs):
        notes.append(f"{PARTIAL} ({'; '.join(told)}): not comparable with the full suite")
    if told := narrowed(runs):
        notes.append(f"{NARROWED} ({'; '.join(told)}): tiers and places are among these alone")
    damaged = [
        f"{run.entry.label} seed {run.seed}" for run in runs if states[run.settings_id].damage
    ]
    if damaged:
        notes.append(f"left out, because their records do not count: {', '.join(damaged)}")
    trials = {run.entry.label: run.choice.trials if run.choice else 0 for run in trained(runs)}
    if len({*trials.values()}) > 1:
        numbers = ", ".join(f"{label} {number}" for label, number in trials.items())
        notes.append(f"rows were tuned with different numbers of trials: {numbers}")
    notes += _remarks_on_tests(runs, states)
    notes += _remarks_on_protocol(runs[0].suite)
    environments = _environments(trained(runs), states)
    if len({environment.device for environment in environments}) > 1:
        notes.append("several devices: latency and speed do not compare")
    if len({environment.processes for environment in environments}) > 1:
        notes.append("several numbers of processes to a training: its speed does not compare")
    if len({environment.code for environment in environments}) > 1:
        notes.append("several versions of the code: see provenance")
    return tuple(notes)


def purpose(protocol: Protocol, data: str) -> list[str]:
    """What to bear in mind of a protocol on data of this format."""
    notes = []
    if protocol.objects_below:
        notes.append(
            f"{protocol.name}: made in the manner of a paper that does not name its images"
        )
    if protocol.data not in ("", data):
        notes.append(
            f"{protocol.name} is made for data of the format {protocol.data}; of {data}, crowds "
            "and other regions of one class are its difficult or ignored objects"
        )
    return notes


def _remarks_on_protocol(suite: Suite) -> list[str]:
    """What the protocol is made for, and what it misses here."""
    protocol = PROTOCOLS[suite.protocol]
    notes = purpose(protocol, suite.dataset.format)
    most = suite.detect.max_detections
    if protocol.max_dets and most < protocol.max_dets[-1]:
        notes.append(
            f"{protocol.name} scores up to {protocol.max_dets[-1]} detections, and "
            f"detect.max_detections kept {most} of an image"
        )
    return notes


def _remarks_on_tests(runs: Sequence[Run], states: States) -> list[str]:
    """What the further tests of the table are, with the rows' names where rows differ in it."""
    labels: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for test in states[run.settings_id].tested:
            if test.remark:
                labels[test.key][test.remark].append(run.entry.label)
    return [
        f"{remark} ({_several(of_rows)})" if len(remarks) > 1 else remark
        for remarks in labels.values()
        for remark, of_rows in remarks.items()
    ]


def _several(values: Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(values))
