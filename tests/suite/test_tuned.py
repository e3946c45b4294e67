"""The file of chosen values, and what it does to the runs of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.errors import SuiteError
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from sobench.suite.tuned import TunedFile, learning_rate_lines, overlapping, read_tuned, write_tuned
from tests.tiny_suite import write_tiny


def tuned_row(**changes: Any) -> dict[str, Any]:
    """A row of the file in which the second of two rates was chosen."""
    trials = [
        {"values": {"schedule.lr": lr}, "scores": [score]}
        for lr, score in ((0.001, 0.1), (0.003, 0.2))
    ]
    return {
        "chosen": {"schedule.lr": 0.003}, "metric": "AP", "trials": trials, "trained_on": 40,
        "held_out": 10, "holdout": 0.2, "seeds": [0], "data": "0123456789ab", "code": "0.1.0",
    } | changes  # fmt: skip


def write(path: Path, rows: Any, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({"suite": "tiny", "rows": rows} | changes))
    return path


def planned(folder: Path, rows: Any, **changes: Any) -> dict[str, Run]:
    """The runs of the tiny suite with these rows chosen, by their labels."""
    write(folder / "tiny.tuned.yaml", rows)
    path = write_tiny(folder, tuned="tiny.tuned.yaml", **changes)
    return {run.entry.label: run for run in plan(load(path), "aaaa")}


def plain(folder: Path, **changes: Any) -> dict[str, Run]:
    return {run.entry.label: run for run in plan(load(write_tiny(folder, **changes)), "aaaa")}


def test_chosen_values_take_the_place_of_the_suites_and_are_printed(tmp_path: Path) -> None:
    runs = planned(tmp_path, {"fpn": tuned_row()}, methods=["fpn", "pafpn"])
    assert runs["fpn"].suite.schedule.lr == 0.003
    assert runs["pafpn"].suite.schedule.lr == 0.005
    origin = "chosen from 2 on 10 held-out training images"
    assert runs["fpn"].deviations == (f"schedule.lr: 0.003 ({origin})",)
    assert runs["fpn"].learning_rate == origin
    assert (runs["pafpn"].deviations, runs["pafpn"].learning_rate) == ((), "the suite's")


def test_a_rate_of_a_row_itself_is_not_called_the_suites(tmp_path: Path) -> None:
    slow = {"name": "fpn", "deviations": {"schedule.lr": 0.1, "reason": "a study"}}
    decayed = tuned_row(
        chosen={"schedule.weight_decay": 0.1},
        trials=[{"values": {"schedule.weight_decay": 0.1}, "scores": [0.2]}],
    )
    runs = planned(tmp_path, {"pafpn": decayed}, methods=[slow, "pafpn"])
    assert runs["fpn"].learning_rate == "a deviation of the row (a study)"
    assert runs["pafpn"].learning_rate == "the suite's"
    assert runs["pafpn"].deviations == (
        "schedule.weight_decay: 0.1 (chosen from 1 on 10 held-out training images)",
    )


def test_options_of_the_trials_are_printed(tmp_path: Path) -> None:
    row = tuned_row(held_out=1, options=["--epochs 3", "--limit 9"])
    run = planned(tmp_path, {"fpn": row})["fpn"]
    assert run.learning_rate == (
        "chosen from 2 on 1 held-out training image with --epochs 3 --limit 9"
    )


def test_a_tuned_row_is_the_training_of_a_row_that_deviates_so(tmp_path: Path) -> None:
    deviating = {"name": "fpn", "deviations": {"schedule.lr": 0.003, "reason": "why not"}}
    run = planned(tmp_path, {"fpn": tuned_row()})["fpn"]
    assert run.id == plain(tmp_path, methods=[deviating])["fpn"].id
    assert run.id != plain(tmp_path)["fpn"].id


def test_only_the_values_of_the_file_count(tmp_path: Path) -> None:
    before = planned(tmp_path, {"fpn": tuned_row()})["fpn"].id
    other = tuned_row(held_out=7, code="0.2.0", seeds=[1, 2])
    assert planned(tmp_path, {"fpn": other})["fpn"].id == before
    (tmp_path / "b").mkdir()
    (tmp_path / "tiny.tuned.yaml").rename(tmp_path / "b" / "c.yaml")
    with (tmp_path / "b" / "c.yaml").open("a") as file:
        file.write("# a remark\n")
    moved = load(tmp_path / "tiny.yaml", {"tuned": str(tmp_path / "b" / "c.yaml")})
    assert plan(moved, "aaaa")[0].id == before
    untuned = load(tmp_path / "tiny.yaml", {"tuned": "none"})
    assert plan(untuned, "aaaa")[0].id == plain(tmp_path)["fpn"].id


def test_a_suite_without_the_key_has_the_runs_that_it_had(tmp_path: Path) -> None:
    assert planned(tmp_path, {})["fpn"].settings == plain(tmp_path)["fpn"].settings


def test_a_baseline_is_the_tuned_row_of_its_method(tmp_path: Path) -> None:
    rows = {"fpn": tuned_row()}
    runs = planned(tmp_path, rows, methods=["fpn", "efpn"])
    assert dict(runs["efpn"].requires)["baseline"].id == runs["fpn"].id
    assert runs["efpn"].suite.schedule.lr == 0.005
    rows = {"efpn": tuned_row(), "fpn": tuned_row(chosen={"schedule.lr": 0.001})}
    runs = planned(tmp_path, rows, methods=["fpn", "efpn"])
    baseline = dict(runs["efpn"].requires)["baseline"]
    assert (baseline.id, baseline.suite.schedule.lr) == (runs["fpn"].id, 0.001)
    assert runs["efpn"].suite.schedule.lr == 0.003


def test_a_teacher_has_what_was_chosen_for_its_method_unless_it_deviates(tmp_path: Path) -> None:
    zoom = {"name": "zoominnet"}
    runs = planned(tmp_path, {"fpn": tuned_row()}, methods=["fpn", zoom])
    (teacher,) = (run for _, run in runs["zoominnet"].requires)
    assert (teacher.suite.schedule.lr, teacher.suite.input.size) == (0.003, (128, 128))
    slow = zoom | {"deviations": {"schedule.lr": 0.02, "reason": "a study"}}
    runs = planned(tmp_path, {"fpn": tuned_row()}, methods=["fpn", slow])
    (teacher,) = (run for _, run in runs["zoominnet"].requires)
    assert teacher.suite.schedule.lr == 0.02


def test_rows_that_start_from_a_tuned_one_start_from_its_training(tmp_path: Path) -> None:
    later = {"name": "fpn", "label": "later", "init_from": "fpn"}
    runs = planned(tmp_path, {"fpn": tuned_row()}, methods=["fpn", later])
    assert dict(runs["later"].requires)["init_from"].id == runs["fpn"].id
    assert runs["later"].suite.schedule.lr == 0.005


ROW: dict[str, Any] = tuned_row()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"fnp": ROW}, "rows: the suite has no row 'fnp'; did you mean 'fpn'?"),
        ([1], "rows: [1] is wrong; "),
        ({"fpn": {**ROW, "chosen": {"schedule.lr": 7}}}, "chosen: is none of the trials"),
        ({"fpn": {**ROW, "chosen": {}}}, "rows.fpn.chosen: {} is wrong"),
        ({"fpn": {**ROW, "held_out": "many"}}, "rows.fpn.held_out: many is wrong; write a whole"),
        ({"fpn": {**ROW, "held_out": True}}, "true and false have no place here"),
        ({"fpn": {k: v for k, v in ROW.items() if k != "data"}}, "rows.fpn.data is missing"),
        ({"fpn": {**ROW, "surprise": 1}}, "rows.fpn.surprise: 1 is wrong"),
        ({"fpn": {**ROW, "trials": [{"values": {"a": 1}, "scores": ["x"]}]}}, "trials.0.scores.0"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused(tmp_path: Path, rows: Any, words: str) -> None:
    with pytest.raises(SuiteError) as error:
        planned(tmp_path, rows)
    assert words in str(error.value)
    assert "tiny.tuned.yaml" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("values", [{"schedule.lrr": 1}, {"schedule.lr": -1}, {"protocol": "tiny"}])
def test_wrong_values_are_errors_of_the_file(tmp_path: Path, values: dict[str, Any]) -> None:
    row = tuned_row(chosen=values, trials=[{"values": values, "scores": [0.1]}])
    with pytest.raises(SuiteError, match=r"tiny\.tuned\.yaml: rows: fpn: "):
        planned(tmp_path, {"fpn": row})


@pytest.mark.parametrize("key", ["schedule.lr", "schedule"])
def test_a_row_cannot_deviate_in_what_was_chosen_for_it(tmp_path: Path, key: str) -> None:
    value = 0.1 if key == "schedule.lr" else {"epochs": 1, "batch_size": 2, "lr": 0.1}
    row = {"name": "fpn", "deviations": {key: value, "reason": "a study"}}
    words = rf"rows: fpn: schedule\.lr: the row has the deviation {key}; take it out"
    with pytest.raises(SuiteError, match=words):
        planned(tmp_path, {"fpn": tuned_row()}, methods=[row])


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path, tuned="a.yaml")
    with pytest.raises(SuiteError, match=r"tuned: no file .*a\.yaml; write tuned: none until"):
        load(path)
    for text, words in (
        ("a: [", "line 1"), ("just text", "holds no chosen"), ("", "holds no chosen"),
        ("suite: other", "was written for suite 'other', not 'tiny'"), ("rows: {}", "suite is m"),
    ):  # fmt: skip
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(SuiteError, match=rf"a\.yaml: .*{words}"):
            load(path)
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(SuiteError, match="cannot be read"):
        load(path)
    with pytest.raises(SuiteError, match=r"tuned: .*NOBODY_SETS_THIS, which is not set"):
        load(path, {"tuned": "$NOBODY_SETS_THIS/a.yaml"})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    row = tuned_row(data="012345678912")
    content = TunedFile.model_validate({"suite": "tiny", "rows": {"fpn": row, "é: 1": row}})
    write_tuned(tmp_path / "a.yaml", content)
    assert read_tuned(tmp_path / "a.yaml") == content
    assert "`tuned: a.yaml`" in (tmp_path / "a.yaml").read_text()


def test_keys_that_hold_each_other_overlap() -> None:
    assert overlapping("schedule.lr", {"schedule": 1}) == "schedule"
    assert overlapping("schedule", {"a": 1, "schedule.lr": 1}) == "schedule.lr"
    assert overlapping("schedule.lr", {"schedule.l": 1, "schedule.lrr": 1}) == ""


def test_one_line_says_that_nothing_was_tuned() -> None:
    suites = "the suite's"
    assert learning_rate_lines({"a": suites, "b": suites}) == (
        "learning rate: the suite's for every row, not tuned for any method",
    )
    assert learning_rate_lines({"a": suites, "b": "chosen from 4 on 9"}) == (
        "a: learning rate: the suite's", "b: learning rate: chosen from 4 on 9",
    )  # fmt: skip
