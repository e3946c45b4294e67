"""A paper of one table on a data set that is not there, beside the tiny suite."""

from __future__ import annotations

from typing import Any

from sobench.compare.published import Paper
from sobench.compare.published_fit import PublishedTable, published_for
from sobench.suite.sections import Suite
from tests.tiny_suite import tiny_suite

VISDRONE = {"format": "visdrone", "root": "data", "train": "VisDrone2019-DET-train",
            "val": "VisDrone2019-DET-val"}  # fmt: skip


def suite_on(dataset: dict[str, Any], **changes: Any) -> Suite:
    """The tiny suite on a data set that is not there."""
    suite = tiny_suite(**changes)
    content = suite.model_dump(mode="json") | {"dataset": dataset}
    return Suite.model_validate(content)


def paper_of(row: dict[str, Any], **table: Any) -> Paper:
    """A paper with one table of two rows, the first of which has no counterpart."""
    content = {
        "number": "1", "shows": "two rows", "data": "visdrone", "unit": "percent",
        "settings": {"input.size": [64, 64], "head": "retinanet", "schedule.lr": 0.005},
        "columns": ({"heading": "mAP", "metric": "AP"}, {"heading": "Backbone",
                    "sets": "backbone.name"}, {"heading": "FPS"}),
        "rows": ({"label": "one", "values": "10.0 Darknet-53 5", "cited": True},
                 {"label": "two", "values": "20.0 - 6"} | row),
    }  # fmt: skip
    return Paper.model_validate(
        {"name": "Own", "title": "", "authors": "I", "year": 2020, "source": "",
         "tables": (content | table,)}
    )  # fmt: skip


def beside(suite: Suite, row: dict[str, Any], **table: Any) -> PublishedTable:
    (published,) = published_for(suite, [paper_of(row, **table)])
    return published


FPN = {"methods": ({"name": "fpn", "switches": {"fuse": True}},)}
