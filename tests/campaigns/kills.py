"""Runs that are killed again and again end with the numbers of a run that was left alone."""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random

from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harness import Child, Ending, sobench, start, start_process
from tests.campaigns.matrix import (
    KINDS,
    RUN,
    differences,
    fresh,
    leftovers,
    numbers,
    remove,
    undisturbed,
    unsound,
)
from tests.campaigns.operations import last

NAME = "kills"
TITLE = "kills of runs that go on until they end"

STYLES = {"moment": 5, "operation": 5, "process": 1}
"""A random moment of a forked command; before or in its n-th operation on a file; a random moment
of a process that imports everything itself. Each with its share."""

MOST_KILLS = 10
LONGEST = 1.5
"""Seconds until the latest signal; a matrix that is left alone takes about as long."""

OPERATIONS = 130
"""Operations of a session until the last at which it is killed: about half a matrix."""

CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (-15, 143), signal.SIGINT: (130,)}


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Kill matrices of both kinds of data until each has ended, and compare their numbers."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _trial(seed, folder, counts))


def _trial(seed: int, folder: Path, counts: Counts) -> None:
    """One matrix, killed up to ten times."""
    random = Random(seed)
    kind = random.choice(KINDS)
    style = random.choices(list(STYLES), list(STYLES.values()))[0]
    case = fresh(folder, kind, random)
    kills: list[str] = []
    problems: list[str] = []
    ending = None
    while len(kills) < MOST_KILLS and not problems:
        ending, name = _killed(case, style, random)
        if ending.code == 0:
            break
        kills.append(name)
        problems += [f"{path} is not whole after a kill" for path in unsound(case)]
        problems += [f"{name}: {ending.last_line}"] if name == "?" or ending.has_traceback else []
    if not problems:
        problems = _end(case, kind)
    text = f"{kind} data, {style}, after {len(kills)} kills: {'; '.join(problems)}"
    counts.add(
        *kills,
        "different or failed" if problems else "matrices with the same numbers",
        failure=failure(NAME, seed, text) if problems else "",
    )
    if not problems:
        remove(case)


def _end(case: Path, kind: str) -> list[str]:
    """Let the matrix end, and say what is not as it should be."""
    _, expected = undisturbed(case.parent, kind)
    ending = sobench(case, *RUN)
    if ending.code:
        return [f"exit {ending.code}: {ending.last_line}"]
    problems = differences(expected, numbers(case))
    return problems + [f"{path} is left" for path in leftovers(case)]


def _killed(case: Path, style: str, random: Random) -> tuple[Ending, str]:
    """A session of the run, and the name of the signal that ended it; ``?`` if nothing did."""
    if style == "operation":
        share = random.choice((None, None, 0.5))
        number = random.randint(1, OPERATIONS)
        ending = sobench(case, *RUN, inside=last((case / "results", case / "cache"), number, share))
        name = "SIGKILL at an operation" if share is None else "SIGKILL in a write"
        return ending, name if ending.code in (0, -9) else "?"
    if style == "process":
        signals = [random.choice((signal.SIGKILL, signal.SIGTERM))]
        child = start_process(case, *RUN)
        moment = random.uniform(0, 5 + LONGEST)
    else:
        chosen = random.choice((signal.SIGKILL,) * 6 + (signal.SIGTERM, signal.SIGINT))
        signals = [chosen] * (random.randint(1, 3) if chosen == signal.SIGINT else 1)
        child = start(case, *RUN)
        child.wait_begun()
        moment = random.uniform(0, LONGEST)
    ending = _signalled(child, moment, signals, random)
    name = f"{signals[0].name}{' of a whole process' if style == 'process' else ''}"
    return ending, name if ending.code in (0, *CODES[signals[0]]) else "?"


def _signalled(
    child: Child, moment: float, signals: list[signal.Signals], random: Random
) -> Ending:
    child.wait_for(moment)
    for number in signals:
        child.send(number)
        child.wait_for(random.uniform(0, 0.03))
    return child.wait()
