"""The recorded results of DeepPCB: five rows with three seeds, and their matches."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import read_matches
from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.suite.protocols import PROTOCOLS

RECORDED = Path(__file__).parents[2] / "baselines" / "recorded"


def recorded_rows() -> dict[str, dict[int, tuple[Scores, Matches]]]:
    """Label -> seed -> scores and matches under the protocol ``coco``."""
    rows: defaultdict[str, dict[int, tuple[Scores, Matches]]] = defaultdict(dict)
    for path in sorted((RECORDED / "deeppcb_mini").glob("*/*/record.json")):
        outcome = record.read(path.parent)
        assert outcome is not None
        matches = read_matches(RunFolder(path.parent).matches(PROTOCOLS["coco"]))
        rows[outcome.label][outcome.seed] = (outcome.scores["coco v1 hotcoco"], matches)
    assert {label: sorted(of_row) for label, of_row in rows.items()} == {
        label: [0, 1, 2] for label in ("fpn", "mrae", "pafpn", "ssd", "ta_fpn")
    }
    return dict(rows)
