from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sobench.metrics.detections import DetectionTable, tabulate
from sobench.metrics.foreign import LAYOUTS, read_foreign
from sobench.metrics.foreign.table import to_detections
from sobench.metrics.scoring import score
from tests.metrics.foreign.written import WRITERS, Write, detections, split
from tests.metrics.scoring_cases import COCO, assert_same
from tests.real_data import COCO_100_DETECTIONS


def sorted_columns(
    table: DetectionTable,
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    order = np.lexsort((table.scores, table.category_ids, table.image_ids))
    columns = (table.image_ids, table.category_ids, *table.boxes.T, table.scores)
    return [column[order].astype(np.float64) for column in columns]


@pytest.mark.parametrize(("layout", "write"), WRITERS.values(), ids=WRITERS)
def test_every_layout_gives_the_same_table(tmp_path: Path, layout: str, write: Write) -> None:
    dataset = split()
    rows = detections(dataset)
    path = write(tmp_path, dataset, rows)
    name, foreign = read_foreign(path)
    assert name == layout  # recognised
    made = to_detections(foreign, dataset, COCO)
    expected = tabulate(rows, "rows")
    for column, other in zip(sorted_columns(made.table), sorted_columns(expected), strict=True):
        np.testing.assert_array_equal(column, other)
    assert made.notes == ("1 of 6 images have no detections, and count as images without any",)
    assert_same(score(dataset, made.table, COCO), score(dataset, expected, COCO))
    assert read_foreign(path, layout)[0] == layout


def test_all_layouts_are_tried() -> None:
    assert {layout for layout, _ in WRITERS.values()} == set(LAYOUTS)


def test_rows_keep_their_order_and_places(tmp_path: Path) -> None:
    dataset = split()
    rows = detections(dataset)
    path = WRITERS["coco"][1](tmp_path, dataset, rows)
    _, foreign = read_foreign(path)
    assert foreign.scores.tolist() == [row["score"] for row in rows]
    assert foreign.place(3) == f"{path}, row 4"
    folder = WRITERS["yolo"][1](tmp_path, dataset, rows)
    _, foreign = read_foreign(folder)
    assert foreign.place(1) == f"{folder / 'a_10.txt'}, row 2"


def test_real_detections_are_read_to_the_bit() -> None:
    import json

    _, foreign = read_foreign(COCO_100_DETECTIONS)
    rows = json.loads(COCO_100_DETECTIONS.read_text())
    assert foreign.boxes.tolist() == [row["bbox"] for row in rows]
    assert foreign.scores.tolist() == [row["score"] for row in rows]


def test_empty_text_files_are_images_without_detections(tmp_path: Path) -> None:
    for name in ("a_10", "a_20"):
        (tmp_path / f"{name}.txt").touch()
    _, foreign = read_foreign(tmp_path)
    assert len(foreign) == 0
    assert len(to_detections(foreign, split(), COCO).table.scores) == 0


def test_a_devkit_file_of_one_class(tmp_path: Path) -> None:
    file = tmp_path / "comp4_det_val_bus.txt"
    file.write_text("a_10 0.5 11 21 30 60\n")
    name, foreign = read_foreign(file)
    made = to_detections(foreign, split(), COCO)
    assert (name, made.table.category_ids.tolist()) == ("voc-devkit", [2])
    assert made.table.boxes.tolist() == [[10, 20, 20, 40]]


def test_classes_of_yolo_are_positions_unless_ids_begin_at_0(tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "a_10.txt").write_text("2 0.5 0.5 0.1 0.1 0.9\n")
    _, foreign = read_foreign(tmp_path)
    dataset = split()
    assert to_detections(foreign, dataset, COCO).table.category_ids.tolist() == [5]
    of_yolo = replace(dataset, category_ids=(0, 2, 7))
    assert to_detections(foreign, of_yolo, COCO).label.tolist() == [1]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("file_name;label;confidence;x;y;w;h", "a_10.jpg;bus;0.5;10;20;20;40"),
        ("image\tcategory_id\tscore\tx1\ty1\tx2\ty2", "a_10\t2\t0.5\t10\t20\t30\t60"),
        ("image_id,class,score,bbox_left,bbox_top,bbox_width,bbox_height", "10,2,.5,10,20,20,40"),
    ],
)
def test_headers_of_tables(tmp_path: Path, header: str, cells: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n{cells}\n\n")
    name, foreign = read_foreign(path)
    table = to_detections(foreign, split(), COCO).table
    assert name == "csv"
    assert table.image_ids.tolist() == [10]
    assert table.category_ids.tolist() == [2]
    assert table.boxes.tolist() == [[10, 20, 20, 40]]
