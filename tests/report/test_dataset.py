from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset, ids_digest
from sobench.data.fingerprint import fingerprint
from sobench.data.formats import coco
from sobench.data.resize import resize
from sobench.data.statistics import SIZE_BINS, Statistics, describe
from sobench.data.synthetic.layout import CLASSES
from sobench.suite.datasets import CocoData
from sobench.suite.reader import load
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT, write_tiny

SCENES = {"format": "synthetic", "train": 9, "val": 3, "size": [64, 64], "objects": [3, 6]}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def tables_of(text: str) -> list[dict[str, list[str]]]:
    """Totals, boxes by class, size and side, anchors: first cell -> the other cells of a row."""
    tables = []
    for block in re.split("^(?:boxes by|objects that) .*\n", text, flags=re.MULTILINE):
        table_rows = [re.split(r" {2,}", line.strip()) for line in block.splitlines()]
        tables.append({cells[0]: cells[1:] for cells in table_rows if len(cells) > 1})
    return tables


def boxes(cell: str) -> int:
    return int(cell.split()[0])


def cached() -> list[Path]:
    return sorted(cache_folder().glob("*.images")) if cache_folder().exists() else []


def test_drawn_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path, dataset=SCENES)
    code, out, err = invoke(capsys, "data", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"synthetic, fingerprint {fingerprint(load(path).dataset)}\n")
    totals, classes, sizes, sides, anchors = tables_of(out)
    assert anchors["fpn"][0] == "12.0"
    assert totals["images"] == ["9", "3"]
    assert {name: cells[0] for name, cells in sizes.items() if len(name) == 1} == {
        "S": "<=32", "M": "32-96", "L": ">=96",
    }  # fmt: skip
    assert list(sides)[1:7] == ["<8", "8-16", "16-32", "32-96", ">=96", "median"]
    # The scenes are as large as the input.
    assert sides["median"][:2] == sides["median"][2:]
    for column in range(2):
        total = int(totals["boxes"][column])
        low, _, high = (
            float(n) for n in totals["boxes an image: min, median, max"][column].split(", ")
        )
        assert 0 < low <= high <= 6
        for table, names in ((sides, SIZE_BINS), (classes, CLASSES)):
            assert sum(boxes(table[name][column]) for name in names) == total > 0
    assert "train: 9 images readable, cache 0 MiB\nval: 3 images readable" in out
    assert [name.name.partition("-")[0] for name in cached()] == ["train", "val"]


def test_two_people_can_compare_their_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = invoke(capsys, "data", write_tiny(tmp_path, dataset=SCENES), "--no-cache")
    for split, count in (("train", 9), ("val", 3)):
        ids = "\n".join(str(n) for n in range(1, count + 1))  # drawn scenes count from 1
        digest = hashlib.sha256(ids.encode()).hexdigest()[:16]
        assert f"\n{split}: {count} images, sha256 of their ids {digest}\n" in out


def test_ids_are_sorted_as_numbers(tmp_path: Path) -> None:
    rows = [(10, "b.jpg"), (9, "a.jpg"), (100, "c.jpg")]
    content = {
        "images": [{"id": n, "file_name": f, "width": 8, "height": 8} for n, f in rows],
        "annotations": [],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "t.json").write_text(json.dumps(content))
    spec = CocoData(format="coco", root=".", train="t.json", val="t.json")
    dataset = coco.read(tmp_path, spec, "train")
    # printf '9\n10\n100' | sha256sum
    assert ids_digest(dataset) == "8c1e0bc9a51ebe8d"
    assert ids_digest(dataset.first(2)) != ids_digest(dataset)


def test_a_part_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path, dataset=SCENES)
    _, out, _ = invoke(capsys, "data", path, "--limit", "2", "--no-cache")
    totals = tables_of(out)[0]
    assert totals["images"] == ["2", "2"]
    assert "readable" not in out
    assert cached() == []


DRONE_ROWS = {
    "train": ["10,10,9,9,1,4,0,0", "30,10,6,5,1,10,0,0", "50,10,7,7,1,4,0,0", "5,40,5,5,0,1,0,0",
              "0,60,90,30,0,0,0,0", "60,40,9,9,1,11,0,0"],
    "val": ["40,20,40,40,1,4,0,0", "1,1,20,20,0,0,0,0", ""],
}  # fmt: skip
"""Boxes of each split's two images: objects, one not considered, ignored regions, others."""


