from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import BOTH, Capture, check_refusal, write_suite
from tests.records import COST, failed_record, invoke, isolate, record_of

DATA = "aaaabbbbcccc"
RESULTS = Path("results")
FILE = Path("baselines/recorded/small.json")
SEEDS = (0, 1, 2)
Arguments = list[str | Path]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def train(
    path: Path, seeds: tuple[int, ...], results: Path = RESULTS, data: str = DATA,
    methods: tuple[str, ...] = (), ap: float = 0.4, **changes: Any,
) -> None:  # fmt: skip
    """Results as if they had been trained for; the seeds differ by .002 in AP."""
    for run in plan(load(path), data, seeds=seeds, methods=methods):
        values: dict[str, Any] = {
            "last_loss": {"total": 1.0 + run.seed / 100},
            "first_losses": (4.0 + run.seed, 3.0),
            "detections": 100 + run.seed,
        }
        outcome = record_of(run, ap + 0.002 * (run.seed % 3), **values | changes)
        record.write(outcome, run.folder(results))


@pytest.fixture
def suite(capsys: Capture) -> Path:
    """A suite of two rows with a baseline of three seeds and nothing else."""
    path = write_suite()
    train(path, SEEDS, Path("recorded"))
    arguments: Arguments = ["check", path, "--record", "--no-run", "--seeds", "0,1,2"]
    assert invoke(capsys, *arguments, "--results", "recorded").code == 0
    return path


def test_what_is_recorded(capsys: Capture) -> None:
    path = write_suite()
    train(path, SEEDS)
    code, out, err = invoke(capsys, "check", path, "--record", "--no-run", "--seeds", "0,1,2")
    assert (code, err) == (0, "")
    assert out.endswith("baselines/recorded/small.json\n")
    assert "what a check with 3 seeds will find" in out
    content = json.loads(FILE.read_text())
    assert (content["schema_version"], content["suite"], content["data"]) == (1, "small", DATA)
    assert list(content["rows"]) == BOTH
    row = content["rows"]["fpn"]
    assert [seed["seed"] for seed in row["seeds"]] == [0, 1, 2]
    assert [seed["metrics"]["AP"] for seed in row["seeds"]] == pytest.approx([0.4, 0.402, 0.404])
    assert row["seeds"][1]["losses"] == {"total": 1.01}
    assert row["seeds"][1]["first_losses"] == [5.0, 3.0]
    assert (row["seeds"][1]["parameters"], row["seeds"][1]["gflops"]) == (2_500_000, 1.25)
    assert "somewhere" not in FILE.read_text()  # the name of the machine


def test_five_seeds_are_recorded_of_a_suite_with_one(capsys: Capture) -> None:
    path = write_suite()
    train(path, (0, 1, 2, 3))
    code, _, err = invoke(capsys, "check", path, "--record", "--no-run")
    assert code == 1
    assert err == (
        "error: small: 2 of 10 runs have no result, so nothing is recorded; fpn seed 4: missing\n"
    )
    assert not FILE.exists()


def test_an_unchanged_tree_passes(capsys: Capture, suite: Path) -> None:
    train(suite, (7, 8))
    code, out, err = invoke(capsys, "check", suite, "--no-run", "--seeds", "7,8")
    assert (code, err) == (0, "")
    assert "regressions" not in out
    assert "no seed of the baseline" in out
    assert out.splitlines()[-1].startswith("pass: ")


def test_a_regression_names_row_and_metric(capsys: Capture, suite: Path) -> None:
    train(suite, (7,))
    train(suite, (7,), methods=("ssd",), ap=0.1)
    code, out, err = invoke(capsys, "check", suite, "--no-run", "--seeds", "7")
    assert (code, err) == (3, "")
    assert out.startswith("small: regressions\n")
    assert "FAIL: 2 regressions: ssd AP, ssd AP_S" in out
    assert invoke(capsys, "check", suite, "--no-run", "--seeds", "7", "--methods", "fpn").code == 0


def test_first_losses_of_the_same_seed_repeat(capsys: Capture, suite: Path) -> None:
    train(suite, (0,))
    assert invoke(capsys, "check", suite, "--no-run").code == 0
    train(suite, (0,), first_losses=(4.0, 3.001))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 3
    assert "fpn: first losses: seed 0, step 2 is the first to differ" in out


