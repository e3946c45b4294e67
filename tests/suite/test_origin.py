"""Rows that start from weights outside of their suite: where these are, and what of them counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.errors import SuiteError
from sobench.suite.origin import origin_of
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from tests.suite.trained_runs import write_run
from tests.tiny_suite import CONTENT, tiny_suite

DATA = "0123456789ab"


def only(suite: Any) -> Run:
    (run,) = plan(suite, DATA)
    return run


def started(place: Path | str, **changes: Any) -> Run:
    return only(tiny_suite(init_from=str(place), **changes))


def test_a_run_its_folder_and_its_checkpoint_are_one(tmp_path: Path) -> None:
    path = write_run(tmp_path / "fpn" / "s0-a")
    runs = [started(place) for place in (path, path.parent, path.parent.parent)]
    assert len({run.settings_id for run in runs}) == 1
    for run in runs:
        assert run.origin is not None
        assert (run.origin.path, run.origin.classes) == (path, ("couch", "car"))
    assert runs[1].deviations == (
        f"starts from the weights of {path.parent}, trained on coco train.json (2 classes), plain "
        "seed 3 of suite coco, fuse: false",
    )


def test_the_content_counts_and_not_the_place(tmp_path: Path) -> None:
    plain = only(tiny_suite())
    assert "init_from" not in plain.settings
    first, moved = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"one")
    moved.write_bytes(b"one")
    ids = {started(place).settings_id for place in (first, moved)}
    assert len(ids) == 1
    assert plain.settings_id not in ids
    moved.write_bytes(b"two")
    ids.add(started(moved).settings_id)
    write_run(tmp_path / "run", b"one")
    renamed = [{}, {"car": "couch"}]
    ids |= {started(tmp_path / "run", init_classes=names).settings_id for names in renamed}
    assert len(ids) == 4  # also with the names of the classes
    assert started(first).deviations == (
        f"starts from the weights of {first}, of which no record is known",
    )


def test_a_file_beside_the_record_of_other_weights_has_none(tmp_path: Path) -> None:
    write_run(tmp_path, step=7)
    other = tmp_path / "checkpoint-00000003-0123456789abcdef.pt"
    other.write_bytes(b"earlier")
    assert origin_of(str(other)).classes == ()


def test_of_two_checkpoints_the_sound_one_counts(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (tmp_path / "checkpoint-00000007-ffffffffffffffff.pt").write_bytes(b"damaged")
    assert origin_of(str(tmp_path)).path == path
    path.unlink()
    with pytest.raises(SuiteError, match=r"checkpoint-00000007-f+\.pt is damaged; delete it"):
        origin_of(str(tmp_path))


def test_the_method_and_the_label_of_a_row_are_filled_in(tmp_path: Path) -> None:
    write_run(tmp_path / "fpn" / "one", b"1")
    write_run(tmp_path / "pafpn" / "two", b"2")
    write_run(tmp_path / "mine", b"3")
    rows = [
        "fpn",
        "pafpn",
        {"name": "fpn", "label": "none", "fuse": False, "init_from": "none"},
        {"name": "fpn", "label": "mine", "init_from": f"{tmp_path}/{{label}}"},
        {"name": "fpn", "label": "after", "init_from": "fpn"},
    ]
    runs = plan(tiny_suite(init_from=f"{tmp_path}/{{method}}", methods=rows), DATA)
    names = [run.origin.path.parent.name if run.origin else "" for run in runs]
    assert names == ["one", "two", "", "mine", ""]
    assert [role for role, _ in runs[4].requires] == ["init_from"]
    assert runs[4].deviations == ("starts from the weights of fpn",)


def test_runs_that_are_required_start_from_the_weights_of_their_own_method(tmp_path: Path) -> None:
    write_run(tmp_path / "fpn", b"1")
    write_run(tmp_path / "zoominnet", b"2")
    suite = tiny_suite(init_from=f"{tmp_path}/{{label}}", methods=["efpn", "zoominnet"])
    efpn, student = plan(suite, DATA)
    # What goes on from a baseline takes nothing else, or it would undo the baseline's training.
    assert efpn.origin is None
    (_, baseline), (_, teacher) = (*efpn.requires, *student.requires)
    for run, name in ((baseline, "fpn"), (teacher, "fpn"), (student, "zoominnet")):
        assert run.origin is not None
        assert run.origin.place == f"{tmp_path}/{name}"
    assert any(text.startswith("its baseline starts from the w") for text in efpn.deviations)
    rows = [{"name": "zoominnet", "init_from": "none"}]
    (alone,) = plan(tiny_suite(init_from=f"{tmp_path}/{{label}}", methods=rows), DATA)
    assert (alone.origin, alone.requires[0][1].origin) == (None, None)
    row = {"name": "efpn", "init_from": str(tmp_path / "fpn")}
    with pytest.raises(SuiteError, match="efpn starts from its own run of fpn; leave it out"):
        tiny_suite(methods=[row])


def test_paths_of_a_file_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "weights" / "fpn")
    write_run(tmp_path / "weights" / "row", b"others")
    rows = [
        {"name": "fpn"},
        {"name": "fpn", "label": "a/b", "init_from": "./weights/row"},
        {"name": "fpn", "label": "c", "init_from": "a/b"},
        {"name": "fpn", "label": "d", "init_from": "${STARTS}/row", "fuse": False},
    ]
    path = tmp_path / "suite.yaml"
    content = {"init_from": "weights/{method}", "methods": rows}
    path.write_text(yaml.safe_dump(CONTENT | content))
    monkeypatch.setenv("STARTS", str(tmp_path / "weights"))
    runs = plan(load(path), DATA)
    places = [run.origin.place if run.origin else "" for run in runs]
    weights = f"{tmp_path}/weights"
    assert places == [f"{weights}/fpn", f"{weights}/row", "", "${STARTS}/row"]
    assert runs[2].requires[0][1].entry.label == "a/b"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"init_from": "fpn"}, "init_from: fpn is not a path; write ./fpn"),
        ({"init_from": "./{meth}"}, "init_from: '{meth}' stands for nothing; known: {method}"),
        ({"init_classes": {"car": "couch"}}, "init_classes: nothing starts from other weights"),
        (
            {"methods": [{"name": "fpn", "deviations": {"init_from": "./a", "reason": "b"}}]},
            "init_from must be the same for every row",
        ),
    ],
)
def test_wrong_keys(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError) as error:
        tiny_suite(**changes)
    assert problem in str(error.value)


def test_places_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STARTS", raising=False)
    for name in ("one", "two"):
        write_run(tmp_path / "several" / name)
    write_run(tmp_path / "failed" / "one", scores={})
    write_run(tmp_path / "gone").unlink()
    (tmp_path / "empty").mkdir()
    problems = {
        str(tmp_path / "nowhere"): "No such file or directory; write the folder of a",
        "/dev/null": "not a regular file",
        str(tmp_path / "several"): "holds 2 finished runs (one, two); write the folder",
        str(tmp_path / "failed"): "holds no finished run",
        str(tmp_path / "empty"): "holds no finished run",
        str(tmp_path / "gone"): "has no checkpoint of its last step; train it anew",
        "${STARTS}/a": "needs the variable STARTS, which is not set; export it",
        "/a\0b": "embedded null",
    }
    for place, problem in problems.items():
        with pytest.raises(SuiteError) as error:
            origin_of(place)
        assert problem in str(error.value)
        assert "\n" not in str(error.value)
    (tmp_path / "one").mkdir()
    with pytest.raises(SuiteError, match=r"init_classes: car: 'coach' is not a class of .*'couch'"):
        origin_of(str(write_run(tmp_path / "one")), {"car": "coach"})


def test_a_damaged_record_tells_nothing(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    hostile = '{"history": [{"step": Infinity}], "scores": {"a": 1}, "settings": []}'
    for text in ("[", "[]", '{"history": 3}', hostile):
        (tmp_path / "record.json").write_text(text)
        assert origin_of(str(path)).training == ""
    (tmp_path / "record.json").unlink()
    os.mkfifo(tmp_path / "record.json")
    assert origin_of(str(path)).training == ""


def test_continuing_at_a_late_rate() -> None:
    """As MRAE's Table 3 goes on with another template for six epochs at the last rate."""
    late = {"schedule.epochs": 6, "schedule.lr": 3.0e-6, "schedule.milestones": [],
            "schedule.warmup": {"steps": 0}, "reason": "goes on at the last rate"}  # fmt: skip
    rows = [
        {"name": "mrae", "label": "one", "template": 1},
        {"name": "mrae", "label": "two", "template": 2, "init_from": "one", "deviations": late},
    ]
    one, two = plan(tiny_suite(methods=rows), DATA)
    ((role, origin),) = two.requires
    assert (role, origin.settings_id) == ("init_from", one.settings_id)
    assert (two.suite.schedule.epochs, two.suite.schedule.lr) == (6, 3.0e-6)
    assert (two.suite.schedule.milestones, two.suite.schedule.warmup.steps) == ((), 0)
    assert one.suite.schedule.milestones == (2,)
    assert any("starts from the weights of one" in text for text in two.deviations)
