"""What a folder of results holds of a plan, and on which states of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.errors import RequestError
from sobench.runs import record
from sobench.runs.search import changed_data, choose_data, search
from sobench.runs.state import read_states
from sobench.suite.plan import Run, plan
from tests.records import failed_record, record_of
from tests.tiny_suite import tiny_suite


def runs_on(data: str, **changes: Any) -> list[Run]:
    return plan(tiny_suite(**{"methods": ["fpn", "ssd"], "seeds": [0, 1]} | changes), data)


def keep(results: Path, *runs: Run) -> None:
    """Results of runs, with their settings, as ``sobench run`` leaves them."""
    for run in runs:
        record.write_settings(run, run.folder(results), 2)
        record.write(record_of(run), run.folder(results))


def data_of(results: Path, prefix: str = "") -> str:
    return choose_data(search(runs_on(""), results), prefix).data


def test_runs_are_found_on_every_state_of_the_data(tmp_path: Path) -> None:
    old, new = runs_on("aaaa"), runs_on("bbbb")
    keep(tmp_path, *old, new[0], *runs_on("aaaa", schedule={"lr": 0.1}))
    found = search(runs_on(""), tmp_path)
    assert found.by_data == {
        "aaaa": {run.settings_id: run.folder(tmp_path) for run in old},
        "bbbb": {new[0].settings_id: new[0].folder(tmp_path)},
    }
    assert len(found.others) == 4
    assert search(runs_on(""), tmp_path / "gone").by_data == {}


@pytest.mark.parametrize("lost", ["run.json", "record.json"])
def test_settings_or_record_are_enough_to_know_a_run(tmp_path: Path, lost: str) -> None:
    keep(tmp_path, *runs_on("aaaa"))
    for path in list(tmp_path.rglob(lost)):
        path.unlink()
    assert len(search(runs_on(""), tmp_path).by_data["aaaa"]) == 4


def test_settings_that_were_copied_or_damaged_tell_nothing(tmp_path: Path) -> None:
    (old, *_), (new, *_) = runs_on("aaaa"), runs_on("bbbb")
    keep(tmp_path, old)
    settings = old.folder(tmp_path) / "run.json"
    record.write_settings(new, old.folder(tmp_path), 2)
    assert set(search([old], tmp_path).by_data) == {"aaaa"}  # by its record
    for text in ("", "[]", "{}", "[" * 5000, '{"data": 1, "settings_id": [], "seed": {}}'):
        settings.write_text(text)
        assert set(search([old], tmp_path).by_data) == {"aaaa"}
    (old.folder(tmp_path) / "record.json").unlink()
    assert search([old], tmp_path).by_data == {}
    # Where the data are known, or another run tells them, its folder is known all the same.
    keep(tmp_path, *runs_on("aaaa")[1:])
    (old.folder(tmp_path) / "record.json").write_text("{")
    state = read_states(runs_on(""), tmp_path)[old.settings_id]
    assert (state.name, bool(state.damage)) == ("missing", True)


def test_the_state_of_the_data_with_the_most_results_counts(tmp_path: Path) -> None:
    old, new = runs_on("aaaa"), runs_on("bbbb")
    assert data_of(tmp_path) == ""
    keep(tmp_path, new[0])
    assert choose_data(search(runs_on(""), tmp_path)).note == ""
    keep(tmp_path, *old[:2])
    assert data_of(tmp_path) == "aaaa"
    assert data_of(tmp_path, "b") == data_of(tmp_path, "bbbb") == "bbbb"
    for run in new[1:]:
        record.write(failed_record(run), run.folder(tmp_path))
    assert data_of(tmp_path) == "aaaa"  # a failure is not a result
    keep(tmp_path, new[1])
    with pytest.raises(RequestError, match=r"aaaa \(2 runs\), bbbb \(2 runs\); choose with --data"):
        data_of(tmp_path)
    damaged = new[1].folder(tmp_path) / "record.json"
    damaged.write_text(damaged.read_text().replace("0.5", "0.7"))
    assert data_of(tmp_path) == "aaaa"
    with pytest.raises(
        RequestError, match=r"--data x: no run .*; known: aaaa \(2 runs\), bbbb \(1"
    ):
        data_of(tmp_path, "x")
    with pytest.raises(RequestError, match=r"--data x: .*; known: none"):
        data_of(tmp_path / "gone", "x")


def test_half_trained_runs_on_two_states_need_no_choice(tmp_path: Path) -> None:
    for run in (*runs_on("aaaa"), *runs_on("bbbb")):
        record.write_settings(run, run.folder(tmp_path), 2)
    assert data_of(tmp_path) == "aaaa"
    assert data_of(tmp_path, "b") == "bbbb"


def test_what_is_trained_anew_on_other_data_is_told(tmp_path: Path) -> None:
    old, new = runs_on("aaaa"), runs_on("bbbb")
    assert changed_data(new, tmp_path) == []
    keep(tmp_path, *old[:3])
    record.write_settings(old[3], old[3].folder(tmp_path), 2)  # begun, and not done
    assert changed_data(new, tmp_path) == [
        "the annotations or images changed since: 3 runs of another state of the data, aaaa, "
        "kept; trained anew on bbbb: fpn seed 0, ssd seed 0, fpn seed 1"
    ]
    assert changed_data(old, tmp_path) == []
    keep(tmp_path, *new[:2])
    assert changed_data(new, tmp_path) == [
        "the annotations or images changed since: 1 run of another state of the data, aaaa, "
        "kept; trained anew on bbbb: fpn seed 1"
    ]
    keep(tmp_path, new[2])
    assert changed_data(new, tmp_path) == []
