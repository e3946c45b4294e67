"""``data`` and ``run`` refuse the same data, before anything is trained, and warn of the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sobench.runs import matrix
from tests.commands.small_suite import Capture, write_suite
from tests.data.small_datasets import coco_at, visdrone_at
from tests.records import invoke, isolate

WARNING = "val: 1 of its 1 images are in train as well, by their content (val.png); scores on them"


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_coco(**changes: Any) -> Path:
    """A suite of one image to train on and an equal one to validate; changes of ``val.json``."""
    spec = coco_at(Path("set"))
    file = Path("set/val.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return write_suite(dataset=spec.model_dump(mode="json") | {"root": "set"}, methods=["fpn"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": [{"id": n, "name": "car"} for n in (1, 2)]}, "'car' is used twice; rename"),
        ({"categories": [{"id": 1, "name": "all"}]}, "class name 'all' is taken"),
        (
            {"categories": [{"id": 1, "name": "ship"}]},
            "the classes of train and val differ: car",
        ),
        (
            {"annotations": []},
            "COCO val.json: the val split has no boxes at all; check",
        ),
        (
            {"images": [{"id": 2**63, "file_name": "a", "width": 8, "height": 6}]},
            "not a whole",
        ),
    ],
)
@pytest.mark.parametrize("command", ["data", "run"])
def test_what_scoring_would_refuse(
    capsys: Capture, command: str, changes: dict[str, Any], words: str
) -> None:
    path = write_coco(**changes)
    code, _, err = invoke(capsys, command, path)
    assert code == 2
    assert words in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2
    assert not list(Path().rglob("checkpoint*"))


def test_a_file_name_that_leaves_the_data_is_refused(capsys: Capture) -> None:
    image = {"id": 5, "file_name": "../../a.png", "width": 8, "height": 6}
    path = write_coco(images=[image])
    Image.new("RGB", (8, 6)).save("a.png")
    code, _, err = invoke(capsys, "data", path)
    assert code == 2
    assert "'../../a.png' leaves the dataset's folder" in err
    code, _, err = invoke(capsys, "data", path, "--set", "dataset.outside_root=true")
    assert (code, err) == (0, "")


def test_warnings_are_told_once_and_only_before_training(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_coco()
    code, out, _ = invoke(capsys, "data", path)
    assert code == 0
    assert f"warning: {WARNING}" in out
    code, out, err = invoke(capsys, "run", path)
    assert code == 0, err
    assert err.count(WARNING) == 1
    assert WARNING not in out

    def fail(*_: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(matrix, "checked_splits", fail)
    assert invoke(capsys, "run", path)[0] == 0


def test_names_of_files_are_text(capsys: Capture) -> None:
    spec = visdrone_at(Path("set"))
    for folder, suffix in (("images", ".jpg"), ("annotations", ".txt")):
        file = Path("set/val") / folder / f"a{suffix}"
        file.rename(file.with_name(f"[red]\x1b[2J{suffix}"))
    Path("set/val/annotations/[red]\x1b[2J.txt").write_text("1,1,0,3,1,4,0,0\n1,1,2,2,1,4,0,0")
    dataset = spec.model_dump(mode="json") | {"root": "set"}
    code, out, err = invoke(capsys, "data", write_suite(dataset=dataset))
    assert code == 0, err
    assert r"[red]\x1b[2J.txt, row 1: zero or negative size" in out
    assert r"by their content ([red]\x1b[2J.jpg)" in out
    assert "\x1b" not in out
