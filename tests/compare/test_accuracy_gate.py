from __future__ import annotations

import numpy as np
import pytest

from sobench.compare.accuracy_gate import accuracy_findings, power_findings
from sobench.compare.findings import ALL_ROWS, Finding
from tests.compare.baselines import seed_result, trainings

ROWS = {"a": [0.40, 0.41, 0.42], "b": [0.52, 0.50, 0.51], "c": [0.31, 0.32, 0.30]}
"""Seeds that do not go up and down together."""


def found(
    now: dict[str, list[float]], baseline: dict[str, list[float]] = ROWS
) -> dict[tuple[str, str], Finding]:
    findings = accuracy_findings(trainings(baseline), trainings(now), "coco")
    return {(f.row, f.metric): f for f in findings}


def test_equal_results_pass() -> None:
    findings = found(ROWS)
    assert {f.verdict for f in findings.values()} == {"pass"}
    assert [key for key in findings if key[0] == "a"] == [("a", "AP"), ("a", "AP_S")]
    assert (ALL_ROWS, "AP") in findings


def test_a_drop_is_worse_for_its_row_alone() -> None:
    now = ROWS | {"b": [0.40, 0.41, 0.42]}
    findings = found(now)
    assert {key for key, f in findings.items() if f.fails} >= {("b", "AP"), ("b", "AP_S")}
    assert findings["a", "AP"].verdict == "pass"
    finding = findings["b", "AP"]
    assert [finding.baseline, finding.now] == pytest.approx([0.51, 0.41])
    assert finding.tolerance is not None
    assert 0 < finding.tolerance < 0.1
    assert finding.detectable is not None
    assert finding.detectable > finding.tolerance


def test_a_small_drop_of_every_row_is_found_by_their_mean() -> None:
    now = {label: [ap - 0.035 for ap in aps] for label, aps in ROWS.items()}
    failing = [key for key, f in found(now).items() if f.fails]
    assert (ALL_ROWS, "AP") in failing
    assert ("a", "AP") not in failing


def test_better_is_no_regression() -> None:
    findings = found(ROWS | {"a": [0.6, 0.61, 0.62]})
    assert findings["a", "AP"].verdict == "better"
    assert "record the baseline anew" in findings["a", "AP"].told
    assert not any(f.fails for f in findings.values())


def test_where_ap_is_coarse_losses_and_counts_stand_in() -> None:
    baseline = trainings({"a": [0.001, 0.02, 0.04]})
    same = accuracy_findings(baseline, baseline, "coco")
    verdicts = {f.metric: f.verdict for f in same}
    assert verdicts == {
        "AP": "too coarse", "AP_S": "too coarse", "AR@100": "pass", "loss": "pass",
        "first losses": "pass", "detections": "pass",
    }  # fmt: skip
    assert {f.told for f in same if f.verdict == "pass"} == {"in place of AP"}


@pytest.mark.parametrize(
    ("changes", "metric", "verdict"),
    [
        ({"losses": {"total": 1.1}}, "loss", "worse"),
        ({"losses": {"total": 0.9}}, "loss", "better"),
        ({"first_losses": (8.0, 3.0, 2.0)}, "first losses", "changed"),
        ({"first_losses": (2.0, 3.0, 2.0)}, "first losses", "changed"),
        ({"detections": 300}, "detections", "changed"),
        ({"detections": 0}, "detections", "changed"),
        ({"metrics": {"AP": 0.02, "AP_S": 0.01, "AR@100": 0.5}}, "AR@100", "worse"),
    ],
)
def test_each_stand_in_finds_its_regression(
    changes: dict[str, object], metric: str, verdict: str
) -> None:
    baseline = trainings({"a": [0.001, 0.02, 0.04]})
    now = {"a": [seed_result(7, 0.02, **changes)]}
    findings = {f.metric: f.verdict for f in accuracy_findings(baseline, now, "coco")}
    assert findings.pop(metric) == verdict
    assert {*findings.values()} == {"pass", "too coarse"}


def test_undefined_metrics_are_left_out() -> None:
    baseline = {"a": [seed_result(0, None), seed_result(1, None)]}
    metrics = {f.metric for f in accuracy_findings(baseline, baseline, "coco")}
    assert metrics == {"AR@100", "loss", "first losses", "detections"}


@pytest.mark.parametrize("aps", [(None,), (0.4, None)])
def test_a_metric_that_becomes_undefined_is_a_regression(aps: tuple[float | None, ...]) -> None:
    baseline = trainings({"a": [0.4, 0.41]})
    now = {"a": [seed_result(seed, ap) for seed, ap in enumerate(aps)]}
    lost = [f for f in accuracy_findings(baseline, now, "coco") if f.fails]
    assert [(f.row, f.metric, f.verdict) for f in lost] == [
        ("a", "AP", "changed"), ("a", "AP_S", "changed"),
    ]  # fmt: skip


def test_rows_that_the_baseline_lacks_are_left_out() -> None:
    assert {f.row for f in accuracy_findings(trainings(ROWS), trainings(ROWS | {"d": [0.1]}),
                                             "coco")} == {*ROWS, ALL_ROWS}  # fmt: skip


def test_power_is_what_a_check_shows() -> None:
    shown = {(f.row, f.metric): f.detectable for f in found(ROWS).values()}
    power = power_findings(trainings(ROWS), 3, "coco")
    assert {(f.row, f.metric): f.detectable for f in power} == pytest.approx(shown)


def test_unchanged_trees_pass_and_the_detectable_drop_is_found() -> None:
    rng = np.random.default_rng(0)
    rows, sigma = [f"m{number}" for number in range(8)], 0.02

    def draw(seeds: int, drop: float = 0.0) -> dict[str, list[float]]:
        aps = {label: list(0.5 + sigma * rng.standard_normal(seeds)) for label in rows}
        return aps | {"m0": [ap - drop for ap in aps["m0"]]}

    false = sum(any(f.fails for f in found(draw(2), draw(4)).values()) for _ in range(60))
    assert false <= 3
    hits = 0
    for _ in range(60):
        baseline = draw(4)
        detectable = power_findings(trainings(baseline), 2, "coco")[0].detectable
        assert detectable is not None
        hits += found(draw(2, detectable), baseline)["m0", "AP"].fails
    assert 48 <= hits <= 60  # nine in ten


def test_detections_are_shown_as_they_are_counted() -> None:
    baseline = trainings({"a": [0.001, 0.02, 0.04]})
    none = trainings({"a": [0.0]}, detections=0)
    for now, number in ((baseline, 100), (none, 0)):
        found = {f.metric: f for f in accuracy_findings(baseline, now, "coco")}["detections"]
        assert (found.baseline, found.now) == pytest.approx((100, number))