def visdrone(tmp_path: Path, extra: str = "") -> Path:
    """A suite of two noisy images a split, the second without boxes; ``extra`` ends the first."""
    noise = np.random.default_rng(0)
    for split, rows in DRONE_ROWS.items():
        folder = tmp_path / "drone" / f"VisDrone2019-DET-{split}"
        for part in ("images", "annotations"):
            (folder / part).mkdir(parents=True)
        for stem, text in (("a", "\n".join(rows) + extra), ("b", "")):
            pixels = noise.integers(0, 256, (100, 120, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{stem}.jpg")
            (folder / "annotations" / f"{stem}.txt").write_text(text)
    path = tmp_path / "drone.yaml"
    dataset = {"format": "visdrone", "root": str(tmp_path / "drone")}
    path.write_text(yaml.safe_dump(CONTENT | {"dataset": dataset, "name": "drone"}))
    return path


def test_visdrone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = invoke(capsys, "data", visdrone(tmp_path))
    assert (code, err) == (0, "")
    totals, classes, sizes, sides, _ = tables_of(out)
    assert (totals["images"], totals["boxes"]) == (["2", "2"], ["3", "1"])
    assert totals["regions ignored for all classes"] == ["1", "1"]
    assert totals["regions ignored for one class"] == ["1", "0"]
    assert "train: 1 rows of category 11 (others), dropped\n" in out
    assert [boxes(cell) for cell in classes["car"]] == [2, 1]
    assert [boxes(cell) for cell in classes["motor"]] == [1, 0]
    assert [boxes(cell) for cell in sizes["M"][1:]] == [0, 1, 0, 0]
    # 120x100 pixels become 64x64.
    assert [boxes(cell) for cell in sides["32-96"]] == [0, 1, 0, 0]
    assert sides["median"] == ["7.0", "40.0", "4.1", "23.4"]
    assert "warning: 100 % of the training objects have sides below 8.5 px at the input" in out
    assert "train: 2 images readable, cache 0 MiB\nval: 2 images readable" in out
    assert len(cached()) == 2


def test_skipped_rows_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = visdrone(tmp_path, extra="\n10,10,0,5,1,4,0,0" * 7)
    code, out, _ = invoke(capsys, "data", path, "--no-cache")
    assert code == 0
    assert len(re.findall("^train: skipped ", out, re.MULTILINE)) == 5
    assert "train: and 2 more" in out
    assert "val: and 2 more" in out
    assert tables_of(out)[0]["rows skipped"][0] == "7"


def test_image_that_cannot_be_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = visdrone(tmp_path)
    image = tmp_path / "drone" / "VisDrone2019-DET-val" / "images" / "a.jpg"
    image.write_bytes(image.read_bytes()[:5000])
    code, out, err = invoke(capsys, "data", path)
    assert code == 2
    assert "a.jpg" in err
    assert len(err.splitlines()) <= 2
    assert out == ""
    assert [path.name.partition("-")[0] for path in cached()] == ["train"]


def test_all_images_that_cannot_be_decoded_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = visdrone(tmp_path)
    images = tmp_path / "drone" / "VisDrone2019-DET-train" / "images"
    (images / "a.jpg").write_bytes((images / "a.jpg").read_bytes()[:5000])
    Image.new("RGB", (120, 100)).save(images / "b.jpg")
    (images / "b.jpg").write_bytes((images / "b.jpg").read_bytes()[:-200])
    code, out, err = invoke(capsys, "data", path)
    assert (code, out) == (2, "")
    assert "2 of 2 images cannot be used:" in err
    assert re.search(r"a\.jpg: is damaged .* \| .*b\.jpg: is damaged", err)
    assert len(err.splitlines()) <= 2


def test_a_damaged_cache_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path, dataset=SCENES)
    invoke(capsys, "data", path)
    train, _ = cached()
    content = train.read_bytes()
    train.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out, err = invoke(capsys, "data", path)
    assert code == 2
    assert f"{train}: the image cache is damaged (image 8 " in err
    assert out == ""


def test_pictures_that_change_meanwhile_are_not_cached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = visdrone(tmp_path)
    image = tmp_path / "drone" / "VisDrone2019-DET-val" / "images" / "a.jpg"

    def replaced(*arguments: Any) -> NDArray[np.uint8]:
        image.write_bytes(image.read_bytes() + b"more")
        return resize(*arguments)

    monkeypatch.setattr("sobench.data.cache.resize", replaced)
    code, _, err = invoke(capsys, "data", path)
    assert code == 2
    assert "has changed since this command began" in err
    assert cached() == []


def test_annotations_that_change_meanwhile_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = visdrone(tmp_path)
    annotations = next((tmp_path / "drone").rglob("annotations/a.txt"))

    def described(dataset: Dataset) -> Statistics:
        annotations.write_text("1,1,9,9,1,4,0,0")
        return describe(dataset)

    monkeypatch.setattr("sobench.report.dataset.describe", described)
    code, _, err = invoke(capsys, "data", path, "--no-cache")
    assert code == 2
    assert "has changed since this command began" in err


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_or_wider_than_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = {"name": "efpn", "label": "efpn without a teacher and with a longer name"}
    _, out, _ = invoke(capsys, "data", write_tiny(tmp_path, dataset=SCENES, methods=["fpn", long]))
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
