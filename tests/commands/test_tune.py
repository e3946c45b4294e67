"""``sobench tune``, and what its choice does to the other commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from sobench.data import load
from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.metrics.scores import Scores
from sobench.suite.datasets import DataSpec
from sobench.suite.plan import Run
from sobench.training.state import TrainState
from tests.commands.small_suite import BOTH, Capture, check_refusal, write_suite
from tests.records import invoke, isolate, scored

BEST = {"fpn": 0.003, "ssd": 0.01}
GRID = ("--grid", "schedule.lr=1e-3,0.003,0.01")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def score_by_rate(run: Run, dataset: Dataset, _stored: Path, _digest: str) -> dict[str, Scores]:
    """So short a training finds nothing: each method has a rate that is scored best instead."""
    split = "train" if run.holdout else "val"
    assert all(split in image.name for image in dataset.images)
    ap = 0.5 - abs(run.suite.schedule.lr - BEST[run.entry.name])
    scores = scored(ap, run.suite.protocol)
    return {scores.name: scores}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that are begun; they are not trained, and scored by their rate."""
    from sobench.runs import execute
    from sobench.runs.train import load_splits

    names: list[str] = []

    def noted(run: Run, callback: Any) -> Any:
        names.append(run.name)
        return load_splits(run, callback)

    monkeypatch.setattr(execute, "load_splits", noted)
    monkeypatch.setattr(execute, "score_stored", score_by_rate)
    monkeypatch.setattr("sobench.runs.train.train", lambda *_, **__: TrainState())
    monkeypatch.setattr("sobench.runs.cost.measure_latency", lambda *_: 1.0)
    monkeypatch.setattr("sobench.runs.cost.count_gflops", lambda *_: 1.0)
    return names


