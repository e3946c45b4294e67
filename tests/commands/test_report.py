from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import BOTH, DATA, Capture, check_refusal, keep, write_suite
from tests.records import failed_record, invoke, isolate, record_of, scored

FORMATS = "md,csv,json,latex"


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_report_without_results(capsys: Capture) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "report", path)
    assert (code, out) == (4, "")
    assert err == (
        "nothing to show: small: 2 not run yet; `sobench run` goes on\n"
        "results: no such folder; see --results\n"
    )


def test_report_needs_no_data(capsys: Capture) -> None:
    voc = {"format": "voc", "root": "${SOBENCH_DATA}/voc"}
    path = write_suite(dataset=voc)
    keep(path, 0.25, 0.5)
    code, out, err = invoke(capsys, "report", path)
    assert (code, err) == (0, "")
    assert re.search(r"^ +- +ssd +a-c +0\.500\W", out, re.MULTILINE)
    assert re.search(r"^ +- +fpn +0\.250\W", out, re.MULTILINE)
    assert f"data: voc {DATA}" in out
    assert "PARTIAL" not in out
    moved = invoke(capsys, "report", path, "--set", "dataset.root=elsewhere").out
    assert moved == out  # the place of the data changes no result


@pytest.mark.parametrize("arguments", [["--limit", "2"], ["--set", "schedule.lr=0.25"]], ids=str)
def test_partial_results_never_enter_the_leaderboard(capsys: Capture, arguments: list[str]) -> None:
    path = write_suite()
    if arguments[0] == "--limit":
        keep(path, 0.5, 0.4, limit=2, partial=("--limit 2",))
    else:
        changed = schedule_of(path, lr=0.25)
        keep(write_suite("other.yaml", schedule=changed), 0.5, 0.4)
    assert invoke(capsys, "report", path).code == 4
    code, out, _ = invoke(capsys, "report", path, *arguments)
    assert code == 0
    assert f"PARTIAL RESULT ({' '.join(arguments)}): not comparable with the full suite" in out


def schedule_of(path: Path, **changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(path.read_text())["schedule"], **changes}


def test_formats_hold_the_same_numbers(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 1 / 3, 0.5)
    code, out, _ = invoke(capsys, "report", path, "--format", FORMATS, "--out", "a/b")
    assert code == 0
    assert out.splitlines() == [f"a/b/small.{suffix}" for suffix in ("md", "csv", "json", "tex")]
    table = pd.read_csv("a/b/small.csv").set_index("method")
    content = json.loads(Path("a/b/small.json").read_text())
    assert [(row["method"], row["AP"]) for row in content["rows"]] == [("ssd", 0.5), ("fpn", 1 / 3)]
    assert table.loc["fpn", "AP"] == pytest.approx(1 / 3, rel=1e-12)
    assert "| -      | fpn      |         | *0.333*   |" in Path("a/b/small.md").read_text()
    for name, suffix in (("md", "md"), ("csv", "csv"), ("json", "json"), ("latex", "tex")):
        printed = invoke(capsys, "report", path, "--format", name).out
        assert printed == Path(f"a/b/small.{suffix}").read_text()
    assert pd.read_csv(io.StringIO(invoke(capsys, "report", path, "--format", "csv").out)).size


@pytest.mark.parametrize("damage", ["damaged", "old", "copied"])
def test_a_record_that_does_not_count_is_named_and_the_others_are_shown(
    capsys: Capture, damage: str
) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    fpn, ssd = (next(Path("results/small").glob(f"{name}/*/record.json")) for name in BOTH)
    text = fpn.read_text()
    if damage == "copied":
        shutil.copy(ssd, fpn)
        why = f"the record is that of another run, small/ssd/{ssd.parent.name}; it was copied here"
    elif damage == "old":
        fpn.write_text(text.replace('"schema_version": 2', '"schema_version": 1'))
        why = "the record is of schema version 1, and this sobench reads 2"
    else:
        fpn.write_text(text.replace("0.501", "0.901"))
        why = "the record is damaged: its content does not fit its digest"
    code, out, err = invoke(capsys, "report", path)
    assert (code, err) == (0, "")
    assert re.findall(r"^ +- +(\w+) +a-c +0\.\d", out, re.MULTILINE) == ["ssd"]
    assert f"fpn seed 0: missing: {fpn}: {why}; it is left out and made anew" in out
    assert "left out, because their records do not count: fpn seed 0" in out
    code, out, _ = invoke(capsys, "plan", path)
    assert code == 0
    assert re.findall(r" (missing|done|failed) +s\d-", out) == ["missing", "missing"]  # other data


