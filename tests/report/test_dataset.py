from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.data.cache import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.data.formats import coco
from sobench.report.dataset import ids_digest
from sobench.suite.datasets import CocoData
from sobench.suite.reader import load
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT, write_tiny

SCENES = {"format": "synthetic", "train": 9, "val": 3, "size": [64, 64], "objects": [3, 6]}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def tables_of(text: str) -> list[dict[str, list[str]]]:
    """Totals, boxes by size, boxes by class: first cell -> the other cells of each row."""
    tables = []
    for block in re.split("^boxes by .*\n", text, flags=re.MULTILINE):
        table_rows = [re.split(r" {2,}", line.strip()) for line in block.splitlines()]
        tables.append({cells[0]: cells[1:] for cells in table_rows if len(cells) > 1})
    return tables


def boxes(cell: str) -> int:
    return int(cell.split()[0])


def cached() -> list[Path]:
    return sorted(cache_folder().glob("*")) if cache_folder().exists() else []


def test_drawn_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path, dataset=SCENES)
    code, out, err = invoke(capsys, "data", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"synthetic, fingerprint {fingerprint(load(path).dataset)}\n")
    totals, sizes, classes = tables_of(out)
    assert [totals["train"][0], totals["val"][0]] == ["9", "3"]
    assert [name for name in sizes if name != "side px"] == ["<8", "8-16", "16-32", "32-96", ">=96"]
    for column, split in enumerate(("train", "val")):
        total = int(totals[split][1])
        low, _, high = (float(n) for n in totals[split][2].split(", "))
        assert 0 < low <= high <= 6
        for table in (sizes, classes):
            counts = [boxes(cells[column]) for cells in list(table.values())[1:]]
            assert sum(counts) == total > 0
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
    assert [totals["train"][0], totals["val"][0]] == ["2", "2"]
    assert "readable" not in out
    assert cached() == []


def visdrone(tmp_path: Path, root: Path, **changes: Any) -> Path:
    path = tmp_path / "drone.yaml"
    dataset = {"format": "visdrone", "root": str(root)}
    path.write_text(yaml.safe_dump(CONTENT | {"dataset": dataset, "name": "drone"} | changes))
    return path


def test_visdrone(tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = visdrone(tmp_path, shared_data / "visdrone_samples")
    code, out, err = invoke(capsys, "data", path)
    assert (code, err) == (0, "")
    totals, _, classes = tables_of(out)
    assert [totals["train"][0], totals["val"][0]] == ["6", "5"]
    assert int(totals["train"][1]) + int(totals["val"][1]) == 1008
    assert sum(int(totals[split][5]) for split in ("train", "val")) == 52
    assert sum(int(totals[split][6]) for split in ("train", "val")) == 98
    assert "train: 6 rows of category 11 (others), dropped\n" in out
    assert boxes(classes["car"][0]) + boxes(classes["car"][1]) == 206
    assert boxes(classes["motor"][0]) + boxes(classes["motor"][1]) == 228
    assert "train: 6 images readable, cache 0 MiB\nval: 5 images readable" in out
    assert len(cached()) == 2


def broken_copy(root: Path, folder: Path) -> Path:
    """A copy of the first image of each split, with rows that cannot be used."""
    for split in ("train", "val"):
        name = f"VisDrone2019-DET-{split}"
        image = sorted((root / name / "images").iterdir())[0]
        for part in ("images", "annotations"):
            (folder / name / part).mkdir(parents=True)
        (folder / name / "images" / image.name).write_bytes(image.read_bytes())
        good = (root / name / "annotations" / f"{image.stem}.txt").read_text().rstrip()
        bad = "".join("10,10,0,5,1,4,0,0\n" for _ in range(7))
        (folder / name / "annotations" / f"{image.stem}.txt").write_text(f"{good}\n{bad}")
    return folder


def test_skipped_rows_are_named(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = broken_copy(shared_data / "visdrone_samples", tmp_path / "copy")
    code, out, _ = invoke(capsys, "data", visdrone(tmp_path, root), "--no-cache")
    assert code == 0
    assert len(re.findall("^train: skipped ", out, re.MULTILINE)) == 5
    assert "train: and 2 more" in out
    assert "val: and 2 more" in out
    assert tables_of(out)[0]["train"][7] == "7"


def test_image_that_cannot_be_decoded(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = broken_copy(shared_data / "visdrone_samples", tmp_path / "copy")
    image = next((root / "VisDrone2019-DET-val" / "images").iterdir())
    image.write_bytes(image.read_bytes()[:20000])
    code, out, err = invoke(capsys, "data", visdrone(tmp_path, root))
    assert code == 2
    assert image.name in err
    assert len(err.splitlines()) <= 2
    assert "val: 1 images readable" not in out
    assert [path.name.partition("-")[0] for path in cached()] == ["train"]
