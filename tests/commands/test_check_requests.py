from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.checked_suite import (
    FILE,
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


def test_no_baseline(capsys: Capture) -> None:
    path = write_suite()
    check_refusal(capsys, "small.json: no such baseline; record one with", "check", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON, so not a baseline"),
        ("[]", "is not a baseline; record it anew"),
        ('{"rows": 1}', "is not a baseline; record it anew"),
        ('{"schema_version": "1"}', "is not a baseline; record it anew"),
        ('{"schema_version": 99}', "is of schema version 99, and this sobench reads 1"),
        ('{"schema_version": 1}', "is not a baseline of this version: suite: Field required"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_files_that_are_no_baseline(capsys: Capture, content: str, words: str) -> None:
    path = write_suite()
    Path("other.json").write_text(content)
    check_refusal(capsys, words, "check", path, "--baseline", "other.json")


def changed(**changes: Any) -> None:
    FILE.write_text(json.dumps(json.loads(FILE.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suite": "other"}, "is the baseline of suite 'other', not 'small'"),
        ({"protocol_version": 7}, "was scored by protocol coco v7, and the suite is by coco v1"),
        ({"protocol": "tiny"}, "was scored by protocol tiny v1"),
        ({"rows": {}}, "rows: Dictionary should have at least 1 item"),
        ({"machines": []}, "machines: Tuple should have at least 1 item"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
def test_baselines_of_something_else(
    capsys: Capture, suite: Path, changes: dict[str, Any], words: str
) -> None:
    changed(**changes)
    check_refusal(capsys, words, "check", suite, "--no-run")


def test_rows_must_be_consistent(capsys: Capture, suite: Path) -> None:
    rows = json.loads(FILE.read_text())["rows"]
    rows["fpn"]["settings"]["precision"] = "bf16"
    changed(rows=rows)
    check_refusal(capsys, "row_id is not that of the settings", "check", suite, "--no-run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "schedule.lr=0.5"), "fpn: the baseline has other settings: schedule.lr: 0.005 "),
        (("--limit", "2"), "limit: null there, 2 here; use the options that it was recorded with"),
    ],
)
def test_other_settings_are_named(
    capsys: Capture, suite: Path, arguments: tuple[str, ...], words: str
) -> None:
    check_refusal(capsys, words, "check", suite, *arguments)


def test_results_on_other_data(capsys: Capture, suite: Path) -> None:
    train(suite, (0,), data="ccccddddeeee")
    words = "results: the results are of other data (ccccddddeeee) than the baseline (aaaabbbbcccc)"
    check_refusal(capsys, words, "check", suite, "--no-run")
    # The data themselves are other ones too: nobody trains for that.
    check_refusal(capsys, "the baseline is of other data (aaaabbbbcccc, and now", "check", suite)


def test_one_seed(capsys: Capture, suite: Path) -> None:
    arguments: Arguments = ["check", suite, "--record", "--no-run", "--results", "recorded"]
    words = "one seed does not tell how much trainings differ; give several"
    check_refusal(capsys, words, *arguments, "--seeds", "1")
    rows = json.loads(FILE.read_text())["rows"]
    rows["fpn"]["seeds"] = rows["fpn"]["seeds"][:1]
    changed(rows=rows)
    train(suite, (0,))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 0
    assert "one seed in the baseline: fpn; their spread is that of the other rows" in out
    rows["ssd"]["seeds"] = rows["ssd"]["seeds"][:1]
    changed(rows=rows)
    words = "record it anew with `sobench check SUITE --record --seeds 0,1,2`"
    check_refusal(capsys, words, "check", suite, "--no-run")


def test_a_record_drops_no_rows(capsys: Capture, suite: Path) -> None:
    words = "has rows that would be lost: ssd; leave out --methods, or name another file"
    arguments: Arguments = ["check", suite, "--record", "--no-run", "--results", "recorded"]
    check_refusal(capsys, words, *arguments, "--methods", "fpn")
    code, out, _ = invoke(
        capsys, *arguments, "--methods", "fpn", "--seeds", "0,1", "--baseline", "fpn.json"
    )
    assert (code, out.splitlines()[-1]) == (0, "fpn.json")
