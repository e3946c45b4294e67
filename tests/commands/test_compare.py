from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from sobench.runs import record
from sobench.suite.plan import Run, plan, run_id, short_digest
from sobench.suite.reader import load
from tests.commands.small_suite import DATA, Capture, check_refusal, keep, write_suite
from tests.compare.hand_made import hand_made, keep_matched
from tests.records import COST, ENVIRONMENT, invoke, isolate, record_of

FOUND = hand_made([(0.9, 0), (0.8, None), (0.7, 2)])


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def fill(folder: str, path: Path, *aps: float, data: str = DATA) -> None:
    """Results of the first runs of a suite, which all find the same objects."""
    for run, ap in zip(plan(load(path), data), aps, strict=False):
        keep_matched(run, ap, FOUND, Path(folder))


def row(out: str, *cells: str) -> bool:
    """Whether a table has a line of these cells."""
    pattern = " +".join(re.escape(cell) for cell in cells)
    return re.search(rf"^{pattern} *$", out, re.MULTILINE) is not None


def keep_as_version(run: Run, version: int, results: str, ap: float) -> None:
    """The record of a run as another version of the code would have left it."""
    settings = run.settings | {"version": version}
    settings_id = short_digest(settings)
    name = run_id(run.seed, settings_id, run.data)
    environment = ENVIRONMENT.model_copy(update={"code": f"0.{version}.0"})
    outcome = record_of(
        run, ap, settings=settings, settings_id=settings_id, run_id=name, environment=environment
    )
    record.write(outcome, run.folder(Path(results)).with_name(name))


# --- two folders -------------------------------------------------------------------------------


def test_two_folders_of_one_suite(capsys: Capture) -> None:
    path = write_suite(methods=["fpn", "ssd", "pafpn", "mrae"])
    fill("old", path, 0.3, 0.2, 0.1)
    fill("new", path, 0.3, 0.25)
    code, out, err = invoke(capsys, "compare", "old", "new", "--suite", path)
    assert (code, err) == (0, "")
    assert out.startswith("A: old   B: new   (coco v1)\n")
    assert row(out, "fpn", "0.300", "0.300", "same")
    # The same detections on the same images: nothing but the numbers in the record differs.
    assert row(out, "ssd", "0.200", "0.250", "+0.050", "+0.050 to +0.050", "0")
    assert "AP_S: B - A with its 95 % interval" in out
    assert "AP50" not in out
    assert "A and B hold the same numbers: fpn" in out
    assert "only in A; in B not run yet: pafpn" in out
    assert "no result on either side: mrae" in out
    assert "the settings of A and B are the same in every row" in out
    assert "paired over images" in out


def test_the_same_numbers_are_told(capsys: Capture) -> None:
    path = write_suite()
    fill("old", path, 0.3, 0.2)
    fill("new", path, 0.3, 0.2)
    out = invoke(capsys, "compare", "old", "new", "--suite", path).out
    assert "A and B hold the same numbers in every row that both have" in out
    assert "intervals" not in out


def test_two_versions_of_the_code(capsys: Capture) -> None:
    path = write_suite()
    runs = plan(load(path), DATA)
    keep_as_version(runs[0], 2, "old", 0.1)
    keep_as_version(runs[0], 3, "old", 0.2)
    fill("new", path, 0.3, 0.4)
    code, out, err = invoke(capsys, "compare", "old", "new", "--suite", path)
    assert (code, err) == (0, "")
    assert row(out, "fpn", "0.200", "0.300", "+0.100", "-", "-")  # of the newer of two
    assert row(out, "all rows", "version", "3", str(runs[0].settings["version"]))
    assert "code: sobench 0.3.0 in A, sobench 0.1.0 abcdef0123 in B" in out
    assert "only in B; in A not run yet: ssd" in out
    assert "no interval, since how their detections met the objects is not kept" in out


def test_costs_stand_side_by_side(capsys: Capture) -> None:
    path = write_suite(methods=["fpn"])
    (run,) = plan(load(path), DATA)
    dear = COST.model_copy(update={"gflops": 2.5})
    keep_matched(run, 0.3, FOUND, Path("old"))
    keep_matched(run, 0.4, FOUND, Path("new"), cost=dear)
    out = invoke(capsys, "compare", "old", "new", "--suite", path).out
    assert row(out, "fpn", "2.50", "1.25 -> 2.50", "12.5", "40.0", "1.5")


# --- two suites --------------------------------------------------------------------------------


def test_two_suites_and_the_settings_that_differ(capsys: Capture) -> None:
    first = write_suite("a.yaml", name="first", methods=["fpn", {"name": "ssd", "label": "ours"}])
    second = write_suite(
        "b.yaml", name="second", seeds=[0, 1], anchors={"smallest": 16},
        methods=["fpn", {"name": "nas_fpn", "label": "ours", "stack": 2}, "pafpn"],
    )  # fmt: skip
    fill("results", first, 0.3, 0.2)
    fill("results", second, 0.4, 0.1, 0.1, 0.5)
    code, out, err = invoke(capsys, "compare", first, second)
    assert (code, err) == (0, "")
    assert out.startswith("A: a.yaml   B: b.yaml   (coco v1)\n")
    assert row(out, "all rows", "anchors.smallest", "12.0", "16.0")
    assert row(out, "all rows", "seeds", "[0]", "[0, 1]")
    assert row(out, "ours", "method", '"ssd"', '"nas_fpn"')
    assert row(out, "ours", "switches.stack", "not set", "2")
    assert "A and B have other seeds, and means are over each side's: fpn" in out
    assert "only in B; in A not a row of it: pafpn" in out


