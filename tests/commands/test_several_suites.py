from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, check_refusal, keep, write_suite
from tests.compare.hand_made import hand_made, keep_matched
from tests.records import invoke, isolate

ROWS = ["fpn", "ssd", "pafpn"]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_two() -> tuple[Path, Path]:
    """Two suites with results, in which the order of fpn and ssd differs."""
    roads = write_suite("roads.yaml", name="roads", methods=ROWS)
    ships = write_suite("ships.yaml", name="ships", methods=[*ROWS, "mrae"])
    keep(roads, 0.3, 0.2, 0.1, data="aaaaaaaaaaaa")
    keep(ships, 0.2, 0.3, 0.1, 0.4, data="bbbbbbbbbbbb")
    return roads, ships


def test_each_leaderboard_and_the_average_ranks(capsys: Capture) -> None:
    code, out, err = invoke(capsys, "report", *write_two())
    assert (code, err) == (0, "")
    boards, ranks = out.split("Over 2 suites: roads, ships\n")
    for suite in ("roads", "ships"):
        assert re.search(rf"^{suite}$", boards, re.MULTILINE)
    assert re.search(r"^fpn +1\.50 +a +1 \(0\.300\) +2 \(0\.200\)$", ranks, re.MULTILINE)
    assert re.search(r"^pafpn +3\.00 +a +3 \(0\.100\) +3 \(0\.100\)$", ranks, re.MULTILINE)
    assert "with 2 data sets no difference between two rows can be shown" in ranks
    assert "Friedman: chi2 = 3.00 (2 df)" in ranks
    assert "no difference between rows is shown" in ranks
    assert "Nemenyi: average ranks that differ by 2.34 or more differ" in ranks
    assert "left out, not a row of roads: mrae" in ranks


def test_files_of_several_suites(capsys: Capture) -> None:
    suites = write_two()
    report = invoke(capsys, "report", *suites, "--format", "md,csv,json", "--out", "out")
    assert report.code == 0
    names = [f"out/{name}.{suffix}" for suffix in ("md", "csv", "json")
             for name in ("roads", "ships", "average_rank")]  # fmt: skip
    assert report.out.split() == names
    rows = list(csv.DictReader(Path("out/average_rank.csv").read_text().splitlines()))
    assert [(row["row"], row["average_rank"]) for row in rows][-1] == ("pafpn", "3.0")
    assert rows[0]["rank:roads"] == "1.0"
    (metric,) = json.loads(Path("out/average_rank.json").read_text())["metrics"]
    assert metric["friedman"]["p"] == pytest.approx(1 / 2)
    assert len(metric["pairs"]) == 3
    invoke(capsys, "report", *suites, "--format", "csv", "--out", "few", "--methods", "fpn,ssd")
    assert {path.name for path in Path("few").iterdir()} == {
        "roads.partial.csv", "ships.partial.csv", "average_rank.partial.csv"
    }  # fmt: skip


def test_json_on_stdout_is_one_list(capsys: Capture) -> None:
    suites = write_two()
    report = invoke(capsys, "report", *suites, "--format", "json", "--metric", "AP,AP_S")
    roads, ships, ranks = json.loads(report.out)
    assert (roads["title"], ships["title"]) == ("roads", "ships")
    assert [metric["metric"] for metric in ranks["metrics"]] == ["AP", "AP_S"]
    assert invoke(capsys, "report", *suites, "--format", "md").out.count("\n## ") == 2


def test_the_data_of_several_suites(capsys: Capture) -> None:
    suites = write_two()
    keep(suites[0], 0.1, 0.2, 0.3, data="cccccccccccc")
    check_refusal(capsys, "choose with --data", "report", *suites)
    for chosen in ("cccc", "cccc,bbbb"):
        code, out, _ = invoke(capsys, "report", *suites, "--data", chosen)
        assert code == 0
        assert re.search(r"^ssd +1\.50 +a +2 \(0\.200\) +1 \(0\.300\)$", out, re.MULTILINE)
    check_refusal(capsys, "--data dd: no run is on such", "report", *suites, "--data", "cc,dd")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["roads.yaml", "roads.yaml"], "roads.yaml: the same suite as roads.yaml; give every"),
        (["roads.yaml", "copy.yaml"], "copy.yaml: the same suite as roads.yaml"),
        (["roads.yaml", "other.yaml"], "both suites are named 'roads' and differ"),
        (["roads.yaml", "alone.yaml"], "only 'fpn' is a row of all of these suites"),
        (["roads.yaml", "none.yaml"], "none.yaml"),
        (["roads.yaml", "--metric", "AP"], "--metric: has no effect on a report of one suite"),
        (["roads.yaml", "ships.yaml", "--metric", "AP_X"], "'AP_X' is not a metric of roads"),
        (["roads.yaml", "ships.yaml", "--metric", "AP", "--found"], "report with --found"),
        (["roads.yaml", "ships.yaml", "--format", "csv"], "--format csv: several tables"),
        (["roads.yaml", "ships.yaml", "--methods", "mrae"], "suite roads has no row 'mrae'"),
        (["roads.yaml", "ships.yaml", "--methods", "fpn"], "ranks need two rows"),
    ],
)  # fmt: skip
def test_refusals(capsys: Capture, arguments: list[str], words: str) -> None:
    write_two()
    Path("copy.yaml").write_text(Path("roads.yaml").read_text())
    write_suite("other.yaml", name="roads", methods=["fpn", "ssd"])
    write_suite("alone.yaml", name="alone", methods=["fpn", "mrae"])
    check_refusal(capsys, words, "report", *arguments)


