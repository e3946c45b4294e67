from __future__ import annotations

from typing import Any

import pytest

from sobench.compare.baseline import SeedResult
from sobench.compare.cost_gate import cost_findings
from sobench.compare.determinism_gate import determinism_findings
from sobench.compare.findings import Finding
from tests.compare.baselines import MACHINE, seed_result

ELSEWHERE = MACHINE.model_copy(update={"processor": "ba9876543210"})


def cost(now: dict[str, list[SeedResult]], machine: Any = MACHINE) -> dict[str, Finding]:
    rows = {label: ([seed_result()], new) for label, new in now.items()}
    return {f"{f.row} {f.metric}": f for f in cost_findings(rows, [MACHINE], [machine])}


def test_weights_and_multiply_adds_are_exact() -> None:
    findings = cost({"a": [seed_result(parameters=1001, gflops=1.4)], "b": [seed_result()]})
    assert findings["a parameters"].verdict == "worse"
    assert findings["a GFLOPs"].verdict == "changed"
    assert {findings["b parameters"].verdict, findings["b GFLOPs"].verdict} == {"pass"}
    assert cost({"a": [seed_result(gflops=None)]})["a GFLOPs"].verdict == "not compared"


def speeds(*images_s: float, machine: Any = MACHINE) -> list[str]:
    now = {f"m{n}": [seed_result(train_images_s=speed)] for n, speed in enumerate(images_s)}
    return [f.verdict for key, f in cost(now, machine).items() if "images" in key]


def test_a_row_is_slower_only_beside_the_others() -> None:
    assert speeds(20, 8, 18) == ["pass", "worse", "pass"]
    assert speeds(20, 11, 18) == ["pass", "pass", "pass"]
    assert speeds(4, 4, 4) == ["pass", "pass", "pass"]  # a busy machine
    assert speeds(60, 60, 11) == ["pass", "pass", "pass"]  # a faster one asks for no more
    assert speeds(4) == ["not compared"]
    assert speeds(20, 9, 18, machine=ELSEWHERE) == ["not compared"] * 3


def begins(losses: tuple[float, ...], seed: int = 0, machine: Any = MACHINE) -> Finding:
    rows = {"a": ([seed_result()], [seed_result(seed, first_losses=losses)])}
    return determinism_findings(rows, [MACHINE], [machine])[0]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ((4.0, 3.0, 2.0), "pass"),
        ((4.0, 3.0 + 1e-6, 2.0), "pass"),
        ((4.0, 3.0, 2.0001), "changed"),
        ((), "not compared"),
    ],
)
def test_the_first_losses_repeat_on_one_machine(losses: tuple[float, ...], verdict: str) -> None:
    assert begins(losses).verdict == verdict


def test_the_first_step_that_differs_is_named() -> None:
    finding = begins((4.0, 3.1, 2.5))
    assert (finding.baseline, finding.now) == (3.0, 3.1)
    assert "seed 0, step 2 is the first to differ" in finding.told


def test_elsewhere_the_first_step_alone_is_compared_and_loosely() -> None:
    assert begins((4.01, 9.0, 9.0), machine=ELSEWHERE).verdict == "pass"
    assert "other packages, processor or threads" in begins((4.0,), machine=ELSEWHERE).told
    assert begins((4.1, 3.0, 2.0), machine=ELSEWHERE).verdict == "changed"
    for changes in ({"threads": 1}, {"packages": {"torch": "3.0"}}):
        machine = MACHINE.model_copy(update=changes)
        assert begins((4.0, 3.1, 2.0), machine=machine).verdict == "pass"


def test_other_seeds_are_not_compared() -> None:
    assert begins((9.0, 9.0, 9.0), seed=5).verdict == "not compared"


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"losses": {"total": 1.001}}, "loss"),
        ({"detections": 101}, "detections"),
        ({"metrics": {"AP": 0.501}}, "AP"),
    ],
)
def test_what_a_repeated_training_comes_to_repeats(changes: Any, metric: str) -> None:
    rows = {"a": ([seed_result()], [seed_result(**changes)])}
    found = {f.metric: f.verdict for f in determinism_findings(rows, [MACHINE], [MACHINE])}
    assert found.pop(f"{metric} of the same seed") == "changed"
    assert {*found.values()} == {"pass"}
    (alone,) = determinism_findings(rows, [MACHINE], [ELSEWHERE])
    assert (alone.metric, alone.verdict) == ("loss of step 1", "pass")


def test_a_gpu_does_not_repeat() -> None:
    gpu = MACHINE.model_copy(update={"device": "NVIDIA H200"})
    assert not gpu.calculates_as(gpu)
    assert MACHINE.calculates_as(MACHINE)
