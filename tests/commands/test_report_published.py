from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.small_suite import Capture, check_refusal, keep, write_suite
from tests.pages import DOCS, blocks
from tests.records import invoke, isolate
from tests.suite.shipped import SHIPPED

VISDRONE = {"format": "visdrone", "root": "data"}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_published_tables_stand_behind_the_leaderboard(capsys: Capture) -> None:
    path = write_suite(dataset=VISDRONE)
    keep(path, 0.25, 0.5)
    code, out, err = invoke(capsys, "report", path, "--published")
    assert (code, err) == (0, "")
    alone = invoke(capsys, "report", path).out
    assert out.startswith(f"{alone}\nPublished, not measured here: ")
    assert "ZoomInNet (Liu et al., 2021), Table 4: " in out
    assert "\n  here: fpn" in out
    assert "  0.250 " in out.partition("Table 4: ")[2]


def test_before_anything_is_measured(capsys: Capture) -> None:
    path = write_suite(dataset=VISDRONE)
    code, out, err = invoke(capsys, "report", path, "--published")
    assert (code, err) == (0, "")
    assert out.startswith("Published, not measured here: ")
    assert "nothing is measured yet: small: 2 not run yet; " in out
    assert "here: fpn" not in out


def test_data_of_ones_own(capsys: Capture) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "report", path, "--published")
    assert (code, out) == (4, "")
    assert err.startswith("nothing to show: small: ")
    keep(path, 0.25, 0.5)
    code, out, err = invoke(capsys, "report", path, "--published")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("no published table is on the data of this suite")


def test_files_of_their_own(capsys: Capture) -> None:
    path = write_suite(dataset=VISDRONE)
    keep(path, 0.25, 0.5)
    formats = ("--format", "md,csv,json", "--out", "a")
    code, out, _ = invoke(capsys, "report", path, "--published", *formats)
    assert code == 0
    assert out.splitlines() == [
        f"a/small{kind}.{suffix}" for suffix in ("md", "csv", "json") for kind in ("", ".published")
    ]
    board = json.loads(Path("a/small.json").read_text())
    assert [row["method"] for row in board["rows"]] == ["ssd", "fpn"]
    content = json.loads(Path("a/small.published.json").read_text())
    (table,) = (table for table in content["tables"] if table["number"] == "4")
    measured = {row["label"]: row["measured"] for row in table["rows"] if row["measured"]}
    assert [*measured] == ["ReinaNet(FPN)"]
    assert measured["ReinaNet(FPN)"]["mAP"] == 0.25
    listed = json.loads(invoke(capsys, "report", path, "--published", "--format", "json").out)
    assert listed == [board, content]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--found"], "--published: is for the leaderboard of one suite; leave --found out"),
        (["other.yaml"], "--published: is for the leaderboard of one suite; report the suites one"),
        (["--format", "csv"], "--format csv: several tables of other columns; add --out FOLDER"),
    ],
)
def test_what_published_does_not_go_with(capsys: Capture, arguments: list[str], words: str) -> None:
    path = write_suite(dataset=VISDRONE)
    write_suite("other.yaml", name="other")
    check_refusal(capsys, words, "report", path, "--published", *arguments)


def test_a_wrong_file_of_tables_is_named(capsys: Capture) -> None:
    path = write_suite(dataset=VISDRONE)
    folder = Path("baselines/published")
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("name: 5\n")
    words = "baselines/published/own.yaml: name: 5: Input should be a valid string"
    check_refusal(capsys, words, "report", path, "--published")


def test_without_the_files(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sobench.compare.published.read_papers", lambda: ())
    words = "--published: baselines/published: no tables there; that folder of sobench's repos"
    check_refusal(capsys, words, "report", write_suite(dataset=VISDRONE), "--published")


def test_what_the_docs_print_is_printed(capsys: Capture) -> None:
    pages = blocks(DOCS / "compare.md", "")
    (documented,) = (block.content for block in pages if "Table 8" in block.content)
    (path,) = (path for path in SHIPPED if path.stem == "visdrone")
    printed = invoke(capsys, "report", path, "--published").out
    lines = [line.rstrip() for line in printed.splitlines()]
    start = lines.index(documented.splitlines()[0])
    assert {*documented.splitlines()} <= {*lines[start : start + 20]}
