from __future__ import annotations

import numpy as np
import pytest

from sobench.compare.average_rank import average_ranks
from sobench.compare.several import Ranked, Several
from sobench.report.average_rank import average_rank_sheet
from sobench.report.sheet import Sheet


def sheet_of(*scores: list[float], left_out: dict[str, str] | None = None) -> Sheet:
    """Rows a, b, ... on suites s0, s1, ..."""
    rows = [chr(ord("a") + i) for i in range(len(scores[0]))]
    suites = [f"s{i}" for i in range(len(scores))]
    ranks = average_ranks(rows, suites, np.array(scores))
    table = Ranked("AP", ranks, left_out or {})
    return average_rank_sheet(Several((*suites, "empty"), (table,), {"x": "not a row of s0"}, ()))


def lines_of(sheet: Sheet) -> str:
    return "\n".join(sheet.tables[0].lines)


def test_a_table_of_ranks() -> None:
    sheet = sheet_of([0.3, 0.2, 0.1], [0.2, 0.2, 0.1], left_out={"c": "no AP in s1"})
    (table,) = sheet.tables
    assert table.headings == ("row", "average rank", "group", "s0", "s1")
    assert table.rows[0] == ("a", "1.25", "a", "1 (0.300)", "1.5 (0.200)")
    assert table.lines[-1] == "left out, no AP in s1: c"
    assert sheet.lines == ("left out, not a row of s0: x",)
    assert sheet.csv[0]["rank:s1"] == 1.5
    assert sheet.csv[0]["rank:empty"] is None


@pytest.mark.parametrize(
    ("suites", "said", "not_said"),
    [
        (2, "with 2 data sets no difference between two rows can be shown", "little power"),
        (4, "with 4 data sets the tests have little power: only rows", "no difference"),
        (12, "Wilcoxon with Holm's correction over 3 pairs: a better than b (p = ", "power"),
    ],
)
def test_what_so_many_data_sets_can_show(suites: int, said: str, not_said: str) -> None:
    told = lines_of(sheet_of(*[[0.3 + i / 100, 0.2, 0.1] for i in range(suites)]))
    assert said in told
    assert not_said not in told


def test_tests_without_a_difference() -> None:
    rotated = [[0.3, 0.2, 0.1], [0.2, 0.1, 0.3], [0.1, 0.3, 0.2]] * 4
    told = lines_of(sheet_of(*rotated))
    assert "p = 1, counted over drawn 50000 arrangements of the ranks: no difference" in told
    assert "over 3 pairs: no pair differs" in told


def test_rows_of_two_groups_have_both_letters() -> None:
    tables = [[4.0, 3, 2, 1]] * 9 + [[3.0, 4, 2, 1]] * 3
    letters = {row[0]: row[2] for row in sheet_of(*tables).tables[0].rows}
    assert letters == {"a": "a", "b": "ab", "c": "bc", "d": "c"}