def test_a_dearer_network_is_a_regression(capsys: Capture, suite: Path) -> None:
    train(suite, (0,), cost=COST.model_copy(update={"parameters": 2_500_001}))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 3
    assert "fpn parameters, ssd parameters" in out


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_training_that_breaks_is_a_regression(capsys: Capture, suite: Path, status: str) -> None:
    train(suite, (0,))
    run = plan(load(suite), DATA)[1]
    record.write(failed_record(run, status), run.folder(RESULTS))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 3
    assert "ssd: training: seed 0: no luck" in out


def test_a_row_without_a_result_is_a_regression_beside_others(capsys: Capture, suite: Path) -> None:
    train(suite, (0,), methods=("fpn",))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 3
    assert "ssd: training: not run yet" in out
    assert invoke(capsys, "check", suite, "--no-run", "--methods", "fpn").code == 0


def test_a_row_that_the_suite_has_lost_is_a_regression(capsys: Capture, suite: Path) -> None:
    path = write_suite(methods=["fpn"])
    train(path, (0,))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 3
    assert "ssd: training: the suite has no such row any more" in out


def test_a_new_row_is_told(capsys: Capture, suite: Path) -> None:
    path = write_suite(methods=[*BOTH, "pafpn"])
    train(path, (0,))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 0
    assert "not in the baseline, so not compared: pafpn; record it anew" in out


def test_nothing_to_compare_is_never_green(capsys: Capture, suite: Path) -> None:
    code, out, err = invoke(capsys, "check", suite, "--no-run")
    assert (code, out) == (4, "")
    assert "small: nothing to compare with the baseline: fpn: not run yet; ssd: not run" in err


# --- wrong requests --------------------------------------------------------------------------


