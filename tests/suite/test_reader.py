from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sobench.errors import SuiteError
from sobench.suite.datasets import CocoData, SyntheticData, VocData
from sobench.suite.heads import HEADS
from sobench.suite.methods import methods
from sobench.suite.reader import load
from tests.suite.suite_texts import text_of
from tests.suite.wrong_suites import WRONG
from tests.tiny_suite import CONTENT, tiny_suite


@pytest.mark.parametrize("case", WRONG)
def test_wrong_suite(tmp_path: Path, case: str) -> None:
    content, words = WRONG[case]
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    with pytest.raises(SuiteError, match=re.escape(f"{path}{words}")) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "nput should" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    with pytest.raises(SuiteError, match=re.escape(f"{path}: no such suite file; `sobench list")):
        load(path)
    with pytest.raises(SuiteError, match="cannot be read: not a regular file"):
        load(tmp_path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(SuiteError, match=r"cannot be read: .*utf-8"):
        load(path)


def test_rows_are_spelt_out() -> None:
    rows = tiny_suite(methods=["fpn", {"name": "fpn", "label": "plain", "fuse": False}]).methods
    assert [(row.name, row.label, row.switches) for row in rows] == [
        ("fpn", "fpn", {"fuse": True, "first_level": 3}),
        ("fpn", "plain", {"fuse": False, "first_level": 3}),
    ]


def test_every_switch_has_its_default_among_its_values() -> None:
    for method in methods().values():
        for switch in method.switches.values():
            assert switch.default in switch.values
        assert set(method.heads) <= set(HEADS)


def test_name_is_that_of_the_file(tmp_path: Path) -> None:
    content = {key: value for key, value in CONTENT.items() if key != "name"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert load(tmp_path / "mine.yaml").name == "mine"


def test_relative_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "a.yaml"
    data = {"format": "coco", "root": "../data", "train": "a.json", "val": "b.json"}
    path.write_text(text_of(dataset=data, backbone={"name": "resnet18", "weights": "w.pth"}))
    monkeypatch.chdir(tmp_path)
    suite = load(path)
    assert isinstance(suite.dataset, CocoData)
    assert suite.dataset.root == str(tmp_path / "data")
    assert suite.backbone.weights == str(tmp_path / "suites" / "w.pth")
    changed = load(path, {"dataset.root": "here", "backbone.weights": "imagenet"})
    assert isinstance(changed.dataset, CocoData)
    assert changed.dataset.root == str(tmp_path / "here")
    assert changed.backbone.weights == "imagenet"


@pytest.mark.parametrize("root", ["${SOME_DATA}/a", "~/a", "/a"])
def test_variables_are_kept(tmp_path: Path, root: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of(dataset={"format": "voc", "root": root, "classes": ["a", "b"]}))
    dataset = load(path).dataset
    assert isinstance(dataset, VocData)
    assert dataset.root == root
    assert dataset.classes == ("a", "b")


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of())
    suite = load(path, {"schedule.warmup.steps": 7, "detect.nms": 0.6, "methods": ["ssd"]})
    assert suite.schedule.warmup.steps == 7
    assert suite.schedule.warmup.start == 0.1  # its neighbour in the file stays
    assert suite.detect.nms == 0.6
    assert [row.label for row in suite.methods] == ["ssd"]
    with pytest.raises(SuiteError, match=r"unknown key 'schedule.epoch'; did you mean 'epochs'"):
        load(path, {"schedule.epoch": 1})
    with pytest.raises(SuiteError, match=r"methods.0.name: methods is not a section; set methods"):
        load(path, {"methods.0.name": "ssd"})


def test_anchors_of_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    scenes = "{format: synthetic, train: 4, val: 2}"
    content = yaml.safe_load(text_of())
    del content["dataset"]
    path.write_text(
        f"augment: &same {{hflip: 0.25}}\ndataset:\n  <<: {scenes}\n  val: 3\n"
        + yaml.safe_dump(content)
    )
    dataset = load(path).dataset
    assert isinstance(dataset, SyntheticData)
    assert (dataset.train, dataset.val) == (4, 3)
