from __future__ import annotations

import json
from pathlib import Path

import pytest

from sobench.locks import locked
from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.checked_suite import (
    DATA,
    FILE,
    RESULTS,
    SEEDS,
    recorded_suite,
    train,
)
from tests.commands.small_suite import BOTH, Capture, write_suite
from tests.records import COST, ENVIRONMENT, failed_record, invoke, isolate


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def suite(capsys: Capture) -> Path:
    """A suite of two rows with a baseline of three seeds and nothing else."""
    return recorded_suite(capsys)


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


def test_seeds_without_a_result_are_told(capsys: Capture, suite: Path) -> None:
    train(suite, (0,))
    held = next(run for run in plan(load(suite), DATA, seeds=(1,)) if run.entry.label == "fpn")
    with locked(held.folder(RESULTS)):
        code, out, _ = invoke(capsys, "check", suite, "--no-run", "--seeds", "0,1")
    assert code == 0
    told = " ".join(out.split())
    assert "without a result: fpn seed 1, ssd seed 1; their rows have fewer seeds" in told


def test_results_of_other_code_are_told(
    capsys: Capture, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(suite, (0,))
    for code, is_told in (("0.1.0 0123456789", True), (ENVIRONMENT.code, False)):
        monkeypatch.setattr("sobench.commands.check.code_version", lambda code=code: code)
        out = " ".join(invoke(capsys, "check", suite, "--no-run").out.split())
        told = f"results of sobench {ENVIRONMENT.code}, not of the present sobench {code}"
        assert (told in out) is is_told