def test_no_baseline(capsys: Capture) -> None:
    path = write_suite()
    check_refusal(capsys, "small.json: no such baseline; record one with", "check", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON, so not a baseline"),
        ("[]", "is not a baseline; record it anew"),
        ('{"rows": 1}', "is not a baseline; record it anew"),
        ('{"schema_version": 99}', "is of schema version 99, and this sobench reads 1"),
        ('{"schema_version": 1}', "is not a baseline of this version: suite: Field required"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_files_that_are_no_baseline(capsys: Capture, content: str, words: str) -> None:
    path = write_suite()
    Path("other.json").write_text(content)
    check_refusal(capsys, words, "check", path, "--baseline", "other.json")


def changed(**changes: Any) -> None:
    FILE.write_text(json.dumps(json.loads(FILE.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suite": "other"}, "is the baseline of suite 'other', not 'small'"),
        ({"protocol_version": 7}, "was scored by protocol coco v7, and the suite is by coco v1"),
        ({"protocol": "tiny"}, "was scored by protocol tiny v1"),
        ({"rows": {}}, "rows: Dictionary should have at least 1 item"),
        ({"machines": []}, "machines: Tuple should have at least 1 item"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
def test_baselines_of_something_else(
    capsys: Capture, suite: Path, changes: dict[str, Any], words: str
) -> None:
    changed(**changes)
    check_refusal(capsys, words, "check", suite, "--no-run")


def test_rows_must_be_consistent(capsys: Capture, suite: Path) -> None:
    rows = json.loads(FILE.read_text())["rows"]
    rows["fpn"]["settings"]["precision"] = "bf16"
    changed(rows=rows)
    check_refusal(capsys, "row_id is not that of the settings", "check", suite, "--no-run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "schedule.lr=0.5"), "fpn: the baseline has other settings: schedule.lr: 0.005 "),
        (("--limit", "2"), "limit: null there, 2 here; use the options that it was recorded with"),
    ],
)
def test_other_settings_are_named(
    capsys: Capture, suite: Path, arguments: tuple[str, ...], words: str
) -> None:
    check_refusal(capsys, words, "check", suite, *arguments)


def test_results_on_other_data(capsys: Capture, suite: Path) -> None:
    train(suite, (0,), data="ccccddddeeee")
    words = "results: the results are of other data (ccccddddeeee) than the baseline (aaaabbbbcccc)"
    check_refusal(capsys, words, "check", suite, "--no-run")
    # The data themselves are other ones too: nobody trains for that.
    check_refusal(capsys, "the baseline is of other data (aaaabbbbcccc, and now", "check", suite)


def test_one_seed(capsys: Capture, suite: Path) -> None:
    arguments: Arguments = ["check", suite, "--record", "--no-run", "--results", "recorded"]
    words = "one seed does not tell how much trainings differ; give several"
    check_refusal(capsys, words, *arguments, "--seeds", "1")
    rows = json.loads(FILE.read_text())["rows"]
    rows["fpn"]["seeds"] = rows["fpn"]["seeds"][:1]
    changed(rows=rows)
    train(suite, (0,))
    code, out, _ = invoke(capsys, "check", suite, "--no-run")
    assert code == 0
    assert "one seed in the baseline: fpn; their spread is that of the other rows" in out
    rows["ssd"]["seeds"] = rows["ssd"]["seeds"][:1]
    changed(rows=rows)
    check_refusal(capsys, "has one seed for every row", "check", suite, "--no-run")


def test_a_record_drops_no_rows(capsys: Capture, suite: Path) -> None:
    words = "has rows that would be lost: ssd; leave out --methods, or name another file"
    arguments: Arguments = ["check", suite, "--record", "--no-run", "--results", "recorded"]
    check_refusal(capsys, words, *arguments, "--methods", "fpn")
    code, out, _ = invoke(
        capsys, *arguments, "--methods", "fpn", "--seeds", "0,1", "--baseline", "fpn.json"
    )
    assert (code, out.splitlines()[-1]) == (0, "fpn.json")


# --- formats ---------------------------------------------------------------------------------


def test_formats_tell_the_same(capsys: Capture, suite: Path) -> None:
    train(suite, (7,))
    train(suite, (7,), methods=("ssd",), ap=0.1)
    arguments: Arguments = ["check", suite, "--no-run", "--seeds", "7"]
    code, out, _ = invoke(capsys, *arguments, "--format", "json,junit,github", "--out", "told")
    assert code == 3
    content = json.loads(Path("told/small.check.json").read_text())
    assert not content["passed"]
    failing = [f for f in content["findings"] if f["verdict"] == "worse"]
    assert [(f["row"], f["metric"]) for f in failing] == [("ssd", "AP"), ("ssd", "AP_S")]
    root = ElementTree.parse("told/small.check.xml").getroot()
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(content["findings"])
    assert [case.get("name") for case in cases if case.find("failure") is not None] == [
        "ssd: AP", "ssd: AP_S",
    ]  # fmt: skip
    part = root.find("testsuite[@name='accuracy']")
    assert part is not None
    assert part.get("failures") == "2"
    lines = out.splitlines()
    assert lines[:2] == ["told/small.check.json", "told/small.check.xml"]
    assert lines[2].startswith("::error title=ssd%3A AP worse::ssd: AP is worse; baseline 0.402, ")
    assert lines[4].startswith("::error title=sobench check small::FAIL: 2 regressions: ")


def test_formats_alone_and_wrong_ones(capsys: Capture, suite: Path) -> None:
    train(suite, (0,))
    arguments: Arguments = ["check", suite, "--no-run", "--format"]
    assert json.loads(invoke(capsys, *arguments, "json").out)["passed"]
    assert ElementTree.fromstring(invoke(capsys, *arguments, "junit").out).tag == "testsuites"
    code, out, _ = invoke(capsys, *arguments, "terminal,github")
    assert code == 0
    assert out.splitlines()[-1].startswith("::notice title=sobench check small::pass: ")
    check_refusal(capsys, "did you mean 'junit'?", *arguments, "junt")
    check_refusal(capsys, "several formats need --out FOLDER", *arguments, "json,junit")
    check_refusal(capsys, "--format: names none", *arguments, ",")


def test_names_cannot_break_a_format(capsys: Capture) -> None:
    label = 'a<&>"%: ,::error::b'
    path = write_suite(methods=[{"name": "fpn", "label": label}])
    train(path, SEEDS)
    invoke(capsys, "check", path, "--record", "--no-run", "--seeds", "0,1,2")
    train(path, (0,), first_losses=(1.0, 1.0))
    arguments: Arguments = ["check", path, "--no-run", "--format"]
    root = ElementTree.fromstring(invoke(capsys, *arguments, "junit").out)
    assert f"{label}: AP" in [case.get("name") for case in root.iter("testcase")]
    line = invoke(capsys, *arguments, "github").out.splitlines()[0]
    assert line.startswith('::error title=a<&>"%25%3A %2C%3A%3Aerror%3A%3Ab%3A first losses chan')


# --- where the baseline is -------------------------------------------------------------------


def test_the_baseline_beside_the_suites_folder(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "baselines").mkdir()
    path = write_suite("suites/small.yaml")
    train(path, SEEDS)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    arguments: Arguments = ["../suites/small.yaml", "--no-run", "--results", "../results"]
    code, out, _ = invoke(capsys, "check", *arguments, "--record", "--seeds", "0,1,2")
    assert code == 0
    assert out.splitlines()[-1] == "../baselines/recorded/small.json"
    assert invoke(capsys, "check", *arguments).code == 0
