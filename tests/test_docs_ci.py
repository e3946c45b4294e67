"""The page about CI: its workflow is one, and its tables are complete."""

from __future__ import annotations

import re
import shlex

import click
import yaml

from sobench.cli import cli
from sobench.report.check_formats import FORMATS
from tests.pages import DOCS, ROOT, blocks, first_column

PAGE = DOCS / "ci.md"


def test_the_workflow_parses_and_runs_what_exists() -> None:
    (block,) = blocks(PAGE, "yaml")
    workflow = yaml.safe_load(block.content)
    steps = workflow["jobs"]["gate"]["steps"]
    (words,) = [
        shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("sobench")
    ]
    assert words[:2] == ["sobench", "check"]
    assert (ROOT / words[2]).is_file()
    command = cli.get_command(click.Context(cli), "check")
    assert command is not None
    options = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert steps[-1]["with"]["path"] == words[words.index("--out") + 1]


def test_tables_are_complete() -> None:
    assert first_column(PAGE, "format") == ["terminal", *FORMATS]
    codes = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.M)
    assert codes == ["0", "1", "2", "3", "4", "130"]
