from __future__ import annotations

from pathlib import Path

import pytest

from sobench.compare.leaderboard import Leaderboard, leaderboard
from sobench.compare.page_data import page_data
from sobench.report.html.tables import (
    Cell,
    class_grid,
    error_grids,
    footnotes,
    further_grid,
    leaderboard_grid,
    marked,
    pair_matrix,
)
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import keep, write_suite
from tests.detected_results import keep_detected
from tests.records import isolate

RESULTS = Path("results")
COLOURS = {"fpn": 0, "ssd": 1}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def board_of(path: Path) -> Leaderboard:
    return leaderboard(plan(load(path), ""), RESULTS)


def marks(*values: float | None, higher: bool = True) -> list[str]:
    return [cell.mark for cell in marked([Cell("x", value) for value in values], higher)]


def test_the_best_and_the_second_best_are_marked() -> None:
    assert marks(0.1, 0.3, 0.2) == ["", "best", "second"]
    assert marks(0.1, 0.3, 0.2, higher=False) == ["best", "", "second"]
    assert marks(0.3, 0.3, 0.2, None) == ["best", "best", "second", ""]
    assert marks(0.3, 0.3) == ["", ""]
    assert marks(0.0, 0.3, 0.0) == ["", "best", ""]
    assert marks(None, None) == ["", ""]


def test_the_leaderboard_has_what_the_other_formats_have() -> None:
    path = write_suite()
    keep(path, 0.3, 0.5)
    board = board_of(path)
    grid = leaderboard_grid(board, COLOURS)
    names = [column.text for column in grid.columns]
    assert names[:5] == ["tier", "method", "AP", "AP50", "AP75"]
    assert names[-5:] == ["params M", "GFLOPs", "ms", "img/s", "train min"]
    assert [[cell.text for cell in row[:3]] for row in grid.rows] == [
        ["-", "ssd", "0.500"], ["-", "fpn", "0.300"],
    ]  # fmt: skip
    assert [row[2].mark for row in grid.rows] == ["best", "second"]
    assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert [row[1].row for row in grid.rows] == [1, 0]
    assert further_grid(board, COLOURS) is None


def test_footnotes_are_shared_and_numbered() -> None:
    path = write_suite()
    keep(path, 0.3, 0.5)
    board = board_of(path)
    notes = footnotes(board)
    assert [labels for _, labels in notes] == [["ssd"]] * len(notes)
    assert notes
    (ssd, fpn) = (row[1] for row in leaderboard_grid(board, COLOURS).rows)
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
    runs = plan(load(path), "")
    page = page_data(leaderboard(runs, RESULTS), runs, RESULTS)
    matrix = pair_matrix(page.board, page.found)
    assert matrix is not None
    there, back = matrix.details["0,1"], matrix.details["1,0"]
    assert (there["first"], there["second"]) == (back["second"], back["first"])
    assert there["mean"].replace("+", "−") == back["mean"]
    assert there["p"] == back["p"]
    for a, b in zip(there["found"], back["found"], strict=True):
        assert a == [b[0], b[1], b[3], b[2], b[4]]
    lost, counts = error_grids(page.boxes.errors, dict.fromkeys(page.labels, 0))
    assert max(cell.share or 0.0 for row in lost.rows for cell in row) == 1.0
    assert [row[0].text for row in counts.rows] == page.labels
    assert (
        pair_matrix(board_of(write_suite("one.yaml", name="small", methods=["fpn"])), None) is None
    )
