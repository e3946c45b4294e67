"""Fuzz campaigns: seeded cases, an oracle that holds for every one of them, and their repetition.

``python -m tests.campaigns.fuzz MODULE SEED NUMBER`` repeats one case and prints what it did.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import count, takewhile
from pathlib import Path
from random import Random

from tests.campaigns.counts import Counts
from tests.campaigns.guard import MOST_BYTES, Result, Step, Trial, attempt, warm_up

EXIT_CODES = (0, 1, 2, 3, 4, 130)
GOOD = ("accepted", "refused")
_MOST_LINES = 8
_MOST_CHARACTERS = 2000
_MOST_OUTPUT = 2**20
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\udc80-\udcff]")
# What rich itself sends to a terminal: colours, and the cursor of a progress bar.
_OF_RICH = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[12]K|1A|\?2026[hl])|\r")
_SECRET = "opensesame"


@dataclass(frozen=True)
class Case:
    """Hostile input, and what is done with it.

    Attributes:
        title: what is hostile about it, in a few words.
        write: makes its files in the case's folder.
        steps: tried one after the other; the case is accepted if all of them are.
        later: tried on what was accepted, and must not refuse it.
        check: a problem in the results of the steps that only this kind of case can have; empty
            if there is none.
        codes: exit codes that steps may have.
        terminal: the child believes that it writes to a terminal.
    """

    title: str
    write: Callable[[Path], None]
    steps: Sequence[Step]
    later: Sequence[Step] = ()
    check: Callable[[Sequence[Result]], str] = lambda _: ""
    codes: Sequence[int] = EXIT_CODES
    terminal: bool = False


@dataclass(frozen=True)
class Fuzz:
    """A fuzz campaign.

    Attributes:
        name: its module, to repeat a case.
        title: for the table.
        fixed: cases that are always tried, before all others.
        draw: a further case.
    """

    name: str
    title: str
    fixed: Sequence[Case]
    draw: Callable[[Random], Case]

    def case(self, seed: int, number: int) -> Case:
        """The case of this number; it depends on nothing but the arguments."""
        if number < len(self.fixed):
            return self.fixed[number]
        return self.draw(Random(f"{self.name} {seed} {number}"))


def run(fuzz: Fuzz, seed: int, seconds: float, folder: Path) -> Counts:
    """All fixed cases, then drawn ones until the time is over."""
    begin = time.monotonic()

    def in_time(number: int) -> bool:
        return number < len(fuzz.fixed) or time.monotonic() < begin + seconds

    return run_numbers(fuzz, seed, takewhile(in_time, count()), folder)


def run_numbers(fuzz: Fuzz, seed: int, numbers: Iterable[int], folder: Path) -> Counts:
    """The cases of these numbers."""
    warm_up()
    counts = Counts(fuzz.title)
    for number in numbers:
        case = fuzz.case(seed, number)
        outcome, why = judge(case, try_case(case, folder / "case"))
        again = f"python -m tests.campaigns.fuzz {fuzz.name} {seed} {number}"
        failure = "" if outcome in GOOD else f"{outcome}: {case.title}: {why}; {again}"
        counts.add(outcome, failure=failure)
    return counts


def try_case(case: Case, folder: Path) -> Trial:
    """Try a case in an empty folder, which is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)

    trial = attempt(folder, case.write, case.steps, case.later, case.terminal)
    shutil.rmtree(folder, ignore_errors=True)
    return trial


def judge(case: Case, trial: Trial) -> tuple[str, str]:
    """The outcome of a case, and a line about it."""
    last = trial.results[-1] if trial.results else Result(0, "", "")
    said = _one_line(last.err)
    if not trial.made:
        return "case not made", _one_line((last.err.strip().splitlines() or [""])[-1])
    if trial.touched:
        return "touched", trial.touched[0]
    if any("Traceback" in text for r in trial.results for text in (r.out, r.err)):
        text = next(r.err for r in trial.results if "Traceback" in r.err + r.out)
        return "traceback", _one_line(text.strip().splitlines()[-1] if text.strip() else "")
    if trial.peak > MOST_BYTES:
        return "memory", f"{trial.peak / 2**30:.1f} GiB"
    if trial.ended != "done":
        return trial.ended, f"after {len(trial.results)} of {len(case.steps)} steps"
    for result in trial.results:
        problem, why = _problem_of_text(case, result)
        if problem:
            return problem, why
    try:
        problem = case.check(trial.results)
    except Exception as error:
        problem = f"the check failed: {error!r}"
    if problem:
        return "wrong", f"{_one_line(problem)} ({said})"
    accepted = all(result.code in (0, 4) for result in trial.results)
    if not accepted and trial.later:
        return "accepted, refused later", said
    return ("accepted" if accepted else "refused"), said


def _problem_of_text(case: Case, result: Result) -> tuple[str, str]:
    """What is wrong with the exit code or the messages of a step."""
    if result.code not in case.codes:
        return "exit code", f"{result.code}: {_one_line(result.err)}"
    out, err = result.out, result.err
    if case.terminal:
        out, err = _OF_RICH.sub("", out), _OF_RICH.sub("", err)
    lines = err.splitlines()
    if len(err.rstrip()) > _MOST_CHARACTERS or len(lines) > _MOST_LINES or len(out) > _MOST_OUTPUT:
        about = f"{len(lines)} lines of {len(err)} characters, output of {len(out)}"
        return "long message", f"{about}: {_one_line(err)}"
    for text in (out, err):
        if found := _CONTROL.search(text):
            return "control characters", _one_line(text[max(0, found.start() - 60) :])
        if _SECRET in text:
            return "secret", _one_line(text)
    if result.code not in (0, 4) and not err.strip() and not out.strip():
        return "no message", f"exit code {result.code}"
    return "", ""


def _one_line(text: str) -> str:
    """The beginning of a text, escaped."""
    short = " ".join(text.split())[:160]
    return short.encode("unicode_escape", "backslashreplace").decode()


def _repeat(name: str, seed: int, number: int) -> None:
    fuzz: Fuzz = import_module(f"tests.campaigns.{name}").FUZZ
    warm_up()
    case = fuzz.case(seed, number)
    with tempfile.TemporaryDirectory() as folder:
        trial = try_case(case, Path(folder) / "case")
    print(
        f"{case.title}: {judge(case, trial)}, {trial.seconds:.1f} s, {trial.peak / 2**20:.0f} MiB"
    )
    for step, result in zip((*case.steps, *case.later), trial.results, strict=False):
        print(f"{step}: exit {result.code}\n{result.out!a}\n{result.err!a}")


if __name__ == "__main__":
    _repeat(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
