"""From a folder to a table in two commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from sobench.runs import draft, recipes
from sobench.runs.estimate import Estimate
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, check_refusal, files
from tests.data.small_datasets import MAKERS, coco_at, tt100k_at
from tests.records import invoke, isolate

ESTIMATE = Estimate(
    steps=100, step_s=0.1, epoch_s=1.0, detect_s=2.0, memory_mb=100.0, result_bytes=1,
    checkpoint_bytes=1, images_2x=False,
)  # fmt: skip
"""Of ten epochs."""


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    monkeypatch.setattr(recipes, "can_be_had", lambda _: False)


@pytest.fixture
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "estimate", lambda *_: ESTIMATE)


def yolo_squares(root: Path, images: int = 4) -> None:
    """A YOLO data set of any name for its file: red squares and green discs on noise."""
    noise = np.random.default_rng(0)
    for split in ("train", "valid"):
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for number in range(images):
            picture = Image.fromarray(noise.integers(90, 160, (96, 128, 3), np.uint8))
            rows = []
            for label in range(2):
                x, y = noise.integers(0, 100), noise.integers(0, 70)
                box = (int(x), int(y), int(x) + 20, int(y) + 20)
                drawn = ImageDraw.Draw(picture)
                (drawn.ellipse if label else drawn.rectangle)(box, fill="green" if label else "red")
                centre = (x + 10) / 128, (y + 10) / 96
                rows.append(f"{label} {centre[0]} {centre[1]} {20 / 128} {20 / 96}")
            picture.save(root / split / "images" / f"{number}.png")
            (root / split / "labels" / f"{number}.txt").write_text("\n".join(rows))
    config = {"train": "../train/images", "val": "../valid/images", "names": ["square", "disc"]}
    (root / "shapes.yaml").write_text(yaml.safe_dump(config))


def test_from_a_folder_to_a_table(capsys: Capture) -> None:
    yolo_squares(Path("shapes"))
    code, out, err = invoke(capsys, "init", "shapes", "--minutes", "0.05", "--out", "my.yaml")
    assert code == 0, err
    assert out.rstrip().endswith("next:\n  sobench run my.yaml")
    suite = load("my.yaml")
    assert (suite.name, suite.dataset.format) == ("my", "yolo")
    assert str(suite.dataset.model_dump()["root"]).endswith("/shapes")
    assert suite.schedule.warmup.steps < 4 / 2 * suite.schedule.epochs
    code, out, err = invoke(capsys, "run", "my.yaml", "--methods", "fpn")
    assert code == 0, err
    assert "tier  method" in out


@pytest.mark.usefixtures("_untimed")
@pytest.mark.parametrize("name", MAKERS)
def test_a_suite_of_every_layout(capsys: Capture, name: str) -> None:
    MAKERS[name](Path("data") / "inner")
    code, out, err = invoke(capsys, "init", "data")
    assert code == 0, err
    assert "data.yaml is written" in out
    # Named from the suite file on, so that both can be moved.
    assert yaml.safe_load(Path("data.yaml").read_text())["dataset"]["root"].startswith("data/inner")
    code, _, err = invoke(capsys, "plan", "data.yaml")
    assert code == 0, err


@pytest.mark.usefixtures("_untimed")
def test_every_value_has_its_reason(capsys: Capture) -> None:
    coco_at(Path("set"))
    assert invoke(capsys, "init", "set")[0] == 0
    text = Path("set.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 100
    lines = text.splitlines()
    for key in yaml.safe_load(text):
        if key in ("name", "title"):
            continue
        number = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[number - 1].startswith("# "), key


@pytest.mark.usefixtures("_untimed")
def test_the_time_sets_the_epochs(capsys: Capture) -> None:
    coco_at(Path("set"))
    epochs = []
    for minutes in (1, 10):
        path = f"{minutes}.yaml"
        code, out, _ = invoke(capsys, "init", "set", "--minutes", str(minutes), "--out", path)
        assert code == 0
        epochs.append(load(path).schedule.epochs)
    # 54 s but 6 s of detection, for three rows at a second an epoch; then 540 s.
    assert epochs == [16, 178]
    assert "about 10 minutes" in out
    schedule = load("10.yaml").schedule
    assert schedule.warmup.steps == 9  # a twentieth of the steps


@pytest.mark.usefixtures("_untimed")
def test_a_single_split_is_divided(capsys: Capture) -> None:
    coco_at(Path("set"))
    content = json.loads(Path("set/train.json").read_text())
    for split, number in (("val", 6),):
        image = {"id": number, "file_name": f"{split}.png", "width": 8, "height": 6}
        content["images"].append(image)
        box = {"id": 2, "image_id": number, "category_id": 1, "bbox": [1, 1, 3, 3]}
        content["annotations"].append(box)
    Path("set/train.json").write_text(json.dumps(content))
    Path("set/val.json").unlink()
    before = files()
    code, out, _ = invoke(capsys, "init", "set")
    assert code == 0
    assert "train.json is the only split; 20 % of its images are held out" in out
    assert "1 scored image is too few to tell methods apart" in out
    suite = load("set.yaml")
    assert suite.dataset.model_dump()["holdout"] == 0.2
    assert files() - before == {"set.yaml"}


@pytest.mark.usefixtures("_untimed")
def test_a_single_image_is_only_a_trial(capsys: Capture) -> None:
    tt100k_at(Path("set"))
    content = json.loads(Path("set/annotations.json").read_text())
    del content["imgs"]["1"]
    Path("set/annotations.json").write_text(json.dumps(content))
    code, out, _ = invoke(capsys, "init", "set")
    assert code == 0
    assert "beware: one image with objects is trained on and scored" in out
    assert "# Beware: one image with objects" in Path("set.yaml").read_text()
    dataset: dict[str, Any] = load("set.yaml").dataset.model_dump()
    assert (dataset["train"], dataset["val"], dataset["holdout"]) == ("test", "test", 0)


def test_what_cannot_be_a_suite(capsys: Capture) -> None:
    Path("empty").mkdir()
    check_refusal(capsys, "holds no files at all", "init", "empty")
    check_refusal(capsys, "no such folder", "init", "nothing")
    coco_at(Path("set"))
    check_refusal(capsys, "--out: a.txt is not a suite file", "init", "set", "--out", "a.txt")
    Path("set.yaml").write_text("mine")
    check_refusal(capsys, "set.yaml: is there already", "init", "set")
    check_refusal(capsys, "--format: unknown 'cocoo'", "init", "set", "--format", "cocoo")
    coco_at(Path("bare"), boxes=False)
    check_refusal(capsys, "has no boxes at all", "init", "bare", "--out", "b.yaml")


def test_classes_that_differ_are_told_at_once(capsys: Capture) -> None:
    coco_at(Path("set"))
    file = Path("set/val.json")
    file.write_text(file.read_text().replace("car", "ship"))
    check_refusal(capsys, "the classes of train and val differ", "init", "set")
