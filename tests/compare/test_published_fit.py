"""Which published tables a suite has, what they differ in, and what is measured beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sobench.compare import leaderboard
from sobench.compare.published import CONDITIONS, read_papers
from sobench.compare.published_fit import (
    Difference,
    data_set_of,
    measured,
    published_for,
)
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.compare.published_papers import FPN, VISDRONE, beside, suite_on
from tests.records import record_of, states_of
from tests.suite.shipped import SHIPPED
from tests.tiny_suite import tiny_suite

PAPERS = read_papers(Path(__file__).parents[2] / "baselines" / "published")

# --- which tables ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        (VISDRONE, "visdrone"),
        (VISDRONE | {"train": "mine", "val": "mine-val"}, ""),
        ({"format": "voc", "root": "VOCdevkit", "train": "VOC2012/train", "val": "VOC2012/val"},
         "voc"),
        ({"format": "voc", "root": "VOCdevkit/VOC2007", "train": "trainval", "val": "test"}, "voc"),
        ({"format": "voc", "root": "VOC2007", "train": "a", "val": "b", "classes": ["cell"]}, ""),
        ({"format": "voc", "root": "cells", "train": "train", "val": "val"}, ""),
        ({"format": "coco", "root": "coco", "train": "instances_train2017.json",
          "val": "instances_val2017.json"}, "coco"),
        ({"format": "coco", "root": "coco", "train": "instances_train2017.json",
          "val": "instances_val2017.json", "max_area": 1024}, "coco_small"),
        ({"format": "coco", "root": "coco", "train": "instances_train2017.json",
          "val": "instances_val2017.json", "max_area": 100}, ""),
        ({"format": "coco", "root": "boards", "train": "train.json", "val": "val.json"}, ""),
        ({"format": "tt100k", "root": "tt100k"}, "tt100k"),
        ({"format": "tt100k", "root": "tt100k", "classes": "all"}, ""),
        ({"format": "yolo", "root": "VisDrone2019-DET"}, ""),
        ({"format": "synthetic", "train": 2, "val": 2}, ""),
    ],
)  # fmt: skip
def test_only_public_data_has_published_tables(dataset: dict[str, Any], name: str) -> None:
    suite = suite_on(dataset)
    assert data_set_of(suite.dataset) == name
    assert {published.table.data for published in published_for(suite, PAPERS)} == {name} - {""}


def test_tables_of_the_shipped_suites() -> None:
    def numbers(name: str) -> dict[str, list[str]]:
        (path,) = (path for path in SHIPPED if path.stem == name)
        found: dict[str, list[str]] = {}
        for published in published_for(load(path), PAPERS):
            found.setdefault(published.paper.name, []).append(published.table.number)
        return found

    assert numbers("visdrone") == {"ZoomInNet": list("3456789")}
    assert numbers("zoominnet_table1") == {"ZoomInNet": list("13456789")}
    assert numbers("zoominnet_table2") == {"ZoomInNet": list("23456789")}
    assert numbers("voc") == {"RefineDet": ["1", "2", "4"], "TA-FPN": ["4", "5", "6"]}
    assert numbers("coco") == {"EFPN": ["VII", "IX"], "RefineDet": ["3"], "TA-FPN": ["3"]}
    assert numbers("coco_small") == {"MRAE": ["2", "3"]}
    assert numbers("tt100k") == {"EFPN": ["II", "III", "IV", "V", "VI", "VIII"]}
    assert numbers("deeppcb_mini") == {}


@pytest.mark.parametrize(
    ("name", "paper", "number", "without"),
    [
        ("zoominnet", "ZoomInNet", "3", 0),
        ("zoominnet_table1", "ZoomInNet", "1", 0),
        ("zoominnet_table2", "ZoomInNet", "2", 0),
        ("zoominnet_table4", "ZoomInNet", "4", 0),
        ("zoominnet_table4", "ZoomInNet", "5", 0),
        ("zoominnet_table9", "ZoomInNet", "9", 2),  # both in the middle of fine-tuning
        ("efpn", "EFPN", "II", 0),
        ("efpn", "EFPN", "IV", 0),
        ("efpn_table3", "EFPN", "III", 0),
        ("efpn_table5", "EFPN", "V", 0),
        ("efpn_table8", "EFPN", "VIII", 0),
        ("efpn_table9", "EFPN", "IX", 0),
        ("mrae_table2", "MRAE", "2", 0),
        ("mrae_table3", "MRAE", "3", 0),
        ("refinedet_table2", "RefineDet", "2", 0),
        ("ta_fpn_table4", "TA-FPN", "4", 0),
        ("ta_fpn_table5", "TA-FPN", "5", 0),
        ("ta_fpn_table6", "TA-FPN", "6", 0),
    ],
)
def test_suites_of_a_table_have_a_row_beside_each_of_its_rows(
    name: str, paper: str, number: str, without: int
) -> None:
    (path,) = (path for path in SHIPPED if path.stem == name)
    (published,) = (
        published
        for published in published_for(load(path), PAPERS)
        if (published.paper.name, published.table.number) == (paper, number)
    )
    rows = [here for here in published.here if here]
    assert len(published.here) - len(rows) == without
    assert len(set(rows)) == len(rows)  # no row of the suite is beside two


# --- what differs ----------------------------------------------------------------------------


def test_conditions_that_differ_are_found() -> None:
    suite = suite_on(VISDRONE)
    same = beside(suite, FPN)
    assert [d.key for d in same.differences] == []
    assert same.conditions == (
        f"not stated: {', '.join(same.not_stated)}",
        "taken over, with conditions of their own: one",
    )
    changed = suite_on(VISDRONE, schedule={"lr": 0.02}, input={"size": [96, 64]})
    lines = beside(changed, FPN).conditions
    assert lines[:2] == (
        "differs: input.size: here [96, 64], there [64, 64]",
        "differs: schedule.lr: here 0.02, there 0.005",
    )


def test_what_rows_and_columns_state_for_themselves() -> None:
    suite = suite_on(VISDRONE)
    own = beside(suite, {"values": "20.0 ResNet-50 6", "settings": {"schedule.epochs": 12}})
    assert own.differences == (
        Difference("backbone.name", ("resnet50",), "resnet18"),
        Difference("schedule.epochs", (12,), 3),
    )
    columns = ({"heading": "A", "metric": "AP", "settings": {"dataset.val": "DET-val"}},
               {"heading": "B", "settings": {"dataset.val": "test-dev", "protocol": "official"}},
               {"heading": "C"})  # fmt: skip
    by_column = beside(suite, {}, columns=columns)
    assert [d.text for d in by_column.differences] == [
        "B: dataset.val: here VisDrone2019-DET-val, there test-dev",
        "B: protocol: here coco, there official",
    ]
    assert "dataset.val" not in by_column.not_stated
    assert {*by_column.not_stated} < {*CONDITIONS}


def test_several_values_by_row() -> None:
    rows = tuple(
        {"label": label, "values": f"1 {backbone} 2"}
        for label, backbone in (("a", "ResNet-50"), ("b", "ResNet-101"), ("c", "ResNet-50"))
    )
    published = beside(suite_on(VISDRONE), {}, rows=rows)
    assert [d.text for d in published.differences] == [
        "backbone.name: here resnet18, there by row resnet50 / resnet101"
    ]


def test_a_survey_has_no_conditions() -> None:
    assert beside(suite_on(VISDRONE), {}, kind="survey", settings={}).conditions[:-1] == ()


# --- measured numbers ------------------------------------------------------------------------


def test_measured_numbers_are_those_of_the_leaderboard() -> None:
    columns = ({"heading": "mAP", "metric": "AP"}, {"heading": "small", "metric": "AP_S"},
               {"heading": "cars", "metric": "AP:car"}, {"heading": "trams", "metric": "AP:tram"},
               {"heading": "FPS"})  # fmt: skip
    rows = ({"label": "one", "values": "1 2 3 4 5"} | FPN,
            {"label": "two", "values": "1 2 3 4 5", "methods": ({"name": "pafpn"},)})  # fmt: skip
    runs = plan(tiny_suite(seeds=[0, 1]), "aaaa")
    board = leaderboard.build(runs, states_of(runs, map(record_of, runs, (0.2, 0.4))))
    suite = suite_on(VISDRONE)
    published = beside(suite, {}, columns=columns, rows=rows)
    one, two = measured(published, suite, board)
    assert one == pytest.approx({"mAP": 0.3, "small": 0.303, "cars": 0.4})
    assert two == {}


@pytest.mark.parametrize(
    ("protocol", "headings"),
    [
        ("coco", ["AP", "AP50", "AP_S"]),
        ("visdrone-coco", ["AP", "AP50", "AP_S"]),
        ("tiny", ["AP", "AP50"]),
        ("soda-d", []),
        ("visdrone-official", []),
        ("voc07", ["VOC"]),
    ],
)
def test_which_columns_a_protocol_measures(protocol: str, headings: list[str]) -> None:
    columns = (
        *({"heading": name, "metric": name} for name in ("AP", "AP50", "AP_S")),
        {"heading": "VOC", "metric": "AP50", "protocol": "voc07"},
    )
    rows = ({"label": "one", "values": "1 2 3 4"} | FPN,)
    suite = suite_on(VISDRONE).model_copy(update={"protocol": protocol})
    runs = plan(tiny_suite(), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    rows_of_board = tuple(row | {"AP": 0.5, "AP50": 0.5, "AP_S": 0.5} for row in board.rows)
    published = beside(suite, {}, columns=columns, rows=rows)
    (values,) = measured(published, suite, replace(board, rows=rows_of_board))
    assert [*values] == headings


def test_bins_of_another_protocol_are_another_quantity() -> None:
    columns = ({"heading": "mAP", "metric": "AP"}, {"heading": "small", "metric": "AP_S"},
               {"heading": "FPS"})  # fmt: skip
    tiny = tiny_suite(protocol="tiny")
    runs = plan(tiny, "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    assert "AP_S" in board.metrics
    suite = suite_on(VISDRONE, protocol="tiny")
    rows = ({"label": "one", "values": "1 2 3"} | FPN,)
    published = beside(suite, {}, columns=columns, rows=rows)
    assert [*measured(published, suite, board)[0]] == ["mAP"]


@pytest.mark.parametrize(
    ("column", "is_measured"),
    [
        ({"metric": "AP50"}, True),
        ({"metric": ""}, False),
        ({"metric": "AP50", "settings": {"dataset.val": "DET-val"}}, True),
        ({"metric": "AP50", "settings": {"dataset.val": "DET-test-dev"}}, False),
        ({"metric": "AP50", "protocol": "coco"}, True),
        ({"metric": "AP50", "protocol": "aitod"}, False),
    ],
)
def test_a_column_is_measured_on_its_images_by_its_protocol(
    column: dict[str, Any], is_measured: bool
) -> None:
    runs = plan(tiny_suite(), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    suite = suite_on(VISDRONE)
    rows = ({"label": "one", "values": "1"} | FPN,)
    published = beside(suite, {}, columns=({"heading": "mAP"} | column,), rows=rows)
    assert measured(published, suite, board) == [{"mAP": 0.501} if is_measured else {}]
