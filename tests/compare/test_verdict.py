"""The verdict on rows: which of them differ, what is left out, and what is said of it."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from sobench.compare import leaderboard
from sobench.compare.intervals import Sample, difference, estimate
from sobench.compare.samples import OTHER_IMAGES
from sobench.compare.verdict import Verdict, judge, verdict
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import LOST
from sobench.runs.state import read_records, read_states
from sobench.suite.plan import Run, plan
from sobench.suite.protocols import PROTOCOLS
from tests.compare.matched_runs import WORLD, keep_runs
from tests.tiny_suite import tiny_suite

QUALITY = {"ssd": 1.6, "fpn": 0.0, "pafpn": 0.0}


def runs_of(seeds: int) -> list[Run]:
    return plan(tiny_suite(methods=list(QUALITY), seeds=list(range(seeds))), "aaaa")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of three rows with three seeds, which no test may change."""
    results = tmp_path_factory.mktemp("results")
    keep_runs(runs_of(3), results, QUALITY)
    return results


@pytest.fixture
def results(kept: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(kept, tmp_path / "results"))


def forget(run: Run, results: Path) -> None:
    """Delete what was kept beside a record for resampling."""
    folder = RunFolder.of(run, results)
    folder.matches(PROTOCOLS["coco"]).unlink()
    folder.bootstrap(PROTOCOLS["coco"]).unlink(missing_ok=True)


def judged(runs: list[Run], results: Path) -> Verdict:
    return verdict(runs, read_states(runs, results), results)


def test_the_better_row_stands_apart(kept: Path) -> None:
    runs = runs_of(1)
    records = {outcome.label: outcome for outcome in read_records(runs, kept)}
    found = judged(runs, kept)
    assert found.labels[0] == "ssd"
    assert found.tiers == {"ssd": (1,), "fpn": (2,), "pafpn": (2,)}
    assert found.metrics[:2] == ("AP", "AP50")
    assert found.metrics[-1] == "AR:class 1"
    assert len(found.metrics) == len(records["fpn"].scores["coco v1 hotcoco"].metrics) + 2 * 4
    for label, of_row in found.estimates.items():
        (scores,) = records[label].scores.values()
        # Images that hold an object, and a small one.
        for name, images in (("AP", 36), ("AP_S", 34), ("AR@1", 36)):
            one = of_row[name]
            assert one.mean == scores.metrics[name]
            assert one.low < one.mean < one.high
            assert (one.seeds, one.df) == (1, images - 1)
        assert of_row["AP75:class 1"].mean == scores.per_class["class 1"]["AP75"]
    pair = found.pairs["ssd", "fpn"]["AP"]
    assert pair.mean == pytest.approx(
        found.estimates["ssd"]["AP"].mean - found.estimates["fpn"]["AP"].mean
    )
    assert pair.low > 0
    assert pair.p < pair.adjusted < 0.001
    assert found.difference("fpn", "ssd", "AP").high == -pair.low
    assert found.notes == ("one seed: training noise is not in the intervals and tiers",)
    assert found.rule[1] == (
        "95 % intervals: over images, from 1000 resamples of 40 images, the same for all rows"
    )


def test_several_seeds(kept: Path) -> None:
    runs = runs_of(3)
    found = judged(runs, kept)
    assert found.notes == ()
    one = found.estimates["fpn"]["AP"]
    assert one.seeds == 3
    assert one.std is not None
    assert "over images and trainings" in found.rule[1]
    board = leaderboard.leaderboard(runs, kept)
    assert board.table["AP"].tolist() == [
        found.estimates[label]["AP"].mean for label in found.labels
    ]
    assert board.table["AP_std"].tolist() == [
        found.estimates[label]["AP"].std for label in found.labels
    ]


def test_the_order_of_a_suite_does_not_matter(kept: Path) -> None:
    one, other = judged(runs_of(1), kept), judged(runs_of(1)[::-1], kept)
    assert one.labels == other.labels
    assert one.tiers == other.tiers
    assert [*one.pairs] == [*other.pairs]
    assert repr(one.estimates) == repr(other.estimates)  # in which NaN are equal


