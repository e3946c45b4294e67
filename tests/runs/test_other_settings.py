"""What an empty report says of the runs that there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.runs import record
from sobench.runs.other_settings import elsewhere, other_settings
from sobench.runs.search import search
from sobench.suite.limit import Limit, Representative
from sobench.suite.overrides import read_request
from sobench.suite.plan import Run, plan, with_required
from tests.records import record_of
from tests.tiny_suite import tiny_suite, write_tiny

METHODS = ["fpn", "ssd"]


def runs_with(limit: Limit = None, data: str = "", **changes: Any) -> list[Run]:
    return plan(tiny_suite(**{"methods": METHODS, "seeds": [0, 1]} | changes), data, limit)


def keep(results: Path, *runs: Run) -> None:
    """Results of runs, with their settings, as ``sobench run`` leaves them."""
    for run in runs:
        record.write_settings(run, run.folder(results), 2)
        record.write(record_of(run), run.folder(results))


def told(results: Path, runs: list[Run]) -> list[str]:
    """The lines about other runs, without the one that introduces them."""
    lines = other_settings(runs, search(runs, results))
    assert lines[:1] in ([], ["with other settings there are:"])
    return lines[1:]


def test_every_difference_is_told_once_for_all_rows(tmp_path: Path) -> None:
    assert told(tmp_path, runs_with()) == []
    others: dict[str, Any] = {"schedule": {"lr": 0.25, "epochs": 4}, "augment": {"hflip": 0.0}}
    keep(tmp_path, *runs_with(data="aaaa", **others))
    assert told(tmp_path, runs_with()) == [
        "- 4 runs (fpn 2, ssd 2) on data aaaa: augment.hflip 0.0 (asked for: 0.5), "
        "schedule.epochs 4 (asked for: 3), schedule.lr 0.25 (asked for: 0.005)"
    ]
    keep(tmp_path, *runs_with(data="bbbb", schedule={"lr": 0.5})[:3])
    assert told(tmp_path, runs_with())[1:] == [
        "- 3 runs (fpn 2, ssd 1) on data bbbb: schedule.lr 0.5 (asked for: 0.005)"
    ]


def test_many_differences_and_many_groups_are_counted(tmp_path: Path) -> None:
    many: dict[str, Any] = {
        "input": {"size": [32, 32], "resize": "letterbox"}, "augment": {"hflip": 0.0},
        "schedule": {"lr": 0.25}, "neck": {"channels": 8}, "precision": "bf16",
    }  # fmt: skip
    keep(tmp_path, *runs_with(data="aaaa", **many))
    (line,) = told(tmp_path, runs_with())
    assert line.startswith("- 4 runs (fpn 2, ssd 2) on data aaaa: input.size [32, 32] (asked for:")
    assert line.endswith(", 2 more settings")
    assert line.count("asked for") == 4
    for lr in range(1, 8):
        keep(tmp_path, runs_with(data="aaaa", schedule={"lr": lr / 8})[0])
    lines = told(tmp_path, runs_with())
    assert len(lines) == 6
    assert lines[-1] == "- 3 runs with still others"


@pytest.mark.parametrize("lost", ["run.json", "record.json"])
def test_settings_or_record_are_enough(tmp_path: Path, lost: str) -> None:
    others = runs_with(data="aaaa", schedule={"lr": 0.25})
    keep(tmp_path, *others)
    for path in list(tmp_path.rglob(lost)):
        path.unlink()
    unfinished = ", 4 unfinished" if lost == "record.json" else ""
    assert told(tmp_path, runs_with()) == [
        f"- 4 runs (fpn 2, ssd 2{unfinished}) on data aaaa: schedule.lr 0.25 (asked for: 0.005)"
    ]
    (others[0].folder(tmp_path) / ({"run.json", "record.json"} - {lost}).pop()).write_text("{")
    assert told(tmp_path, runs_with())[1] == (
        f"- 1 run (fpn 1{', 1 unfinished' if unfinished else ''}): settings that cannot be read: "
        "run.json and record.json are gone or damaged"
    )


@pytest.mark.parametrize(
    ("there", "asked", "words"),
    [
        (3, None, "partial, with --limit 3; --limit 3 shows them"),
        (Representative(4), None, "partial, with --smoke 4; --smoke 4 shows them"),
        (Representative(4), 3, "partial, with --smoke 4; --smoke 4 shows them"),
        (None, 3, "all images; without --limit they are shown"),
        (None, Representative(4), "all images; without --smoke they are shown"),
    ],
)
def test_partial_runs_are_told_with_the_option_that_shows_them(
    tmp_path: Path, there: Limit, asked: Limit, words: str
) -> None:
    keep(tmp_path, *runs_with(there, "aaaa"))
    assert told(tmp_path, runs_with(asked)) == [f"- 4 runs (fpn 2, ssd 2) on data aaaa: {words}"]


def test_no_option_is_promised_where_more_differs(tmp_path: Path) -> None:
    keep(tmp_path, *runs_with(3, "aaaa", neck={"channels": 8}))
    assert told(tmp_path, runs_with()) == [
        "- 4 runs (fpn 2, ssd 2) on data aaaa: partial, with --limit 3, neck.channels 8 "
        "(asked for: 16)"
    ]


def test_the_option_of_a_short_matrix_shows_its_runs(tmp_path: Path) -> None:
    """The settings that ``--smoke`` changes are those that the message leaves out."""
    path = write_tiny(tmp_path, methods=METHODS, seeds=[0, 1], precision="bf16")
    short, full = read_request(path, smoke=2), read_request(path)
    keep(tmp_path / "results", *short.runs("aaaa"))
    assert told(tmp_path / "results", full.runs("")) == [
        "- 2 runs (fpn 1, ssd 1) on data aaaa: partial, with --smoke 2; --smoke 2 shows them"
    ]
    assert len(search(short.runs(""), tmp_path / "results").by_data["aaaa"]) == 2


def test_other_seeds_are_in_one_line(tmp_path: Path) -> None:
    keep(tmp_path, *runs_with(data="aaaa", seeds=[10, 2]))
    assert told(tmp_path, runs_with()) == [
        "- 4 runs (fpn 2, ssd 2) on data aaaa: other seeds; --seeds 2,10 shows them"
    ]


def test_a_run_is_held_against_the_nearest_row_of_its_method(tmp_path: Path) -> None:
    long = {"name": "fpn", "label": "long", "deviations": {"schedule.epochs": 30, "reason": "x"}}
    keep(tmp_path, *runs_with(data="aaaa", methods=[long], neck={"channels": 8}))
    assert told(tmp_path, runs_with(methods=["fpn", long])) == [
        "- 2 runs (long 2) on data aaaa: neck.channels 8 (asked for: 16)"
    ]


def test_runs_that_a_row_builds_on_are_no_others(tmp_path: Path) -> None:
    asked = runs_with(methods=["fpn", "zoominnet"])
    keep(tmp_path, *with_required(runs_with(data="aaaa", methods=["fpn", "zoominnet"])))
    found = search(asked, tmp_path)
    assert len(found.others) == 2  # the teachers
    assert other_settings(asked, found) == []


def test_results_of_other_suites_and_methods_are_named(tmp_path: Path) -> None:
    runs = runs_with()
    assert elsewhere(runs, tmp_path) == (f"{tmp_path}: no runs of tiny there; see --results")
    keep(tmp_path, *runs_with(data="aaaa", name="other"))
    assert elsewhere(runs, tmp_path) == (
        f"{tmp_path}: no runs of tiny there, but of other; see --results"
    )
    keep(tmp_path, *runs_with(data="aaaa", methods=["pafpn", "libra"]))
    assert elsewhere(runs, tmp_path) == f"{tmp_path / 'tiny'}: has runs of other methods: " + (
        "libra, pafpn"
    )
    keep(tmp_path, *runs_with(data="aaaa", schedule={"lr": 0.25}))
    assert elsewhere(runs, tmp_path) == ""
