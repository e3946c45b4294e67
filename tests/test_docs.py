"""The README and ``docs/``: their commands run, their links resolve, their tables are complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml

from sobench.cli import cli
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.reader import load
from tests.documented_data import write_yolo
from tests.pages import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    commands,
    first_column,
    links,
    options,
)
from tests.records import invoke, isolate

Capture = pytest.CaptureFixture[str]

CHEAP = ("plan", "report", "data", "list", "doctor")
"""Commands that train nothing."""

SCENES = {"format": "synthetic", "train": 2, "val": 2, "size": [64, 64], "objects": [3, 6]}


def words_of(command: str) -> list[str]:
    """The arguments of ``sobench``."""
    return shlex.split(command, comments=True)[1:]


COMMANDS = sorted({shlex.join(words_of(text)) for page in PAGES for text in commands(page)})
"""Without the name of the program and comments."""


def is_runnable(command: str) -> bool:
    """Whether a command trains nothing and is complete: not ``data SUITE``, not ``plan`` alone."""
    name, *arguments = shlex.split(command)
    return name in CHEAP and (name == "doctor" or bool(arguments)) and "SUITE" not in arguments


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_stand_ins() -> None:
    """The suites that docs name: those of sobench with drawn scenes, the one by hand with data."""
    for path in sorted((ROOT / "suites").glob("**/*.yaml")):
        stand_in = path.relative_to(ROOT)
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"dataset": SCENES}))
    Path("my_suite.yaml").write_text(suite_by_hand())
    write_yolo(Path("my_data"))
    for folder in ("here", "there"):  # of results
        Path(folder).mkdir(exist_ok=True)


def suite_by_hand() -> str:
    """The suite of ``docs/suite.md`` that a user fits to data of her own."""
    block = blocks(DOCS / "suite.md", "yaml")[-1]
    return block.content


# --- commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_exists(capsys: Capture, command: str) -> None:
    code, out, err = invoke(capsys, *shlex.split(command), "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")


@pytest.mark.parametrize("command", [text for text in COMMANDS if is_runnable(text)])
def test_commands_that_train_nothing_run(capsys: Capture, command: str) -> None:
    write_stand_ins()
    code, out, err = invoke(capsys, *shlex.split(command))
    if command.startswith("report"):
        assert (code, out) == (4, "")
        assert err.startswith("nothing to show: ")
    else:
        assert (code, err) == (0, "")
        assert out


def test_there_are_commands_of_every_kind() -> None:
    assert {words_of(command)[0] for command in commands(README)} >= {"run", *CHEAP}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_sentences_exist(page: Path) -> None:
    context = click.Context(cli)
    every = [cli, *(cli.get_command(context, name) for name in cli.list_commands(context))]
    exist = {option for command in every if command for p in command.params for option in p.opts}
    assert options(page) - exist == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M)) <= targets


# --- pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for file, anchor in links(page):
        assert file.exists(), f"{page.name} links {file.relative_to(ROOT)}"
        assert not anchor or anchor in anchors(file), f"{page.name} links {file.name}#{anchor}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {file.resolve() for file, _ in links(README)}
    assert linked == {*DOCS.glob("*.md"), *DOCS.glob("*.png")}


def test_the_readme_is_short() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 170
    assert max(map(len, lines)) <= 100


def test_the_readme_names_every_folder_of_the_code() -> None:
    folders = {path.parent.name for path in (ROOT / "sobench").glob("*/__init__.py")}
    assert set(re.findall(r"`sobench/(\w+)/`", README.read_text())) == folders


def test_tables_are_complete(capsys: Capture) -> None:
    listed = invoke(capsys, "list", "methods").out.splitlines()
    method_names = [line.split()[0] for line in listed[1 : listed.index("")]]
    assert sorted(first_column(README, "method")) == sorted(method_names)
    assert first_column(DOCS / "protocols.md", "protocol") == list(PROTOCOLS)
    suites = {
        path.relative_to(ROOT / "suites").with_suffix("").as_posix()
        for path in (ROOT / "suites").glob("**/*.yaml")
    }
    assert set(first_column(DOCS / "suite.md", "suite")) == suites


def test_the_states_and_exit_codes_of_runs() -> None:
    from sobench.runs import state

    page = DOCS / "results.md"
    assert first_column(page, "state") == list(get_args(state.StateName))
    codes = re.findall(r"^\| (\d+) \|", page.read_text(), re.M)
    assert codes == re.findall(r"(\d+) [a-z]", exit_codes(README))


def exit_codes(page: Path) -> str:
    """The sentence that lists the exit codes."""
    sentence = re.search(r"^Exit codes: [^.]*\.", page.read_text(), re.M)
    assert sentence
    return sentence[0]


def test_the_readme_counts_the_runs_of_visdrone(capsys: Capture) -> None:
    write_stand_ins()
    runs = re.search(r": (\d+) runs", invoke(capsys, "plan", "suites/visdrone.yaml").out)
    assert runs
    assert f"the suite has {runs[1]} runs" in README.read_text()
    assert len(load(Path("suites/visdrone.yaml")).seeds) == 3
