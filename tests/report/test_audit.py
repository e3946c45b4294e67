"""The audit's table: letters for what rows do otherwise, and cells that nothing is known of."""

from __future__ import annotations

import json

import pytest

from sobench.compare.audit import Audit, AuditRow, Training
from sobench.report.audit import as_json, columns, legend, markdown, told
from sobench.suite.plan import plan
from tests.tiny_suite import tiny_suite

SHARED = "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1"


def audit_of(*methods: object, **values: object) -> Audit:
    runs = plan(tiny_suite(methods=list(methods)))
    rows = [AuditRow(run, trainings=(Training("train", 3),)) for run in runs]
    return Audit(runs[0].suite, tuple(rows), 5, {}, **values)  # type: ignore[arg-type]


def test_each_deviation_is_told_once_with_its_rows() -> None:
    texts = legend(audit_of("ssd", "fpn", "refinedet"))
    assert texts[SHARED] == ["ssd", "refinedet"]
    assert next(iter(texts)).startswith("own head: one 3x3")
    assert all("fpn" not in labels for labels in texts.values())


def test_letters_of_a_row() -> None:
    headings, rows = columns(audit_of("ssd", "fpn", "refinedet"))
    own = [row[headings.index("own")] for row in rows]
    # refinedet: its head, the shared loss, top_k, its norm and small batches, no crops
    assert own == ["a-c", "", "b-g"]


def test_letters_go_on_after_z() -> None:
    rows = [
        {"name": "fpn", "label": f"row {i}",
         "deviations": {"schedule.lr": 0.01 + i / 1000, "reason": f"reason {i}"}}
        for i in range(30)
    ]  # fmt: skip
    headings, cells = columns(audit_of(*rows))
    own = [row[headings.index("own")] for row in cells]
    assert own[25:29] == ["z", "aa", "ab", "ac"]


def test_keys_of_a_row_share_its_reason() -> None:
    deviations = {"schedule.lr": 0.5, "schedule.momentum": 0.1, "reason": "why (not)"}
    (row,) = audit_of({"name": "ssd", "deviations": deviations}).rows
    assert told(row)[-1] == "schedule.lr: 0.5, schedule.momentum: 0.1 (why (not))"
    assert SHARED in told(row)


def test_what_is_not_known_is_a_dash_and_null() -> None:
    audit = audit_of("fpn")
    headings, (cells,) = columns(audit)
    assert headings == ["method", "anchors", "px", "M", "GFLOPs", "epochs", "own"]
    assert cells == ["fpn", "-", "-", "-", "-", "3", ""]
    (row,) = json.loads(as_json(audit))["rows"]
    assert row["gflops"] is None
    assert row["coverage"] == {}


@pytest.mark.parametrize(
    ("cautions", "words"),
    [((), "no row does anything otherwise; no warnings"), (("one",), "; 1 warning\n")],
)
def test_the_last_line(cautions: tuple[str, ...], words: str) -> None:
    assert words in markdown(audit_of("fpn", cautions=cautions))
