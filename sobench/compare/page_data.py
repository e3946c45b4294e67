"""All that a page about one suite shows, from its results and, where they are at hand, its data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sobench.compare.curves import Curves, curves_by_size, stored_curves
from sobench.compare.found import Found, best_score, matched_rows, same_objects, who_finds_what
from sobench.compare.history import LearningCurve, learning_curves
from sobench.compare.leaderboard import Leaderboard
from sobench.compare.pinned import pinned
from sobench.compare.published_fit import PublishedTable, published_for
from sobench.compare.reasons import runs_by_reason
from sobench.compare.sizes import SizeBin, recall_by_size
from sobench.compare.with_boxes import Matched, WithBoxes, with_boxes
from sobench.metrics.matches import Matches
from sobench.runs.gathered import Results
from sobench.runs.record import Record
from sobench.runs.search import choose_data, search
from sobench.runs.state import States, read_states
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite


@dataclass(frozen=True)
class PageData:
    """One suite.

    Attributes:
        suite: what was asked.
        board: its leaderboard.
        pinned: topic -> what is the same for every row, in words.
        curves: precision over recall.
        learning: label -> learning curve.
        sizes: recall by size; empty without matches.
        found: which objects one row finds and another does not; ``None`` with fewer than two rows
            that have matches over the same objects.
        boxes: what needs the data: kinds of errors, and images.
        published: tables of papers on the same data.
        unmatched: why there is nothing that needs matches, or which rows have none; empty if all
            have.
    """

    suite: Suite
    board: Leaderboard
    pinned: dict[str, str]
    curves: Curves
    learning: dict[str, LearningCurve]
    sizes: tuple[SizeBin, ...] = ()
    found: Found | None = None
    boxes: WithBoxes = field(default_factory=WithBoxes)
    published: tuple[PublishedTable, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The rows, best first."""
        return [str(label) for label in self.board.table["method"]]


def page_data(
    board: Leaderboard, runs: Sequence[Run], results: Results, data: str = ""
) -> PageData:
    """Everything about a plan from the folder of all results.

    What is missing, damaged or not at hand is left out, and said to be so.

    Args:
        board: the leaderboard of the plan.
        runs: of the plan.
        results: folder of all results.
        data: how the fingerprint of the data begins, as for ``leaderboard``.

    Raises:
        RequestError: no state of the data is as asked for, or several have the most results.
    """
    labels = [str(label) for label in board.table["method"]]
    state = runs[0].data or choose_data(search(runs, results), data).data
    states = read_states(runs, results, state)
    suite, protocol = runs[0].suite, PROTOCOLS[runs[0].suite.protocol]
    records = _records(runs, states, labels)
    matched, unmatched = _comparable(labels, *matched_rows(runs, states, results, state))
    scores = {
        label: {seed: best_score(m) for seed, m in of_row.items()}
        for label, of_row in matched.items()
    }
    found = who_finds_what(suite.title or suite.name, protocol, matched, {})
    scored = {
        label: [s for outcome in of_row if (s := outcome.scored_by(suite)) is not None]
        for label, of_row in records.items()
    }
    return PageData(
        suite=suite,
        board=board,
        pinned=_pinned(runs[0], records, board),
        curves={**stored_curves(scored), **curves_by_size(matched, protocol)},
        learning=learning_curves(records),
        sizes=recall_by_size(matched, scores),
        found=found if found.pairs else None,
        boxes=with_boxes(runs, states, results, matched, scores) if matched else WithBoxes(),
        published=tuple(published_for(suite)),
        unmatched=unmatched,
    )


def _records(runs: Sequence[Run], states: States, labels: Sequence[str]) -> dict[str, list[Record]]:
    """Label -> the records with present scores, in the order of ``labels``."""
    records: defaultdict[str, list[Record]] = defaultdict(list)
    for run in runs:
        if (outcome := states[run.settings_id].result) is not None:
            records[run.entry.label].append(outcome)
    return {label: records[label] for label in labels}


def _comparable(
    labels: Sequence[str], matched: Matched, missing: dict[str, str]
) -> tuple[Matched, tuple[str, ...]]:
    """The rows whose runs met the same objects as the best row, best first; why not the others."""
    rows: dict[str, dict[int, Matches]] = {}
    reasons = {
        name: reason for name, reason in missing.items() if name.rpartition(" seed ")[0] in labels
    }
    example = None
    for label in labels:
        for seed, matches in matched.get(label, {}).items():
            example = matches if example is None else example
            if same_objects(example, matches):
                rows.setdefault(label, {})[seed] = matches
            else:
                reasons[f"{label} seed {seed}"] = "not the same objects as the other rows"
    return rows, tuple(runs_by_reason(reasons))


def _pinned(run: Run, records: dict[str, list[Record]], board: Leaderboard) -> dict[str, str]:
    images = next((outcome.images for of_row in records.values() for outcome in of_row), {})
    return pinned(run.suite, images, len(board.per_class.columns) - 1, None)