def write_pictures() -> dict[str, Any]:
    """COCO files of five training images; the annotations of val are broken."""
    Path("data/images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, 6):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[20:40, 20:40] = 255
        Image.fromarray(pixels).save(f"data/images/train{number}.png")
        name = f"train{number}.png"
        images.append({"id": number, "file_name": name, "width": 64, "height": 64})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [20, 20, 20, 20]}
        )
    categories = [{"id": 1, "name": "car"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    Path("data/train.json").write_text(json.dumps(content))
    Path("data/val.json").write_text("{")
    return {"format": "coco", "root": "data", "train": "train.json", "val": "val.json"}


def test_trials_train_on_what_is_not_held_out_and_never_see_val(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sobench.runs.execute.score_stored", score_by_rate)
    read: list[Split] = []
    read_annotations = load.read_annotations

    def noted(spec: DataSpec, split: Split) -> Dataset:
        read.append(split)
        return read_annotations(spec, split)

    monkeypatch.setattr(load, "read_annotations", noted)
    path = write_suite(dataset=write_pictures(), methods=["fpn"])
    assert invoke(capsys, "run", path).code == 2  # as it must: val is broken
    read.clear()
    code, out, err = invoke(capsys, "tune", path, "--grid", "schedule.lr=0.003,0.01")
    assert code == 0, err
    assert set(read) == {"train"}
    assert "held-out: 1 of its 1 images are in train as well" in err  # they look alike
    (chosen, best), (_, other) = sorted(
        (content["settings"]["schedule"]["lr"], content)
        for file in Path("results").rglob("record.json")
        for content in [json.loads(file.read_text())]
    )
    assert chosen == 0.003
    assert best["images"] == other["images"] == {"train": 4, "val": 1}
    assert best["suite"] == "small.tune"
    assert best["settings"]["holdout"] == 0.2
    assert re.search(r"^fpn +0\.003 +0\.500 +yes *$", out, re.MULTILINE)
    Path("data/val.json").unlink()
    assert invoke(capsys, "tune", path, "--grid", "schedule.lr=0.003,0.01").out == out


def test_a_choice_is_written_taken_and_shown(capsys: Capture, trained: list[str]) -> None:
    path = write_suite(dataset=SCENES)
    code, out, err = invoke(capsys, "tune", path, *GRID)
    assert code == 0, err
    assert len(trained) == 6
    assert re.findall(r"^(fpn|ssd) +(\S+) +(0\.\d+) *(yes)? *$", out, re.MULTILINE) == [
        ("fpn", "0.001", "0.498", ""), ("fpn", "0.003", "0.500", "yes"),
        ("fpn", "0.01", "0.493", ""), ("ssd", "0.001", "0.491", ""),
        ("ssd", "0.003", "0.493", ""), ("ssd", "0.01", "0.500", "yes"),
    ]  # fmt: skip
    origin = "chosen from 3 on 2 held-out training images"
    assert f"fpn: schedule.lr=0.003, {origin}, 8 to train on, 1 seed\n" in out
    assert "ssd: schedule.lr: the best lies at the end of the grid: widen it" in out
    assert "fpn: schedule.lr: the best" not in out
    content = yaml.safe_load(Path("small.tuned.yaml").read_text())
    assert content["suite"] == "small"
    assert content["rows"]["ssd"]["chosen"] == {"schedule.lr": 0.01}
    assert [len(row["trials"]) for row in content["rows"].values()] == [3, 3]

    before = invoke(capsys, "plan", path).out
    assert "learning rate: the suite's for every row, not tuned for any method" in before
    assert before.count(" missing ") == 2  # no trial is a result of the suite
    path = write_suite(dataset=SCENES, tuned="small.tuned.yaml")
    after = invoke(capsys, "plan", path).out
    assert f"fpn: learning rate: {origin}" in after
    trained.clear()
    code, out, err = invoke(capsys, "run", path)
    assert code == 0, err
    assert trained == ["fpn seed 0", "ssd seed 0"]
    assert f"  schedule.lr: 0.003 ({origin})\n" in out
    assert f"ssd: learning rate: {origin}" in out
    content = json.loads(invoke(capsys, "report", path, "--format", "json").out)
    assert content["learning_rates"] == dict.fromkeys(BOTH, origin)
    assert f",{origin}," in invoke(capsys, "report", path, "--format", "csv").out


def test_trials_that_are_done_are_not_repeated_in_a_wider_grid(
    capsys: Capture, trained: list[str]
) -> None:
    path = write_suite(dataset=SCENES, methods=["fpn"])
    assert invoke(capsys, "tune", path, "--grid", "schedule.lr=0.003,0.01").code == 0
    assert len(trained) == 2
    code, _, _ = invoke(capsys, "tune", path, "--grid", "schedule.lr=0.001,0.003,0.01")
    assert code == 0
    assert trained[2:] == ["fpn schedule.lr=0.001 seed 0"]
    assert len(yaml.safe_load(Path("small.tuned.yaml").read_text())["rows"]["fpn"]["trials"]) == 3


def test_rows_can_be_tuned_one_after_the_other(capsys: Capture, trained: list[str]) -> None:
    path = write_suite(dataset=SCENES)
    invoke(capsys, "tune", path, *GRID, "--methods", "ssd")
    invoke(capsys, "tune", path, "--grid", "schedule.lr=0.003,0.01", "--methods", "fpn")
    assert len(trained) == 5
    rows = yaml.safe_load(Path("small.tuned.yaml").read_text())["rows"]
    assert {label: len(row["trials"]) for label, row in rows.items()} == {"ssd": 3, "fpn": 2}
    path = write_suite(dataset=SCENES, tuned="small.tuned.yaml")
    invoke(capsys, "run", path)
    note = "rows were tuned with different numbers of trials: fpn 2, ssd 3"
    assert note in invoke(capsys, "report", path).out


@pytest.mark.usefixtures("trained")
def test_options_of_the_trials_are_told(capsys: Capture) -> None:
    path = write_suite(dataset=SCENES, methods=["fpn"])
    options = ("--limit", "5", "--epochs", "2", "--holdout", "0.4", "--seeds", "1,2")
    grid = ("--grid", "schedule.lr=0.003")
    assert invoke(capsys, "tune", path, *grid, *options, "--out", "a/b.yaml").code == 0
    (row,) = yaml.safe_load(Path("a/b.yaml").read_text())["rows"].values()
    assert (row["trained_on"], row["held_out"], row["seeds"]) == (3, 2, [1, 2])
    assert row["options"] == ["--epochs 2", "--limit 5"]
    out = invoke(capsys, "plan", path, "--set", "tuned=a/b.yaml").out
    assert "schedule.lr" not in out
    path = write_suite(dataset=SCENES, methods=["fpn"], tuned="a/b.yaml")
    words = "chosen from 1 on 2 held-out training images with --epochs 2 --limit 5"
    assert f"fpn: learning rate: {words}" in invoke(capsys, "plan", path).out
    # From now on this is the file that the suite has.
    assert invoke(capsys, "tune", path, *grid).out.endswith("/a/b.yaml\n")


def test_a_row_whose_trials_find_nothing_stays_untuned(
    capsys: Capture, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEST, "ssd", 99.0)
    path = write_suite(dataset=SCENES)
    code, out, _ = invoke(capsys, "tune", path, *GRID)
    assert code == 1
    assert len(trained) == 6
    assert "ssd: nothing chosen: no trial found an object; train longer" in out
    assert list(yaml.safe_load(Path("small.tuned.yaml").read_text())["rows"]) == ["fpn"]


SCENES = {"format": "synthetic", "train": 10, "val": 2, "size": [64, 64], "objects": [3, 6]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "schedule.lrr=1"], "--grid: fpn: unknown key 'schedule.lrr'"),
        (["--grid", "seeds=[1]"], "--grid: fpn: seeds must be the same for every row"),
        ([], "Missing option '--grid'"),
        ([*GRID, "--holdout", "1"], "Invalid value for '--holdout'"),
        ([*GRID, "--methods", "fnp"], "no row 'fnp'"),
        ([*GRID, "--limit", "1"], "two are needed to hold out one; raise --limit"),
        ([*GRID, "--out", "other.yaml"], "other.yaml: is of suite other, not small; name another"),
        ([*GRID, "--out", "small.yaml"], "holds no chosen values"),
        ([*GRID, "--out", "."], "holds no chosen values"),
    ],
)
def test_refusals(capsys: Capture, arguments: list[str], words: str) -> None:
    path = write_suite(dataset=SCENES)
    Path("other.yaml").write_text("suite: other\n")
    if "Missing" in words or "Invalid" in words:
        outcome = invoke(capsys, "tune", path, *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err
    else:
        check_refusal(capsys, words, "tune", path, *arguments)


def test_chosen_values_are_no_suite_in_the_list(capsys: Capture) -> None:
    Path("suites").mkdir()
    write_suite("suites/a.yaml")
    Path("suites/a.tuned.yaml").write_text("suite: a\n")
    assert "tuned" not in invoke(capsys, "list", "suites").out
