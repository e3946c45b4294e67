"""Scores by other protocols than a suite's, from its stored detections and kept apart from them.

The folder of results is only read. What is computed lies in the cache as a folder of results of its
own: each record with the further scores, and the matches beside it. Needs no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset
from sobench.errors import DataError, RequestError, RunError
from sobench.metrics.matches_file import is_of, write_matches
from sobench.metrics.scores import Scores
from sobench.metrics.scoring import match, score
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, folders_of
from sobench.runs.matches import stored_detections
from sobench.runs.record import Record, scoring_name
from sobench.runs.search import folder_of
from sobench.runs.splits import check_data_unchanged, load_split
from sobench.runs.state import read_states
from sobench.suite.detect import MultiScale
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def with_protocol(run: Run, protocol: str) -> Run:
    """The same run scored by another protocol, without the suite's further tests."""
    changes = {
        "protocol": protocol, "eval_sizes": (), "multi_scale": MultiScale(), "keep_background": (),
    }  # fmt: skip
    return replace(run, suite=run.suite.model_copy(update=changes))


def rescore_apart(
    runs: Sequence[Run], results: Results, data: str, warn: Callable[[str], None]
) -> Path:
    """Score finished runs by their suite's protocol, unless that is done, beside their results.

    Args:
        runs: from ``with_protocol``.
        results: folder of all results, which stays as it is.
        data: fingerprint of the data, for runs that were planned without it.
        warn: told of runs that cannot be scored.

    Returns:
        A folder of results with their records, scores and matches.

    Raises:
        RequestError: the annotations are missing or others than before, or what is computed cannot
            be kept.
    """
    folders = "\n".join(str(folder.resolve()) for folder in folders_of(results))
    place = hashlib.sha256(folders.encode()).hexdigest()[:16]
    apart = cache_folder() / "protocols" / place
    split_of = cache(lambda fingerprint: _val_split(replace(runs[0], data=fingerprint)))
    try:
        for run in runs:
            source = folder_of(run, results, data)
            outcome = read_states([run], results, data)[run.settings_id].record
            if outcome is None:
                continue
            target = RunFolder(folder_of(run, apart, data))
            split = partial(split_of, outcome.data)
            try:
                known = _scores(run, RunFolder(source), outcome, target, split)
            except RunError as error:
                warn(f"{run.name}: not scored by {run.suite.protocol}: {error}")
                known = outcome.scores
            record.write(outcome.model_copy(update={"scores": known}), target.path)
    except OSError as error:
        raise RequestError(
            f"{apart}: scores by another protocol cannot be kept there "
            f"({error.strerror or error}); set SOBENCH_CACHE to a folder with room"
        ) from None
    return apart


def _val_split(run: Run) -> Dataset:
    """The images that runs were scored on, if they are as they were."""
    try:
        dataset = load_split(run, "val")
        check_data_unchanged(run)
    except DataError as error:
        raise RequestError(
            f"--protocol: scores the stored detections anew, for which it needs the data: {error}"
        ) from None
    return dataset


def _scores(
    run: Run,
    source: RunFolder,
    outcome: Record,
    target: RunFolder,
    dataset: Callable[[], Dataset],
) -> dict[str, Scores]:
    """All scores of a finished run by their name, with its matches beside them in ``target``.

    Raises:
        RunError: the detections are not those that were written.
    """
    if not outcome.scores:  # it failed, and its record says why
        return {}
    protocol, name = PROTOCOLS[run.suite.protocol], scoring_name(run.suite)
    stored = source.detections()
    digest = outcome.digests[stored.name]
    before = record.read_sound(target.path)
    earlier = before.scores if before and before.digests == outcome.digests else {}
    known = earlier | outcome.scores
    if name in known and is_of(target.matches(protocol), digest):
        return known
    table = stored_detections(stored, digest)
    target.path.mkdir(parents=True, exist_ok=True)
    write_matches(target.matches(protocol), match(dataset(), table, protocol, digest))
    if name in known:
        return known
    return known | {name: score(dataset(), table, protocol, run.suite.engine)}
