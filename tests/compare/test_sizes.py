from __future__ import annotations

from sobench.compare.found import best_score
from sobench.compare.sizes import recall_by_size
from tests.compare.hand_made import hand_made


def test_shares_of_objects_by_the_root_of_their_area() -> None:
    # Objects of 10, 32, 44.7 and 100 px; a bin begins at its lower end.
    runs = {0: hand_made([(0.9, 0), (0.8, 1)]), 1: hand_made([(0.9, 1)])}
    rows = {"fpn": runs, "ssd": {0: hand_made([(0.9, 3), (0.5, None), (0.4, None), (0.1, 2)])}}
    scores = {k: {s: best_score(m) for s, m in v.items()} for k, v in rows.items()}
    bins = recall_by_size(rows, scores)
    assert [(b.low, b.high, b.objects) for b in bins] == [
        (8.0, 12.0, 1), (32.0, 40.0, 1), (40.0, 48.0, 1), (96.0, 128.0, 1),
    ]  # fmt: skip
    assert [b.recall["fpn"] for b in bins] == [0.5, 1.0, 0.0, 0.0]
    # From the best F1 on, 2/5 against 4/8, the last detection of ssd still counts.
    assert [b.recall["ssd"] for b in bins] == [0.0, 0.0, 1.0, 1.0]
    assert recall_by_size({}, {}) == ()
