from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands.checked_suite import (
    SEEDS,
    Arguments,
    recorded_suite,
    train,
)
from tests.commands.small_suite import Capture, check_refusal, write_suite
from tests.records import invoke, isolate


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def suite(capsys: Capture) -> Path:
    """A suite of two rows with a baseline of three seeds and nothing else."""
    return recorded_suite(capsys)


def test_formats_tell_the_same(capsys: Capture, suite: Path) -> None:
    train(suite, (7,))
    train(suite, (7,), methods=("ssd",), ap=0.1)
    arguments: Arguments = ["check", suite, "--no-run", "--seeds", "7"]
    code, out, _ = invoke(capsys, *arguments, "--format", "json,junit,github", "--out", "told")
    assert code == 3
    content = json.loads(Path("told/small.check.json").read_text())
    assert not content["passed"]
    failing = [f for f in content["findings"] if f["verdict"] == "worse"]
    assert [(f["row"], f["metric"]) for f in failing] == [("ssd", "AP"), ("ssd", "AP_S")]
    root = ElementTree.parse("told/small.check.xml").getroot()
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(content["findings"])
    assert [case.get("name") for case in cases if case.find("failure") is not None] == [
        "ssd: AP", "ssd: AP_S",
    ]  # fmt: skip
    part = root.find("testsuite[@name='accuracy']")
    assert part is not None
    assert part.get("failures") == "2"
    lines = out.splitlines()
    assert lines[:2] == ["told/small.check.json", "told/small.check.xml"]
    assert lines[2].startswith("::error title=ssd%3A AP worse::ssd: AP is worse; baseline 0.402, ")
    assert lines[4].startswith("::error title=sobench check small::FAIL: 2 regressions: ")


def test_formats_alone_and_wrong_ones(capsys: Capture, suite: Path) -> None:
    train(suite, (0,))
    arguments: Arguments = ["check", suite, "--no-run", "--format"]
    assert json.loads(invoke(capsys, *arguments, "json").out)["passed"]
    assert ElementTree.fromstring(invoke(capsys, *arguments, "junit").out).tag == "testsuites"
    code, out, _ = invoke(capsys, *arguments, "terminal,github")
    assert code == 0
    assert out.splitlines()[-1].startswith("::notice title=sobench check small::pass: ")
    check_refusal(capsys, "did you mean 'junit'?", *arguments, "junt")
    check_refusal(capsys, "several formats need --out FOLDER", *arguments, "json,junit")
    check_refusal(capsys, "--format: names none", *arguments, ",")


def test_names_cannot_break_a_format(capsys: Capture) -> None:
    label = 'a<&>"%: ,::error::b'
    path = write_suite(methods=[{"name": "fpn", "label": label}])
    train(path, SEEDS)
    invoke(capsys, "check", path, "--record", "--no-run", "--seeds", "0,1,2")
    train(path, (0,), first_losses=(1.0, 1.0))
    arguments: Arguments = ["check", path, "--no-run", "--format"]
    root = ElementTree.fromstring(invoke(capsys, *arguments, "junit").out)
    assert f"{label}: AP" in [case.get("name") for case in root.iter("testcase")]
    line = invoke(capsys, *arguments, "github").out.splitlines()[0]
    assert line.startswith('::error title=a<&>"%25%3A %2C%3A%3Aerror%3A%3Ab%3A first losses chan')


# --- where the baseline is -------------------------------------------------------------------


def test_the_baseline_beside_the_suites_folder(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "baselines").mkdir()
    path = write_suite("suites/small.yaml")
    train(path, SEEDS)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    arguments: Arguments = ["../suites/small.yaml", "--no-run", "--results", "../results"]
    code, out, _ = invoke(capsys, "check", *arguments, "--record", "--seeds", "0,1,2")
    assert code == 0
    assert out.splitlines()[-1] == "../baselines/recorded/small.json"
    assert invoke(capsys, "check", *arguments).code == 0
