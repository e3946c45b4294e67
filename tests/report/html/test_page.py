"""The page as text: what is in it, and what must not be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sobench.compare.average_rank import average_ranks
from sobench.compare.curves import ALL, Part
from sobench.compare.leaderboard import build, leaderboard
from sobench.compare.page_data import PageData
from sobench.compare.several import rank_suites
from sobench.report.html.charts import PageRow
from sobench.report.html.figures import rank_diagram
from sobench.report.html.page import render
from sobench.report.plots import plots_of
from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import DATA, keep, write_suite
from tests.detected_results import keep_detected, page_of
from tests.records import failed_record, isolate, record_of, scored, states_of

RESULTS = Path("results")
EVIL = '</script><script>alert("x")</script>&\'"'
ROWS = {
    label: PageRow(number, label, label == "b") for number, label in enumerate(["a", "b", "<c>"])
}
VOID = {"meta", "link", "br", "input"}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


class Reader(HTMLParser):
    """Tags in their order; refuses ones that are not closed, and every address of a network."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href"):
                assert value
                assert value.startswith(("#", "data:"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole() -> None:
    path = write_suite(seeds=[0, 1])
    keep_detected(path)
    text = render([page_of(path)])
    reader = Reader(text)
    assert len(set(reader.ids)) == len(reader.ids)
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Leaderboard", "What accuracy costs", "Precision and recall", "By class", "By size",
        "Errors", "Learning curves", "Row against row", "Where rows differ most",
        "Conditions and provenance",
    ]  # fmt: skip
    assert 'class="absent"' not in text
    assert "http" not in re.sub(r"http-equiv", "", text)
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert anchor in reader.ids


def test_every_name_is_text() -> None:
    path = write_suite(title=EVIL, methods=["fpn", {"name": "ssd", "label": EVIL}])
    keep_detected(path)
    page = page_of(path)
    classes = {name: f"{EVIL} {name}" for name in page.board.per_class.columns[1:]}
    page = replace(
        page,
        board=replace(
            page.board,
            class_rows=tuple(
                {classes.get(name, name): value for name, value in row.items()}
                for row in page.board.class_rows
            ),
            deviations={"fpn": (EVIL,)},
            notes=(EVIL,),
            missing={EVIL: EVIL},
            provenance=page.board.provenance | {"device": EVIL},
        ),
        curves={Part("class", EVIL): page.curves[ALL]},
        boxes=replace(
            page.boxes,
            pictures=tuple(replace(picture, name=EVIL) for picture in page.boxes.pictures),
            notes=(EVIL,),
        ),
        unmatched=(EVIL,),
    )
    text = render([page])
    assert text.count("alert(") > 30
    assert "<script>alert" not in text
    assert Reader(text).tags.count("script") == text.count("</script>") == 3
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S):
        assert "<" not in block
        json.loads(block)
    assert [part["name"] for part in curve_data(text)] == [EVIL]


def curve_data(text: str) -> list[dict[str, object]]:
    (block,) = re.findall(r'class="curve-data">(.*?)</script>', text, re.S)
    found: list[dict[str, object]] = json.loads(block)
    return found


def test_half_characters_and_control_characters_can_be_written() -> None:
    runs = plan(load(write_suite()), DATA)
    odd = scored(0.5, per_class={"\ud800\x1b[2J": {"AP": 0.5}})
    board = build(runs, states_of(runs, [record_of(runs[0], scored=odd)]))
    text = render([PageData(runs[0].suite, board, {}, {Part("class", "\ud800"): {}}, {})])
    assert rb"\ud800\x1b[2J" in text.encode()
    assert b"\x1b" not in text.encode()


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("coco", "as in TIDE.</p>"),
        (
            "voc12",
            "as in TIDE. Which detections are right, and what AP50 is, are as voc12 has them.",
        ),
        ("tt100k", "as in TIDE. Right are the detections that AP50 takes for right, whatever "),
    ],
)
def test_kinds_of_errors_say_by_which_rule(protocol: str, words: str) -> None:
    path = write_suite(protocol=protocol)
    keep_detected(path)
    assert words in render([page_of(path)])


def test_records_alone_make_a_page_that_says_what_is_missing() -> None:
    path = write_suite()
    keep(path, 0.5)
    runs = plan(load(path), DATA)
    record.write(failed_record(runs[1], "diverged", "loss nan"), runs[1].folder(RESULTS))
    text = render([page_of(path)])
    Reader(text)
    assert "ssd seed 0</b>: diverged: loss nan" in text
    assert text.count('class="absent"') >= 4
    assert "No record holds a learning curve." in text
    assert "the detections of its record are gone" in text


def test_partial_results_are_marked() -> None:
    path = write_suite()
    keep(path, 0.5, 0.4, limit=2, partial=("--limit 2",))
    page = page_of(path, 2, ("--limit 2",))
    assert "<strong>PARTIAL RESULT</strong> (--limit 2)" in render([page])


def test_too_many_classes_leave_curves_out_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sobench.report.html.page.MOST_CURVES", 30)
    path = write_suite()
    whole = {"0.50": [0.5] * 101, "0.75": [0.5] * 101, "mean": [0.5] * 101}
    curves = {f"class {n}": whole for n in range(17)}
    run = plan(load(path), DATA)[0]
    outcome = record_of(run, scored=scored(0.5, curves=curves | {"all": whole}))
    record.write(outcome, run.folder(RESULTS))
    text = render([page_of(path)])
    assert "The curves of 7 further classes are left out" in text
    assert [part["name"] for part in curve_data(text)] == [
        "all classes", *(f"class {n}" for n in range(10)),
    ]  # fmt: skip


def test_several_suites_are_one_page() -> None:
    paths = [write_suite(f"{name}.yaml", name=name, title=f"Suite {name}") for name in "ab"]
    for path in paths:
        keep_detected(path)
    plans = [plan(load(path), "") for path in paths]
    boards = [leaderboard(runs, RESULTS) for runs in plans]
    text = render([page_of(path) for path in paths], rank_suites(plans, boards))
    reader = Reader(text)
    assert len(set(reader.ids)) == len(reader.ids)
    assert "Average ranks over 2 suites" in text
    assert text.count("<h2>Leaderboard</h2>") == 2
    assert re.findall(r"<h1>(.*?)</h1>", text)[1:] == ["Suite a", "Suite b"]


def test_undefined_metrics_break_nothing() -> None:
    path = write_suite(methods=["fpn"])
    run = plan(load(path), DATA)[0]
    empty = scored(None, per_class={}, curves={})
    record.write(record_of(run, scored=empty, cost=None), run.folder(RESULTS))
    text = render([page_of(path)])
    Reader(text)
    for words in ("No record holds parameters", "No record holds curves", "no values by class"):
        assert words in text
    assert plots_of(page_of(path), "svg") == {}


def test_ranks_of_many_suites_have_a_critical_difference() -> None:
    scores = np.array([[0.5, 0.4, 0.3 + n / 1000] for n in range(12)])
    text = rank_diagram(average_ranks(["a", "b", "<c>"], list("123456789xyz"), scores), ROWS)
    assert "critical difference 0.96" in text
    assert "&lt;c&gt; 3.00" in text
    assert "b † 2.00" in text
    assert "<title>b (external)</title>" in text
    assert 'class="clique"' not in text
    Reader(text)