def test_other_images_are_not_paired(capsys: Capture) -> None:
    """On other data the same detections give an interval of some width."""
    first = write_suite("a.yaml", name="first")
    second = write_suite("b.yaml", name="second")
    fill("results", first, 0.3, 0.2)
    fill("results", second, 0.4, 0.2, data="ccccddddeeee")
    report = invoke(capsys, "compare", first, second, "--format", "json")
    content = json.loads(report.out)
    assert [of_row["paired"] for of_row in content["rows"]] == [False, False]
    of_fpn = content["rows"][0]["metrics"]["AP50"]
    assert of_fpn["difference"] == pytest.approx(0.1)
    assert of_fpn["low"] < 0.05 < 0.15 < of_fpn["high"]
    (note,) = [note for note in content["notes"] if "not the same images" in note]
    assert note.endswith(": fpn, ssd")
    assert content["provenance"]["data"] == {"a": DATA, "b": "ccccddddeeee"}


def test_one_suite_with_results_in_two_folders(capsys: Capture) -> None:
    path = write_suite()
    fill("old", path, 0.3, 0.2)
    fill("new", path, 0.3, 0.25)
    out = invoke(capsys, "compare", path, path, "--results", "old", "--results-b", "new").out
    assert out.startswith("A: small.yaml in old   B: small.yaml in new   (coco v1)\n")
    assert row(out, "ssd", "0.200", "0.250", "+0.050", "+0.050 to +0.050", "0")


def test_files_have_every_metric(capsys: Capture) -> None:
    path = write_suite()
    fill("old", path, 0.3, 0.2)
    fill("new", path, 0.3, 0.25)
    arguments = ["compare", "old", "new", "--suite", str(path), "--out", "out", "--format"]
    assert invoke(capsys, *arguments, "md,csv,json").out.split() == [
        "out/compare.md", "out/compare.csv", "out/compare.json"
    ]  # fmt: skip
    rows = list(csv.DictReader(Path("out/compare.csv").read_text().splitlines()))
    assert {of_row["metric"] for of_row in rows} >= {"AP", "AP75", "AR@100", "AR_L"}
    # Large objects are on one of two images only, and resamples without it have no AP_L.
    (large,) = [r for r in rows if (r["row"], r["metric"]) == ("ssd", "AP_L")]
    assert (large["low"], large["p"]) == ("", "")
    assert "## A: old   B: new" in Path("out/compare.md").read_text()
    only = invoke(capsys, *arguments[:-3], "--metric", "AP50,AP75").out
    assert "AP50: B - A" in only
    assert "AP: B - A" not in only


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["old", "new"], "old and new are folders of results; add --suite SUITE"),
        (["old", "small.yaml"], "small.yaml: not a folder, and old is one"),
        (["none", "new", "--suite", "small.yaml"], "none: no such folder, and new is one"),
        (["old", "./old", "--suite", "small.yaml"], "old and old are the same folder"),
        (["old", "new", "--suite", "small.yaml", "--results", "x"], "--results: has no effect"),
        (["old", "new", "--suite", "small.yaml", "--results-b", "x"], "--results: has no effect"),
        (["small.yaml", "small.yaml"], "are the same suite with the same results"),
        (["small.yaml", "tiny.yaml"], "scored by coco and tiny.yaml by tiny: their numbers do"),
        (["small.yaml", "other.yaml", "--metric", "AP_X"], "'AP_X' is not a metric of small"),
        (["small.yaml", "none.yaml"], "none.yaml"),
        (["small.yaml", "other.yaml", "--methods", "mrae"], "has no row 'mrae'"),
        (["small.yaml", "other.yaml", "--format", "xml"], "--format: unknown 'xml'"),
    ],
)  # fmt: skip
def test_refusals(capsys: Capture, arguments: list[str], words: str) -> None:
    path = write_suite()
    write_suite("other.yaml", name="other")
    write_suite("tiny.yaml", name="tiny", protocol="tiny")
    fill("old", path, 0.3)
    fill("new", path, 0.3)
    check_refusal(capsys, words, "compare", *arguments)


def test_nothing_to_compare(capsys: Capture) -> None:
    path = write_suite()
    fill("old", path, 0.3)
    Path("new").mkdir()
    code, out, err = invoke(capsys, "compare", "old", "new", "--suite", path)
    assert (code, out) == (4, "")
    assert "new: no results of suite small; give a folder of all results" in err
    other = write_suite("other.yaml", name="other", methods=["ssd", "pafpn"])
    keep(other, 0.3)
    code, out, err = invoke(capsys, "compare", path, other)
    assert (code, out) == (4, "")
    assert "small.yaml has no result; only other.yaml has ssd" in err
    keep(path, 0.3)
    code, _, err = invoke(capsys, "compare", path, other)
    assert code == 4
    assert "no row has results in both: only small.yaml has fpn; only other.yaml has ssd" in err


def test_damaged_records_do_not_count(capsys: Capture) -> None:
    path = write_suite()
    fill("old", path, 0.3, 0.2)
    fill("new", path, 0.3, 0.2)
    damaged = next(Path("new").rglob("ssd/*/record.json"))
    damaged.write_text("{}")
    code, out, err = invoke(capsys, "compare", "old", "new", "--suite", path)
    assert (code, err) == (0, "")
    assert "only in A; in B missing: " in out
    assert "the record is damaged" in out
