from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sobench.compare.found import BestScore, Counts, best_score, found_objects, who_finds_what
from sobench.metrics.matches import Matches
from sobench.suite.protocols import PROTOCOLS
from tests.compare.hand_made import AREAS, hand_made

COCO = PROTOCOLS["coco"]


def test_the_best_score_by_hand() -> None:
    """Four objects. F1 falls from 2/5 at .9 to 2/7 at .5, is 4/8 at .4 and 6/9 at .3."""
    matches = hand_made([(0.9, 0), (0.5, None), (0.4, 1), (0.8, None), (0.3, 2)])
    assert best_score(matches) == BestScore(0.3, 2 * 3 / 9, 3 / 5, 3 / 4)
    assert found_objects(matches, 0.3).tolist() == [True, True, True, False]
    assert found_objects(matches, 0.4).tolist() == [True, True, False, False]


def test_of_equal_f1_the_higher_score_is_taken() -> None:
    """2 * 1 / (1 + 4) at .9, 2 * 2 / (6 + 4) at .4."""
    wrong = [(score, None) for score in (0.8, 0.7, 0.6, 0.5)]
    assert best_score(hand_made([(0.9, 0), *wrong, (0.4, 1)])).score == 0.9
    assert best_score(hand_made([(0.9, 0), *wrong[1:], (0.4, 1)])).score == 0.4


def test_equal_scores_count_together() -> None:
    """2 * 1 / (2 + 4), and not 2 * 1 / (1 + 4)."""
    for rows in ([(0.5, 0), (0.5, None)], [(0.5, None), (0.5, 0)]):
        assert best_score(hand_made(rows)).f1 == pytest.approx(1 / 3)


def test_ignored_detections_are_neither_true_nor_false() -> None:
    matches = hand_made([(0.9, None), (0.8, 0)])
    outcome = matches.outcome.copy()
    outcome[:, :, matches.found < 0] = -1
    assert best_score(replace(matches, outcome=outcome)).f1 == pytest.approx(2 / 5)


@pytest.mark.parametrize("rows", [[], [(0.9, None), (0.8, None)]], ids=["none", "wrong"])
def test_without_a_true_positive_nothing_is_found(rows: list[tuple[float, None]]) -> None:
    matches = hand_made(rows)
    assert best_score(matches) == BestScore(None, 0, 0, 0)
    assert not found_objects(matches, None).any()


def test_other_thresholds_and_areas_have_no_say() -> None:
    matches = hand_made([(0.9, 0), (0.5, None), (0.4, 1)])
    outcome = matches.outcome.copy()
    outcome[1:], outcome[:, 1:] = 0, 0
    assert best_score(replace(matches, outcome=outcome)) == best_score(matches)


def test_counts_by_hand() -> None:
    """a finds 0, 1, 2 and b finds 0, 3: both 0, a alone 1 and 2, b alone 3."""
    a = hand_made([(0.9, 0), (0.8, 1), (0.7, 2)])
    b = hand_made([(0.9, 0), (0.8, 3)])
    found = who_finds_what("T", COCO, {"a": {0: a}, "b": {0: b}}, {})
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.seeds) == ("a", "b", (0,))
    assert pair.total == Counts(both=1, first=2, second=1, neither=0)
    assert pair.total.objects == found.objects == 4
    # Objects 0 and 1 are cars, 2 and 3 buses.
    assert pair.by_class == {"car": Counts(1, 1, 0, 0), "bus": Counts(0, 1, 1, 0)}
    # Areas are 100, 1024, 2000 and 10000: 32^2 belongs to both of its bins.
    assert AREAS == (100, 1024, 2000, 10000)
    assert pair.by_size == {
        "S": Counts(1, 1, 0, 0), "M": Counts(0, 2, 0, 0), "L": Counts(0, 0, 1, 0)
    }  # fmt: skip
    assert found.protocol == "coco v1"


def test_objects_below_the_best_score_are_not_found() -> None:
    wrong = [(0.5, None)] * 5
    a = hand_made([(0.9, 0), (0.8, 1), *wrong, (0.4, 2)])
    b = hand_made([(0.9, 3)])
    (pair,) = who_finds_what("T", COCO, {"a": {0: a}, "b": {0: b}}, {}).pairs
    assert pair.total == Counts(both=0, first=2, second=1, neither=1)


def test_seeds_are_paired_and_averaged() -> None:
    """Seed 0: both 1, a alone 1; seed 2: both 0, a alone 1, b alone 1. Seed 1 is a's alone."""
    a = {0: hand_made([(0.9, 0), (0.8, 1)]), 1: hand_made([(0.9, 3)]), 2: hand_made([(0.9, 2)])}
    b = {0: hand_made([(0.9, 0)]), 2: hand_made([(0.9, 3)])}
    found = who_finds_what("T", COCO, {"a": a, "b": b}, {})
    (pair,) = found.pairs
    assert pair.seeds == (0, 2)
    assert pair.total == Counts(both=0.5, first=1, second=0.5, neither=2)
    assert set(found.scores["a"]) == {0, 1, 2}


def test_pairs_that_cannot_be_compared_are_told() -> None:
    a, b = hand_made([(0.9, 0)]), hand_made([(0.9, 0)])
    other = replace(a, object_area=np.array([1.0, 2, 3, 4]))
    rows: dict[str, dict[int, Matches]] = {"a": {0: a}, "b": {1: b}, "c": {0: other}}
    found = who_finds_what("T", COCO, rows, {"d": "not run yet"})
    assert found.pairs == ()
    assert found.missing == {
        "d": "not run yet",
        "a and b": "no seed that both have",
        "a and c": "not the same objects",
        "b and c": "no seed that both have",
    }
