"""Four processes at one matrix: each run is done once, and all of them end well."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random

import yaml

from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harness import Ending, start
from tests.campaigns.matrix import (
    KINDS,
    RUN,
    SUITE,
    differences,
    fresh,
    leftovers,
    numbers,
    remove,
    undisturbed,
    unsound,
)
from tests.campaigns.operations import NO_FLOCK, without_flock

NAME = "processes"
TITLE = "rounds of four processes at one matrix"

PROCESSES = 4
SECOND = "second.yaml"
"""A suite with the rows of the first in another order, and so the same runs."""

_DONE = re.compile(r"^\[\d+/\d+\] (.+ seed \d+): (?:AP|no AP)(.*)$", re.MULTILINE)


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Begin four processes at once, kill one of them in every other round, and compare."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _round(seed, folder, counts))


def _round(seed: int, folder: Path, counts: Counts) -> None:
    random = Random(seed)
    kind = random.choice(KINDS)
    case = fresh(folder, kind, random)
    suites = [SUITE] * PROCESSES
    if random.random() < 0.5:
        content = yaml.safe_load((case / SUITE).read_text())
        (case / SECOND).write_text(yaml.safe_dump(content | {"methods": content["methods"][::-1]}))
        suites = [SUITE, SECOND] * (PROCESSES // 2)
    inside = without_flock(random.choice(NO_FLOCK)) if random.random() < 0.25 else None
    victim = random.randrange(PROCESSES) if random.random() < 0.5 else None
    children = []
    for number, suite in enumerate(suites):
        arguments = (RUN[0], suite, *RUN[2:])
        children.append(start(case, *arguments, inside=inside, name=f"child-{number}"))
        time.sleep(random.choice((0, 0, random.uniform(0, 0.5))))
    if victim is not None:
        children[victim].wait_for(random.uniform(0, 2))
        children[victim].send(signal.SIGKILL)
    endings = [child.wait() for child in children]
    survivors = [ending for number, ending in enumerate(endings) if number != victim]
    problems = problems_of(case, kind, survivors, endings, victim is not None)
    how = "one suite" if suites[0] == suites[1] else "two suites"
    how += ", without flock" if inside else ""
    how += ", one killed" if victim is not None else ""
    line = failure(NAME, seed, f"{kind} data, {how}: {'; '.join(problems)}") if problems else ""
    codes = Counter(f"exit {ending.code}" for ending in survivors)
    counts.add(how, *codes.elements(), failure=line)
    if not problems:
        remove(case)


def problems_of(
    case: Path, kind: str, survivors: list[Ending], endings: list[Ending], one_killed: bool
) -> list[str]:
    """What is not as it should be after a round."""
    _, expected = undisturbed(case.parent, kind)
    problems = [
        f"exit {ending.code}: {ending.last_line}"
        for ending in survivors
        if ending.code or ending.has_traceback
    ]
    problems += differences(expected, numbers(case))
    problems += [f"{path} is left" for path in leftovers(case)]
    problems += [f"{path} is not whole" for path in unsound(case)]
    trained = Counter(
        name
        for ending in endings
        for name, how in _DONE.findall(ending.err)
        if "done before" not in how
    )
    problems += [f"{name} was done {count} times" for name, count in trained.items() if count > 1]
    # What a killed process did, it may not have told.
    if not one_killed and len(trained) != len(expected):
        problems.append(f"{len(trained)} of {len(expected)} runs were told to be done")
    return problems
