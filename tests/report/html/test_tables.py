from __future__ import annotations

from pathlib import Path

import pytest

from sobench.compare.leaderboard import Leaderboard, leaderboard
from sobench.report.columns import shown_columns
from sobench.report.html.charts import PageRow
from sobench.report.html.tables import (
    class_grid,
    error_grids,
    footnotes,
    further_grid,
    leaderboard_grid,
    pair_matrix,
)
from sobench.report.view import View
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import keep, write_suite
from tests.detected_results import keep_detected, page_of
from tests.records import isolate

RESULTS = Path("results")
ROWS = {label: PageRow(number, label) for number, label in enumerate(["fpn", "ssd"])}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def board_of(path: Path) -> Leaderboard:
    return leaderboard(plan(load(path), ""), RESULTS)


def test_the_leaderboard_has_what_the_other_formats_have() -> None:
    path = write_suite()
    keep(path, 0.3, 0.5)
    board = board_of(path)
    grid = leaderboard_grid(board, ROWS)
    names = [column.text for column in grid.columns]
    assert names[:5] == ["tier", "method", "AP", "AP50", "AP75"]
    assert names[-5:] == ["params M", "GFLOPs", "ms", "img/s", "train min"]
    assert [[cell.text for cell in row[:3]] for row in grid.rows] == [
        ["-", "ssd", "0.500"], ["-", "fpn", "0.300"],
    ]  # fmt: skip
    assert [row[2].mark for row in grid.rows] == ["best", "second"]
    assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert [row[1].row for row in grid.rows] == [1, 0]
    assert further_grid(board, ROWS) is None


def test_marks_are_those_of_the_other_formats() -> None:
    """Two rows that are printed alike share a place, and none is marked that more share."""
    path = write_suite(methods=["fpn", "ssd", "pafpn", "libra"])
    keep(path, 0.3001, 0.2999, 0.2, 0.1)
    board = board_of(path)
    grid = leaderboard_grid(board, {label: PageRow(0, label) for label in board.table["method"]})
    for number, column in enumerate(grid.columns):
        same = [c for c in shown_columns(board, View())[0] if c.title == column.text]
        assert [row[number].mark for row in grid.rows] == [same[0].place(i) for i in range(4)]
    assert [row[2].mark for row in grid.rows] == ["best", "best", "", ""]
    assert [row[2].text for row in grid.rows] == ["0.300", "0.300", "0.200", "0.100"]


def test_what_has_no_room_is_asked_for() -> None:
    limit = {"max_detections": 500}
    path = write_suite(protocol="visdrone-coco", seeds=[0, 1], detect=limit)
    keep_detected(path)
    grid = leaderboard_grid(board_of(path), ROWS)
    shown = [column.text for column in grid.columns if not column.is_further]
    assert shown[:5] == ["tier", "method", "seeds", "AP", "95 % interval"]
    assert "train min" in shown
    assert 0 < grid.further < len(grid.columns) - 8
    keep(write_suite(), 0.3, 0.5)
    assert leaderboard_grid(board_of(write_suite()), ROWS).further == 0


def test_footnotes_are_shared_and_numbered() -> None:
    path = write_suite()
    keep(path, 0.3, 0.5)
    board = board_of(path)
    notes = footnotes(board)
    assert [labels for _, labels in notes] == [["ssd"]] * len(notes)
    assert notes
    (ssd, fpn) = (row[1] for row in leaderboard_grid(board, ROWS).rows)
    assert (ssd.notes, fpn.notes) == (tuple(range(1, len(notes) + 1)), ())


def test_classes_are_shaded_on_one_scale() -> None:
    path = write_suite()
    keep(path, 0.3, 0.5)
    grid = class_grid(board_of(path), {"car": 7})
    assert [column.text for column in grid.columns] == ["class", "objects", "ssd", "fpn", "spread"]
    (car, bus, tram) = grid.rows
    assert [cell.text for cell in car] == ["car", "7", "0.600", "0.400", "0.200"]
    assert car[2].share == 1.0
    assert bus[2].share == pytest.approx(0.4 / 0.6)
    assert [cell.text for cell in tram] == ["tram", "-", "-", "-", "-"]
    assert tram[2].value is None


def test_pairs_and_errors() -> None:
    path = write_suite(seeds=[0, 1])
    keep_detected(path)
    page = page_of(path)
    matrix = pair_matrix(page.board, page.found)
    assert matrix is not None
    there, back = matrix.details["0,1"], matrix.details["1,0"]
    assert (there["first"], there["second"]) == (back["second"], back["first"])
    assert there["mean"].replace("+", "−") == back["mean"]
    assert there["p"] == back["p"]
    for a, b in zip(there["found"], back["found"], strict=True):
        assert a == [b[0], b[1], b[3], b[2], b[4]]
    lost, counts = error_grids(page.boxes.errors, ROWS)
    assert max(cell.share or 0.0 for row in lost.rows for cell in row) == 1.0
    assert [row[0].text for row in counts.rows] == page.labels
    assert (
        pair_matrix(board_of(write_suite("one.yaml", name="small", methods=["fpn"])), None) is None
    )
