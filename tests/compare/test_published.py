"""The published tables as files: complete, as printed, and refused where they are wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.compare.published import MISSING, Paper, Table, read_paper, read_papers
from sobench.errors import RequestError

FOLDER = Path(__file__).parents[2] / "baselines" / "published"

COUNTS = {
    "EFPN": {
        "II": (4, 9), "III": (5, 5), "IV": (4, 9), "V": (3, 4), "VI": (8, 13), "VII": (7, 8),
        "VIII": (4, 6), "IX": (4, 6),
    },
    "MRAE": {"2": (8, 13), "3": (3, 12)},
    "RefineDet": {"1": (23, 6), "2": (4, 1), "3": (32, 8), "4": (11, 3)},
    "TA-FPN": {"3": (23, 7), "4": (4, 3), "5": (4, 2), "6": (14, 2)},
    "ZoomInNet": {
        "1": (6, 7), "2": (6, 7), "3": (9, 6), "4": (8, 7), "5": (8, 10), "6": (12, 5),
        "7": (12, 3), "8": (6, 7), "9": (8, 7),
    },
}  # fmt: skip
"""Paper -> table -> rows and columns, counted in the papers; ticks are in the labels of rows."""

PAPERS = {paper.name: paper for paper in read_papers(FOLDER)}
TABLES = [(name, table.number) for name, paper in PAPERS.items() for table in paper.tables]


def table_of(paper: str, number: str) -> Table:
    (table,) = (table for table in PAPERS[paper].tables if table.number == number)
    return table


def numbers_of(table: Table, label: str) -> dict[str, float]:
    """Heading -> value of the only row with a label, or of the last of several."""
    row = [row for row in table.rows if row.label == label][-1]
    cells = zip(table.columns, row.values, strict=True)
    return {column.heading: float(v) for column, v in cells if re.fullmatch(r"[\d.]+", v)}


def test_every_table_is_there() -> None:
    counted = {
        name: {t.number: (len(t.rows), len(t.columns)) for t in paper.tables}
        for name, paper in PAPERS.items()
    }
    assert counted == COUNTS


def test_scores_are_in_the_range_of_their_unit() -> None:
    for paper, number in TABLES:
        table = table_of(paper, number)
        limit = 1 if table.unit == "fraction" else 100
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                if column.metric and value != MISSING:
                    assert 0 <= float(value) <= limit, (paper, number, row.label, column.heading)


# --- the papers themselves -------------------------------------------------------------------

TEXTS = {
    "EFPN": "Extended Feature Pyramid Network for Small Object Detection",
    "MRAE": "(MRAE)",
    "RefineDet": "Single-Shot Refinement Neural Network",
    "TA-FPN": "## Two-Layer Attention Feature Pyramid Network",
    "ZoomInNet": "so it is termed as ZoomInNet",
}
"""What is near the beginning of each paper's text."""


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    folder = os.environ.get("SOBENCH_PAPERS", "")
    if not folder:
        pytest.skip("SOBENCH_PAPERS names no folder with the texts of the five papers")
    contents = [path.read_text() for path in sorted(Path(folder).glob("*.txt"))]
    return {
        name: next(text for text in contents if beginning in text[:3000])
        for name, beginning in TEXTS.items()
    }


def region(text: str, number: str) -> str:
    """From the last caption of a table to that of the next one."""
    captions = list(re.finditer(r"^[ *]*(?:TABLE|Table) (\w+)(?:[.:](?! \()|\s*$)", text, re.M))
    start = max(caption.end() for caption in captions if caption[1] == number)
    ends = [caption.start() for caption in captions if caption.start() > start]
    return text[start : min(ends, default=len(text))]


def plain_text(text: str) -> str:
    """A text without citations and marks of bold type."""
    return re.sub(r"\[\d+\]|<[^>]+>", " ", text)


