"""Hostile suites and options: they are refused in a line or two, or they work."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from sobench.cli import main
from sobench.suite import reader
from sobench.suite.further_tests import further_tests
from tests.campaigns import hostile
from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.guard import Result, Step
from tests.campaigns.known_suites import KNOWN_OPTIONS, KNOWN_PATHS, KNOWN_TEXTS
from tests.campaigns.thin import make_thin
from tests.tiny_suite import CONTENT

NAME = "fuzz_suites"
SUITE = "suites/case.yaml"
SUITES = Path(__file__).parents[2] / "suites"
TINY = CONTENT | {
    "dataset": {"format": "synthetic", "train": 3, "val": 2, "size": [64, 64], "objects": [2, 4]},
    "schedule": {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}},
    "methods": ["fpn", {"name": "ssd", "label": "other", "init_from": ""}],
}
TINY["methods"][1].pop("init_from")

_SNIPPETS = (
    "!!python/object/apply:os.system ['touch x']", "!!python/name:os.system", "!!binary aGk=",
    "!!int x", "!!float", "!!bool maybe", "!!timestamp x", "2001-99-99", "!!set {a, b}",
    "!!omap [a: 1]", "!unknown x", "*nowhere", "&a [*a]", "&a {b: *a}", "{<<: 1}", "{<<: [x]}",
    '"\\0"', '"\\uD800"', '"\\x1b[2J"', "12:30:45", "0o17", "0b12", "1_0", ".inf", "-.nan", "~",
    "? {a: b} : c", "{[1]: 2}", "{? [1, 2] : 3}", "|\n  x", "'", "@", "%", "\t- x", "&a x",
)  # fmt: skip
_FORMATS = ("terminal", "md", "csv", "json")


@cache
def _suites() -> tuple[tuple[str, str], ...]:
    """Name and text of every shipped suite."""
    return tuple((path.name, path.read_text()) for path in sorted(SUITES.rglob("*.yaml")))


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz suites and options until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """One case: a changed suite, a damaged text, or hostile options."""
    kind = random.random()
    if kind < 0.5:
        return _changed(random)
    if kind < 0.65:
        return _damaged(random)
    return _options(random)


def _changed(random: Random) -> Case:
    """A suite with one to three values, keys or rows changed."""
    tiny = random.random() < 0.5
    name, tree = ("tiny", TINY)
    if not tiny:
        name, text = random.choice(_suites())
        tree = yaml.safe_load(text)
    changed, told = hostile.mutate(random, tree, random.choice((1, 1, 1, 2, 3)))
    content = hostile.to_bytes(hostile.to_json(changed, random.random() < 0.7))
    return case_of_text(
        f"{name}: {told}", content, random.choice(_FORMATS), random.random() < 0.15,
        run=tiny and random.random() < 0.15,
    )  # fmt: skip


def _damaged(random: Random) -> Case:
    """The text of a suite with YAML put in the place of a value, or with damaged bytes."""
    name, text = random.choice(_suites())
    if random.random() < 0.5:
        content, told = hostile.damage(random, text.encode())
        return case_of_text(f"{name}: {told}", content, random.choice(_FORMATS), False)
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if ": " in line and line[0] != "#"]
    number, snippet = random.choice(places), random.choice(_SNIPPETS)
    key = lines[number].partition(":")[0]
    lines[number] = f"{key}: {snippet}"
    content = "\n".join(lines).encode()
    return case_of_text(f"{name}: {key}: {snippet}", content, random.choice(_FORMATS), False)


def _options(random: Random) -> Case:
    """Hostile values of the options that every command takes."""
    option = random.choice(
        ("--set", "--set", "--set", "--seeds", "--methods", "--limit", "--epochs")
    )
    new = hostile.value(random)
    text = hostile.to_json(new) if random.random() < 0.5 else str(new)
    if "\ue000" in text:
        text = hostile.to_json(new)
    if option == "--set":
        text = f"{_dotted_key(random)}={random.choice((text, *_SNIPPETS))}"
    elif option == "--seeds" and random.random() < 0.5:
        text = ",".join(str(random.choice(hostile.NUMBERS)) for _ in range(3))
    return case_of_options(option, text[:60_000], random.choice(("plan", "report")))


def _dotted_key(random: Random) -> str:
    places = [place for place in hostile.paths(TINY) if not any(isinstance(p, int) for p in place)]
    key = ".".join(random.choice(places))
    return random.choice((key, key, key, f"{key}.x", key.upper(), "", ".", "a.b.c", "methods"))


def case_of_text(title: str, content: bytes, table: str, terminal: bool, run: bool = False) -> Case:
    """A suite file given to every command that reads suites."""

    def write(folder: Path) -> None:
        (folder / "suites").mkdir()
        (folder / SUITE).write_bytes(content)

    steps: list[Step] = [plan_or_no_data(SUITE), ("list", "suites")]
    steps += [("report", SUITE, "--format", table)]
    return Case(title, write, steps, (_smallest_run,) if run else (), terminal=terminal)


def case_of_options(option: str, text: str, command: str) -> Case:
    """The tiny suite with one option."""

    def write(folder: Path) -> None:
        (folder / "suites").mkdir()
        (folder / SUITE).write_text(hostile.to_json(TINY))

    check = (lambda results: _seeds_problem(text, results)) if option == "--seeds" else _no_problem
    return Case(f"{option} {text[:60]!a}", write, [(command, SUITE, option, text)], check=check)


def _no_problem(_results: Sequence[Result]) -> str:
    return ""


def _seeds_problem(text: str, results: Sequence[Result]) -> str:
    """What a suite may not have as seed, no option may have either."""
    accepted = results[-1].code in (0, 4)
    numbers = [number.strip() for number in text.split(",") if number.strip()]
    fit = all(re.fullmatch(r"\d{1,10}", number) and int(number) < 2**31 for number in numbers)
    return "accepted seeds beyond 32 bits" if accepted and not fit else ""


def case_of_path(title: str, write: Callable[[Path], None]) -> Case:
    """A file that is not a text, under the name of a suite."""

    def make(folder: Path) -> None:
        (folder / "suites").mkdir()
        write(folder / SUITE)

    return Case(title, make, [("list", "suites"), ("report", SUITE), ("run", SUITE)])


def plan_or_no_data(suite: str) -> Callable[[], None]:
    """``plan``, where missing data count as accepted: the suite has been printed by then."""

    def step() -> None:
        try:
            main(["plan", suite])
        except SystemExit as leaving:
            if leaving.code == 2 and reader.load(suite).dataset.format != "synthetic":
                return
            raise

    return step


def _smallest_run() -> None:
    """``run``, if the accepted suite is still small enough to be trained in seconds."""
    suite = reader.load(SUITE)
    data: Any = suite.dataset
    inputs = [size for test in further_tests(suite) for size in test.inputs]
    sizes = (*suite.input.size, *(side for size in inputs for side in size))
    numbers = (suite.neck.channels, suite.regions.channels, suite.anchors.octaves * 200)
    small = (
        suite.dataset.format == "synthetic"
        and data.train + data.val <= 20
        and max(*data.size, *data.objects, *sizes) <= 128
        and max(numbers) <= 1024
        and suite.schedule.epochs <= 3
        and len(suite.seeds) * len(suite.methods) <= 4
        and suite.backbone.weights != "imagenet"
        and suite.device != "cuda"
    )
    if small:
        make_thin()
        main(["run", SUITE, "--limit", "2", "--epochs", "1"])


def _fixed() -> Sequence[Case]:
    cases = [
        case_of_text(
            f"known: {name}",
            hostile.to_bytes(text),
            "csv",
            terminal=name.startswith("markup"),
            run=name == "markup in a label",
        )
        for name, text in KNOWN_TEXTS.items()
    ]
    cases += [case_of_options(option, text, "plan") for option, text in KNOWN_OPTIONS]
    return cases + [case_of_path(name, write) for name, write in KNOWN_PATHS.items()]


FIXED = _fixed()
FUZZ = Fuzz(NAME, "fuzz: suites", FIXED, draw)