def test_a_suite_without_results_leaves_nothing_to_compare(capsys: Capture) -> None:
    roads, _ = write_two()
    empty = write_suite("empty.yaml", name="empty", methods=ROWS)
    code, out, err = invoke(capsys, "report", roads, empty, "--format", "md", "--out", "out")
    assert (code, out) == (4, "")
    assert err.startswith("nothing to show: empty: 3 not run yet")
    assert not Path("out").exists()
    keep(empty, 0.5, data="cccccccccccc")
    code, out, err = invoke(capsys, "report", roads, empty)
    assert (code, out) == (4, "")
    assert "AP: average ranks need two rows with results in two suites" in err


# --- who finds what ----------------------------------------------------------------------------


def write_found() -> Path:
    """Rows that find (0, 1, 2), (0, 3) and nothing, and one without a result."""
    path = write_suite(methods=[*ROWS, "mrae"])
    runs = plan(load(path), "aaaabbbbcccc")
    for run, met in zip(runs, ([0, 1, 2], [0, 3], []), strict=False):
        keep_matched(run, 0.3, hand_made([(0.9 - i / 10, index) for i, index in enumerate(met)]))
    return path


def test_who_finds_what(capsys: Capture) -> None:
    path = write_found()
    code, out, err = invoke(capsys, "report", path, "--found")
    assert (code, err) == (0, "")
    assert re.search(r"^fpn +ssd +1 +2 +1 +0 +0$", out, re.MULTILINE)
    assert re.search(r"^ssd +pafpn +0 +2 +0 +2 +0$", out, re.MULTILINE)
    assert "counted: 4 objects of 2 images (coco v1)" in out
    assert re.search(r"^fpn +0 +0\.700 +0\.857 +1\.000 +0\.750$", out, re.MULTILINE)
    assert re.search(r"^pafpn +0 +none +0\.000 ", out, re.MULTILINE)
    assert "mrae seed 0: not run yet" in out
    assert "By size" not in out
    pair = invoke(capsys, "report", path, "--found", "--methods", "fpn,ssd").out
    assert re.search(r"^size +objects +both +only fpn +only ssd +neither$", pair, re.MULTILINE)
    assert re.search(r"^M +2 +0 +2 +0 +0$", pair, re.MULTILINE)
    assert re.search(r"^bus +2 +0 +1 +1 +0$", pair, re.MULTILINE)


def test_files_of_who_finds_what(capsys: Capture) -> None:
    path = write_found()
    report = invoke(capsys, "report", path, "--found", "--format", "csv,json", "--out", "out")
    assert report.out.split() == ["out/small.found.csv", "out/small.found.json"]
    rows = list(csv.DictReader(Path("out/small.found.csv").read_text().splitlines()))
    assert len(rows) == 3 * (1 + 3 + 2)
    assert rows[0] == {
        "first": "fpn", "second": "ssd", "seeds": "0", "part": "all", "name": "",
        "objects": "4.0", "both": "1.0", "only_first": "2.0", "only_second": "1.0",
        "neither": "0.0",
    }  # fmt: skip
    content = json.loads(Path("out/small.found.json").read_text())
    assert content["pairs"][0]["both"] == 1
    assert content["scores"][0] | {"f1": None} == {
        "row": "fpn", "seed": 0, "lowest_score": 0.7, "f1": None, "precision": 1, "recall": 0.75
    }  # fmt: skip


def test_many_rows_stand_crosswise(capsys: Capture) -> None:
    labels = [f"row {i}" for i in range(7)]
    entries = [
        {"name": "nas_fpn", "label": label, "stack": 1 + i} for i, label in enumerate(labels)
    ]
    path = write_suite(methods=entries)
    for i, run in enumerate(plan(load(path), "aaaabbbbcccc")):
        keep_matched(run, 0.3, hand_made([(0.9, i % 4)]))
    out = invoke(capsys, "report", path, "--found").out
    assert re.search(r"^#  finds +1 +2 +3 +4 +5 +6 +7$", out, re.MULTILINE)
    assert re.search(r"^1  row 0 +- +1 +1 +1 +0 +1 +1$", out, re.MULTILINE)


def test_nothing_to_find(capsys: Capture) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "report", path, "--found")
    assert (code, out) == (4, "")
    assert err.splitlines() == [
        "nothing to show: small: who finds what needs matches of two rows (2 runs: not run yet)",
        "results: no such folder; see --results",
    ]
    keep(path, 0.3, 0.2)
    code, _, err = invoke(capsys, "report", path, "--found")
    assert code == 4
    assert "(2 runs: the detections of its record are gone, damaged or replaced" in err
