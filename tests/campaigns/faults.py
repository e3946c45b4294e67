"""Reads and writes that fail cost a message, never a traceback, a number or the work so far."""

from __future__ import annotations

import errno
import re
import shutil
from functools import cache
from pathlib import Path
from random import Random

from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harness import Ending, sobench
from tests.campaigns.matrix import (
    KINDS,
    RUN,
    SUITE,
    Numbers,
    differences,
    fresh,
    leftovers,
    numbers,
    remove,
    undisturbed,
)
from tests.campaigns.operations import NO_FLOCK, failing, noted, without_flock
from tests.campaigns.small_disk import Resize, on_a_small_disk

NAME = "faults"
TITLE = "reads and writes that fail, no flock, full disks"

FAULTS = {"EIO": 5, "ENOSPC": 4, "no flock": 1, "full disk": 1}
"""Injected errors of one operation, a file system without locks, a real small disk."""

CODES = (0, 1, 2)
"""Exit codes that a run may have when something fails below it."""

MOST_LINES = 3
"""Lines of a message that ends a command."""


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Let one operation of a matrix fail, then run the matrix again without a fault."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _case(seed, folder, counts))


def _case(seed: int, folder: Path, counts: Counts) -> None:
    random = Random(seed)
    fault = random.choices(list(FAULTS), list(FAULTS.values()))[0]
    if fault == "full disk":
        outcome, problem = _full_disk(folder, random)
    else:
        outcome, problem = _injected(folder, random, fault)
    line = failure(NAME, seed, f"{outcome}: {problem}") if problem else ""
    counts.add(outcome, "failed" if problem else "as it should be", failure=line)


def _injected(folder: Path, random: Random, fault: str) -> tuple[str, str]:
    """The fault, and what went wrong, if anything did."""
    kind = random.choice(KINDS)
    whole, _ = undisturbed(folder, kind)
    case = fresh(folder, kind, random)
    watched = (case / "results", case / "cache", whole / "data")
    if fault == "no flock":
        number = random.choice(NO_FLOCK)
        fault = f"flock: {errno.errorcode[number]}"
        ending = sobench(case, *RUN, inside=without_flock(number))
        # It may work without, or refuse in one line.
        problem = _problem(ending) or ("" if ending.code in (0, 2) else _told(ending))
    else:
        writing = fault == "ENOSPC"
        number = random.randint(1, _operations(folder, kind, writing))
        code = errno.ENOSPC if writing else errno.EIO
        ending = sobench(case, *RUN, inside=failing(watched, number, code, writing))
        problem = _problem(ending)
    if not problem:
        problem = _again(case, kind)
    if not problem:
        remove(case)
    return fault, problem


@cache
def _operations(folder: Path, kind: str, writing: bool) -> int:
    """How many operations a matrix takes that is left alone."""
    whole, _ = undisturbed(folder, kind)
    case = fresh(folder, kind, Random(0))
    watched = (case / "results", case / "cache", whole / "data")
    sobench(case, *RUN, inside=noted(watched, case / "notes", writing))
    return len((case / "notes").read_text().splitlines())


def _problem(ending: Ending) -> str:
    if ending.has_traceback or ending.code not in CODES:
        return f"exit {ending.code}: {ending.err[-600:]}"
    lines = ending.err.strip().splitlines()
    if ending.code == 2 and len([line for line in lines if not line.startswith("[")]) > MOST_LINES:
        return f"a message of {len(lines)} lines: {ending.err[-600:]}"
    return ""


def _told(ending: Ending) -> str:
    return f"exit {ending.code}: {ending.last_line}"


def _again(case: Path, kind: str) -> str:
    """Run without a fault, and compare."""
    _, expected = undisturbed(case.parent, kind)
    ending = sobench(case, *RUN)
    if ending.code or ending.has_traceback:
        return f"afterwards {_told(ending)}"
    problems = differences(expected, numbers(case))
    return "; ".join(problems + [f"{path} is left" for path in leftovers(case)])


def _full_disk(folder: Path, random: Random) -> tuple[str, str]:
    """Run on a disk of some KiB, then on the same one, which has become large enough."""
    kind = random.choice(KINDS)
    case = fresh(folder, kind, random)
    kib = int(2 ** random.uniform(3, 12))
    place = case / "disk"
    place.mkdir()
    try:
        problem, found = on_a_small_disk(place, kib, lambda resize: _filled(case, place, resize))
    except PermissionError:
        return "full disk: skipped, nothing may be mounted", ""
    problem = problem or "; ".join(differences(undisturbed(folder, kind)[1], found))
    if not problem:
        remove(case)
    return "full disk", f"{kib} KiB: {problem}" if problem else ""


def _filled(case: Path, place: Path, resize: Resize) -> tuple[str, Numbers]:
    """The problem with a run that fills its disk, if there is one, and the numbers in the end."""
    shutil.copy(case / SUITE, place / SUITE)
    ending = sobench(place, *RUN, output=case)
    problem = _problem(ending)
    if not problem and ending.code and not re.search("needed.*free|no further file", ending.err):
        problem = f"exit {ending.code} without a word of the disk: {ending.err[-600:]}"
    resize(2**20)
    ending = sobench(place, *RUN, output=case)
    problem = problem or ("" if ending.code == 0 else f"afterwards {_told(ending)}")
    problem = problem or "; ".join(f"{path} is left" for path in leftovers(place))
    return problem, numbers(place)
