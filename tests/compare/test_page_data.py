"""What a page is made from, where all is well and where files are gone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sobench.compare.pictures import most_different
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import DATA, keep, write_suite
from tests.compare.hand_made import hand_made, keep_matched
from tests.detected_results import keep_detected, page_of
from tests.records import isolate

RESULTS = Path("results")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_everything_is_there() -> None:
    path = write_suite(seeds=[0, 1])
    keep_detected(path)
    page = page_of(path)
    assert (page.unmatched, page.boxes.notes, page.board.partial) == ((), (), ())
    assert sorted(page.labels) == ["fpn", "ssd"]
    assert set(page.boxes.errors) == set(page.learning) == set(page.labels)
    assert page.boxes.seed == 0
    assert page.found is not None
    assert sum(b.objects for b in page.sizes) == page.found.objects
    for picture in page.boxes.pictures:
        assert Image.open(io.BytesIO(picture.jpeg)).size == (picture.width, picture.height)
        for row in picture.rows.values():
            assert len(row.true) + len(row.missed) == len(picture.objects) == len(picture.classes)
    assert page.boxes.pictures


def write_photographs() -> dict[str, str]:
    """COCO data: three images, of which the first has a large object alone and the others both."""
    Path("data/images").mkdir(parents=True)
    boxes = {1: [[5, 5, 90, 90]], 2: [[5, 5, 20, 20], [60, 10, 60, 60]], 3: [[9, 40, 12, 20]]}
    for number in boxes:
        Image.new("RGB", (160, 120), (90, 20 * number, 60)).save(f"data/images/{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 160, "height": 120} for n in boxes],
        "annotations": [
            {"id": 10 * n + i, "image_id": n, "category_id": 1, "bbox": box, "iscrowd": 0}
            for n, of_image in boxes.items()
            for i, box in enumerate(of_image)
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    Path("data/both.json").write_text(json.dumps(content))
    return {"format": "coco", "root": "data", "train": "both.json", "val": "both.json"}


@pytest.mark.parametrize(
    ("protocol", "objects"), [("coco", 4), ("soda-d", 2), ("coco-small", 2), ("tt100k", 4)]
)
def test_boxes_belong_to_what_the_protocol_looks_at(protocol: str, objects: int) -> None:
    """Large objects may be left out, and images without a small one."""
    limit = {"max_detections": 1000}
    path = write_suite(protocol=protocol, dataset=write_photographs(), detect=limit)
    keep_detected(path)
    page = page_of(path)
    assert page.boxes.notes == ()
    assert page.found is not None
    assert page.found.objects == objects
    assert set(page.boxes.errors) == {"fpn", "ssd"}
    assert page.boxes.pictures
    for picture in page.boxes.pictures:
        colour = Image.open(io.BytesIO(picture.jpeg)).getpixel((150, 110))
        assert isinstance(colour, tuple)
        assert round(colour[1] / 20) == int(picture.name[0])  # the image of that name
        small = {"2.png": [[5, 5, 20, 20]], "3.png": [[9, 40, 12, 20]]}
        if objects == 2:
            assert picture.objects.tolist() == small.get(picture.name, [])


def test_without_matches_records_are_shown() -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    page = page_of(path)
    assert page.labels == ["fpn", "ssd"]
    assert (page.sizes, page.found, page.boxes.errors, page.boxes.pictures) == ((), None, {}, ())
    assert len(page.unmatched) == 1
    assert "detections of its record are gone" in page.unmatched[0]


def test_a_row_without_matches_is_named() -> None:
    path = write_suite()
    runs = keep_detected(path)
    for file in runs[0].folder(RESULTS).glob("matches-*"):
        file.write_bytes(b"nonsense")
    page = page_of(path)
    assert set(page.boxes.errors) == {"ssd"}
    assert (page.found, page.boxes.pictures) == (None, ())
    assert page.unmatched[0].startswith("fpn seed 0: ")


def keep_by_hand(path: Path, data: str) -> None:
    for run in plan(load(path), data):
        keep_matched(run, 0.5, hand_made([(0.9, 0), (0.8, 1 if run.entry.label == "fpn" else 2)]))


def test_data_of_another_state_are_told() -> None:
    path = write_suite()
    keep_by_hand(path, DATA)
    page = page_of(path)
    assert (page.boxes.errors, page.boxes.pictures) == ({}, ())
    assert page.boxes.notes[0].startswith("dataset: the data at hand are another state, ")
    assert page.found is not None


def test_damaged_detections_are_told() -> None:
    path = write_suite()
    runs = keep_detected(path)
    next(runs[1].folder(RESULTS).glob("detections*")).write_bytes(b"nonsense")
    page = page_of(path)
    assert set(page.boxes.errors) == {"fpn"}
    assert page.boxes.notes[0].startswith("ssd seed 0: ")
    assert page.found is not None  # needs the matches alone


def test_data_that_are_not_at_hand_are_told() -> None:
    path = write_suite(
        dataset={"format": "coco", "root": "nowhere", "train": "a.json", "val": "b.json"}
    )
    keep_by_hand(path, DATA)
    page = page_of(path)
    assert page.boxes.errors == {}
    assert page.boxes.notes[0].startswith("dataset.root: no folder ")
    assert page.sizes


def test_images_on_which_rows_agree_are_left_out() -> None:
    # Objects 0 and 2 are on the first image, 1 and 3 on the second.
    first, second = hand_made([(0.9, 0), (0.8, 1)]), hand_made([(0.9, 0), (0.8, 3)])
    assert most_different({"a": (first, 0.0), "b": (second, 0.0)}).tolist() == [1]
    assert most_different({"a": (first, 0.0), "b": (first, 0.0)}).tolist() == []
    assert most_different({"a": (first, None), "b": (first, None)}).dtype == np.int64