def test_rows_of_different_numbers_of_seeds(kept: Path) -> None:
    runs = [run for run in runs_of(3) if run.seed == 0 or run.entry.label != "ssd"]
    found = judged(runs, kept)
    assert found.notes == (
        "rows have different numbers of seeds; where it is 1, training noise is taken from the "
        "other rows",
    )
    alone = judged([run for run in runs if run.entry.label == "ssd"], kept)
    assert found.estimates["ssd"]["AP"].se > alone.estimates["ssd"]["AP"].se
    two = [run for run in runs if (run.entry.label, run.seed) != ("fpn", 2)]
    two = [run for run in two if run.entry.label != "ssd"]
    assert judged(two, kept).notes == ("rows have different numbers of seeds",)


def test_a_row_without_matches_has_no_interval(results: Path) -> None:
    runs = runs_of(2)
    lost = next(run for run in runs if (run.entry.label, run.seed) == ("fpn", 1))
    forget(lost, results)
    found = judged(runs, results)
    assert found.labels == ("ssd", "pafpn")
    assert found.untested == {"fpn": LOST}
    assert found.notes == (f"no interval and no tier: fpn: {LOST}",)
    board = leaderboard.leaderboard(runs, results)
    assert set(board.table["method"]) == set(QUALITY)
    tiers = board.table.set_index("method")["tier"]
    assert tiers["ssd"] == "1"
    assert math.isnan(tiers["fpn"])
    assert found.notes[0] in board.notes


def test_without_any_matches_nothing_is_told_apart(results: Path) -> None:
    runs = runs_of(1)
    for run in runs:
        forget(run, results)
    found = judged(runs, results)
    assert (found.labels, found.tiers, found.rule) == ((), {}, ())
    (note,) = found.notes
    assert note == f"no interval and no tier: ssd, fpn, pafpn: {LOST}"


def test_rows_on_other_images_are_not_paired(tmp_path: Path) -> None:
    runs = runs_of(1)
    keep_runs(runs[:2], tmp_path, QUALITY)
    keep_runs(runs[2:], tmp_path, QUALITY, dataclasses.replace(WORLD, images=39))
    found = judged(runs, tmp_path)
    assert found.labels == ("ssd", "fpn")
    assert found.untested == {"pafpn": OTHER_IMAGES}


def test_runs_without_a_result_are_no_rows(tmp_path: Path) -> None:
    runs = runs_of(1)
    keep_runs(runs[:1], tmp_path, QUALITY)
    found = judged(runs, tmp_path)
    assert found.labels == (runs[0].entry.label,)
    assert found.tiers == {runs[0].entry.label: (1,)}
    assert found.pairs == {}
    assert record.read(RunFolder.of(runs[1], tmp_path).path) is None


# --- rows given as samples ------------------------------------------------------------------------


def row(value: float, noise: float = 0.01, seed: int = 0) -> dict[str, Sample]:
    draws = value + noise * np.random.default_rng(seed).normal(size=(1, 200))
    return {"AP": Sample(np.array([value]), draws, 50)}


def test_undefined_rows_are_last_and_in_no_tier() -> None:
    nothing = {"AP": Sample(np.array([np.nan]), np.full((1, 200), np.nan), 50)}
    found = judge({"a": nothing, "b": row(0.0, seed=1), "c": row(0.5, seed=2)})
    assert found.labels == ("c", "b", "a")
    assert found.tiers == {"c": (1,), "b": (2,), "a": ()}
    assert math.isnan(found.pairs["c", "a"]["AP"].p)
    # What cannot be tested is not counted by Holm's correction.
    assert found.pairs["c", "b"]["AP"].adjusted == found.pairs["c", "b"]["AP"].p


def test_equal_rows_share_a_tier_in_the_order_of_their_names() -> None:
    found = judge({"b": row(0.5), "a": row(0.5)})
    assert found.labels == ("a", "b")
    assert found.tiers == {"a": (1,), "b": (1,)}


def test_the_samples_of_a_verdict_are_compared_metric_by_metric() -> None:
    rows = {"a": row(0.5), "b": row(0.4, seed=1)}
    found = judge({k: v | {"AP50": row(0.6, seed=3)["AP"]} for k, v in rows.items()})
    assert found.estimates["a"]["AP"] == estimate(rows["a"]["AP"])
    pair = found.pairs["a", "b"]
    assert pair["AP"] == dataclasses.replace(
        difference(rows["a"]["AP"], rows["b"]["AP"]), adjusted=pair["AP"].adjusted
    )
    assert pair["AP50"].p == 1


def test_no_rows() -> None:
    found = judge({})
    assert (found.labels, found.metrics, found.pairs, found.notes) == ((), (), {}, ())
