"""``sobench report --format html`` and plots, as commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sobench.runs.folder import RunFolder
from tests.commands.small_suite import Capture, check_refusal, keep, write_suite
from tests.detected_results import keep_detected
from tests.records import invoke, isolate


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_a_page_as_a_file_in_a_folder_and_on_stdout(capsys: Capture) -> None:
    path = write_suite()
    keep_detected(path)
    code, out, err = invoke(capsys, "report", path, "--format", "html", "--out", "a/page.html")
    assert (code, out, err) == (0, "a/page.html\n", "")
    assert invoke(capsys, "report", path, "--format", "html,md", "--out", "b").out.splitlines() == [
        "b/small.html", "b/small.md",
    ]  # fmt: skip
    text = Path("a/page.html").read_text()
    assert Path("b/small.html").read_text() == text
    assert invoke(capsys, "report", path, "--format", "html").out == text
    assert text.startswith("<!DOCTYPE html>")


def test_one_page_about_several_suites(capsys: Capture) -> None:
    paths = [write_suite(f"{name}.yaml", name=name) for name in "ab"]
    for path in paths:
        keep(path, 0.5, 0.4)
    code, out, _ = invoke(capsys, "report", *paths, "--format", "html", "--out", "page.html")
    assert (code, out) == (0, "page.html\n")
    assert "Average ranks over 2 suites" in Path("page.html").read_text()
    code, out, _ = invoke(capsys, "report", *paths, "--format", "html,csv", "--out", "out")
    assert (code, out.splitlines()) == (
        0,
        ["out/average_rank.html", "out/a.csv", "out/b.csv", "out/average_rank.csv"],
    )


def test_plots_are_files(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    code, out, _ = invoke(capsys, "report", path, "--format", "svg", "--out", "out")
    assert code == 0
    assert "out/small.cost_gflops.svg" in out.splitlines()
    assert sorted(out.split()) == sorted(str(file) for file in Path("out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "html", "--found"], "--found: has no effect on html"),
        (["--format", "png", "--out", "x", "--found"], "--found: has no effect on png"),
        (["--format", "html", "--published"], "--published: has no effect on html"),
        (["--format", "png"], "--format png: plots are files; add --out FOLDER"),
        (["--format", "md", "--out", "x.html"], "--out x.html: the file of a page; with other"),
        (["--format", "html,md", "--out", "x.html"], "--out x.html: the file of a page"),
        (["--format", "html", "--sort", "AP50"], "--wide: have no effect on html; leave them out"),
        (["--format", "htm"], "--format: unknown 'htm'"),
    ],
    ids=str,
)
def test_refusals(capsys: Capture, arguments: list[str], words: str) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    check_refusal(capsys, words, "report", path, *arguments)


def test_nothing_is_written_without_results(capsys: Capture) -> None:
    path = write_suite()
    assert invoke(capsys, "report", path, "--format", "html", "--out", "page.html").code == 4
    assert not Path("page.html").exists()


def test_rows_of_detections_made_elsewhere_are_marked_on_the_page(capsys: Capture) -> None:
    path = write_suite()
    ssd = keep_detected(path)[1]
    stored = RunFolder(ssd.folder(Path("results"))).detections()
    assert invoke(capsys, "score", stored, "--suite", path, "--label", "mine").code == 0
    code, text, _ = invoke(capsys, "report", path, "--format", "html")
    assert code == 0
    assert '<span class="value">mine (external)</span>' in text
    # The same detections are the same row in everything that is computed from boxes.
    rows = re.findall(r'<th scope="row".*?</tr>', text.partition('id="s0-counts"')[2], re.S)
    numbers = {row.split('value">')[1].split("<")[0]: cells(row) for row in rows if "chip" in row}
    assert numbers["mine (external)"] == numbers["ssd"] != numbers["fpn"]
    code, text, _ = invoke(capsys, "report", path, "--methods", "mine", "--format", "html")
    assert code == 0
    assert "No record holds a learning curve." in text


def cells(row: str) -> list[str]:
    return re.findall(r'<span class="value">([\d.]+)</span>', row)