def numbers_in(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


def parts_of(table: Table) -> Iterator[list[list[str]]]:
    """The numbers of each row, in parts that a text has in one piece and in this order."""
    headings = [column.heading for column in table.columns]
    first = 1 + max(names_of_backbones(table), default=-1)
    cut = headings.index("AR1") if "AR1" in headings else len(headings)
    for begin, end in ((first, cut), (cut, len(headings))):
        rows = [numbers_in(" ".join(row.values[begin:end])) for row in table.rows]
        if any(rows):
            # The forms of one method may be the columns of a paper, with their values in a line.
            yield [[*chain(*rows)]] if len(headings) == 1 else rows


def names_of_backbones(table: Table) -> list[int]:
    """Columns whose cells may span several rows in the paper."""
    return [i for i, column in enumerate(table.columns) if column.sets == "backbone.name"]


@pytest.mark.parametrize(("paper", "number"), TABLES)
def test_every_number_is_that_of_the_paper(texts: dict[str, str], paper: str, number: str) -> None:
    printed = numbers_in(plain_text(region(texts[paper], number)))
    position = 0
    for part in parts_of(table_of(paper, number)):
        for wanted in part:
            places = range(position, len(printed) - len(wanted) + 1)
            found = [i for i in places if printed[i : i + len(wanted)] == wanted]
            assert found, f"{wanted} does not follow in {printed[position:]}"
            position = found[0] + len(wanted)


WITH_BACKBONES = [
    (paper, number) for paper, number in TABLES if names_of_backbones(table_of(paper, number))
]


@pytest.mark.parametrize(("paper", "number"), WITH_BACKBONES)
def test_every_backbone_is_that_of_its_row(texts: dict[str, str], paper: str, number: str) -> None:
    """It stands before the numbers of its row, or is that of the row above in a joined cell."""
    table, text = table_of(paper, number), plain_text(region(texts[paper], number))
    (column,) = names_of_backbones(table)
    position, above = 0, ""
    for row in table.rows:
        numbers = numbers_in(" ".join(row.values[column + 1 :]))
        found = re.compile(r"[^\d]+".join(map(re.escape, numbers))).search(text, position)
        assert found
        backbone = row.values[column]
        assert backbone in text[position : found.start()] or backbone == above, row.label
        position, above = found.end(), backbone


# --- what the notes tell ---------------------------------------------------------------------


def test_a_row_of_classes_does_not_average_to_its_map() -> None:
    names = {"FPN": "ReinaNet(FPN)", "PAFPN": "PANET(PAFPN)", "Ours- FA_CSKD": "Ours-FA_CSKD"}
    by_class, comparison = table_of("ZoomInNet", "5"), table_of("ZoomInNet", "4")
    apart = {}
    for row in by_class.rows:
        mean = sum(map(float, row.values)) / len(row.values)
        apart[row.label] = mean - numbers_of(comparison, names.get(row.label, row.label))["mAP"]
    assert apart.pop("FPN") == pytest.approx(0.0054)
    assert all(abs(difference) < 0.0011 for difference in apart.values())


def test_one_row_has_two_values_of_ap_l() -> None:
    values = [
        numbers_of(table_of("ZoomInNet", number), label)[heading]
        for number, label, heading in (
            ("3", "SNet + LA + CSKD", "AP_L"),
            ("4", "Ours-LA_CSKD", "AP Large"),
            ("8", "Ours-LA_CSKD", "AP Large"),
            ("9", "LA_CSKD", "AP Large"),
        )
    ]
    assert values == [0.352, 0.352, 0.326, 0.326]


def test_the_shares_of_detectors_are_of_all_occurrences() -> None:
    survey = table_of("ZoomInNet", "7")
    counts = [int(row.values[0]) for row in survey.rows]
    assert sum(counts) == 42
    for count, row in zip(counts, survey.rows, strict=True):
        assert float(row.values[2]) == pytest.approx(100 * count / 42, abs=0.0051)


def test_f1_follows_from_accuracy_and_recall_except_where_a_note_says() -> None:
    wrong = []
    for number in ("II", "IV", "VI"):
        for row in table_of("EFPN", number).rows:
            by_heading = zip(table_of("EFPN", number).columns, row.values, strict=True)
            cells = {column.heading: value for column, value in by_heading}
            for size in ("Small", "Medium", "Large", "Overall"):
                values = [cells.get(f"{size} {name}", MISSING) for name in ("Acc.", "Rec.", "F1")]
                if MISSING in values:
                    continue
                accuracy, recall, f1 = map(float, values)
                # Each printed value stands for all that are rounded to it.
                low, high = (
                    2 * (accuracy + d) * (recall + d) / (accuracy + recall + 2 * d)
                    for d in (-0.05, 0.05)
                )
                if not low - 0.0501 <= f1 <= high + 0.0501:
                    wrong.append((number, row.label, size))
    assert wrong == [("IV", "loss on the level", "Large")]
    (row,) = (row for row in table_of("EFPN", "IV").rows if row.label == wrong[0][1])
    assert "Large F1" in row.note


def test_rows_of_one_paper_are_the_test_dev_figures_of_another() -> None:
    theirs = {row.values[2:] for row in table_of("RefineDet", "3").rows}
    same = [row.label for row in table_of("TA-FPN", "3").rows if row.values[1:] in theirs]
    assert same == [
        "SSD512 (2016)", "RefineDet512 (2017)", "RetinaNet800 (2017)", "Faster R-CNN w/FPN",
    ]  # fmt: skip


def test_means_below_all_sizes() -> None:
    below = []
    for paper, number in TABLES:
        table = table_of(paper, number)
        for row in table.rows:
            cells = zip(table.columns, row.values, strict=True)
            values = {c.metric: float(v) for c, v in cells if c.metric and v != MISSING}
            for name in ("AP", "AP50"):
                sizes = [values[f"{name}_{s}"] for s in "SML" if f"{name}_{s}" in values]
                if len(sizes) > 1 and name in values and values[name] < min(sizes):
                    below.append((paper, number, row.label))
    assert below == [
        ("EFPN", "VIII", "FRCNN w FPN"), ("EFPN", "VIII", "FRCNN w EFPN"),
        ("MRAE", "2", "Soft Attention"), ("MRAE", "3", "MRAE temp 1+2"),
    ]  # fmt: skip


# --- wrong files -----------------------------------------------------------------------------

CONTENT: dict[str, Any] = {
    "name": "Own", "title": "A title", "authors": "I", "year": 2020, "source": "nowhere",
    "tables": [
        {
            "number": "1", "shows": "two rows", "data": "coco", "unit": "percent",
            "settings": {"schedule.lr": 0.01},
            "columns": [{"heading": "AP", "metric": "AP"}, {"heading": "FPS"}],
            "rows": [
                {"label": "one", "values": "10.0 -", "methods": [{"name": "fpn"}]},
                {"label": "two", "values": ["20.0", "a b"]},
            ],
        }
    ],
}  # fmt: skip


def write(folder: Path, table: dict[str, Any] | None = None, **changes: Any) -> Path:
    content = CONTENT | changes
    content["tables"] = [CONTENT["tables"][0] | (table or {}), *content["tables"][1:]]
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    paper: Paper = read_paper(write(tmp_path))
    assert [row.values for row in paper.tables[0].rows] == [("10.0", MISSING), ("20.0", "a b")]
    assert read_papers(tmp_path) == (paper,)


ROW = {"label": "one", "values": "10.0 -"}


@pytest.mark.parametrize(
    ("changes", "table", "problem"),
    [
        ({"year": "2020"}, {}, "year: '2020': Input should be a valid integer"),
        ({"colour": "red"}, {}, "colour: red: Extra inputs are not permitted"),
        ({}, {"unit": "per mille"}, "tables.0.unit: per mille: Input should be 'percent' or 'fra"),
        ({}, {"data": "mine"}, "tables.0.data: mine: Input should be "),
        ({}, {"rows": [ROW | {"values": "10.0"}]}, "row 'one' has 1 values for 2 columns"),
        ({}, {"rows": [ROW | {"values": "ten 5"}]}, "row 'one': AP: 'ten' is not a number"),
        ({}, {"settings": {"schedule.rate": 1}}, "unknown 'schedule.rate'; did you mean 'sch"),
        ({}, {"rows": [ROW | {"settings": {"lr": 1}}]}, "settings: unknown 'lr'; known: dataset.t"),
        ({}, {"rows": [ROW | {"methods": [{"name": "fpm"}]}]}, "name: 'fpm'; did you mean 'fpn'?"),
        ({}, {"rows": [ROW | {"methods": [{"name": "fpn", "switches": {"fus": True}}]}]},
         "switches: 'fus'; did you mean 'fuse'?"),
        ({}, {"rows": [ROW | {"methods": [{"name": "fpn", "switches": {"fuse": 1}}]}]},
         "switches: fuse: 1 is not one of its values"),
        ({}, {"columns": [{"heading": "AP", "metric": "AP", "protocol": "voc7"}]},
         "protocol: unknown 'voc7'; did you mean 'voc07'?"),
        ({}, {"columns": [{"heading": "AP"}] * 2}, "two columns have the same heading"),
        ({"tables": CONTENT["tables"] * 2}, {}, "tables: two have the same number"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_key_and_value(
    tmp_path: Path, changes: dict[str, Any], table: dict[str, Any], problem: str
) -> None:
    path = write(tmp_path, table, **changes)
    with pytest.raises(RequestError) as caught:
        read_papers(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_yaml_and_what_is_not_there(tmp_path: Path) -> None:
    assert read_papers(tmp_path) == ()
    with pytest.raises(RequestError, match=r"none\.yaml: no such file"):
        read_paper(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: [1")
    with pytest.raises(RequestError, match=r"a\.yaml: line 1, column 6: "):
        read_papers(tmp_path)