def test_damaged_records_of_other_settings_do_not_matter(capsys: Capture) -> None:
    path = write_suite()
    keep(write_suite("other.yaml", schedule=schedule_of(path, lr=0.25)), 0.5)
    (other,) = Path("results").rglob("record.json")
    keep(path, 0.5, 0.4)
    before = invoke(capsys, "report", path)
    assert before.code == 0
    for text in ("", '{"schema_version": 1}', other.read_text()[:1000]):
        other.write_text(text)
        assert invoke(capsys, "report", path) == before
        assert invoke(capsys, "plan", path).code == 0


def test_two_states_of_the_data_are_told_and_chosen(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    keep(path, 0.9, data="ccccddddeeee")
    code, out, err = invoke(capsys, "report", path)
    assert (code, err) == (0, "")
    told = f"results on 2 states of the data: {DATA} (2 runs, shown), ccccddddeeee (1 run)"
    assert f"{told}; choose with --data" in out
    assert re.search(r"^ +- +fpn +0\.500\W", out, re.MULTILINE)
    code, out, _ = invoke(capsys, "report", path, "--data", "cccc")
    assert code == 0
    assert re.search(r"^ +- +fpn +0\.900\W", out, re.MULTILINE)
    assert "ssd seed 0: not run yet" in out
    check_refusal(capsys, "--data x: no run is on such a state", "report", path, "--data", "x")
    keep(path, 0.9, 0.8, data="ccccddddeeee")
    check_refusal(capsys, "choose with --data, such as --data aaaabbbbcccc", "report", path)


def test_files_of_other_tables_do_not_replace_the_suites(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    keep(path, 0.2, 0.1, limit=2, partial=("--limit 2",))
    (run, _) = plan(load(path), DATA)
    scores = {s.name: s for s in (scored(0.5), scored(0.3, "tiny"))}
    record.write(record_of(run, scores=scores), run.folder(Path("results")))
    files = {
        (): "small.csv",
        ("--limit", "2"): "small.partial.csv",
        ("--methods", "fpn"): "small.partial.csv",
        ("--seeds", "0"): "small.partial.csv",
        ("--set", "methods=[fpn]"): "small.partial.csv",
        ("--set", "seeds=[0]"): "small.partial.csv",
        ("--set", "eval_sizes=[[64, 64]]"): "small.partial.csv",
        ("--set", "protocol=tiny"): "small.tiny.csv",
        ("--data", "aaaa"): "small.aaaa.csv",
        ("--set", "title=Another"): "small.csv",
    }
    for arguments, name in files.items():
        for file in Path("out").glob("*"):
            file.unlink()
        report = invoke(capsys, "report", path, "--format", "csv", "--out", "out", *arguments)
        assert (report.code, report.out) == (0, f"out/{name}\n"), (arguments, report.err)
        assert [file.name for file in Path("out").iterdir()] == [name]


def test_an_empty_report_says_why(capsys: Capture) -> None:
    path = write_suite()
    keep(write_suite("other.yaml", schedule=schedule_of(path, lr=0.25)), 0.5, 0.4)
    runs = plan(load(path), DATA)
    record.write(failed_record(runs[1], reason="out of memory"), runs[1].folder(Path("results")))
    code, out, err = invoke(capsys, "report", path)
    assert (code, out) == (4, "")
    first, second, third = err.splitlines()
    assert first == (
        "nothing to show: small: 1 not run yet; "
        "1 failed (ssd seed 0: out of memory); `sobench run` goes on"
    )
    assert second == "with other settings there are:"
    assert third == (f"- 2 runs (fpn 1, ssd 1) on data {DATA}: schedule.lr 0.25 (asked for: 0.005)")
