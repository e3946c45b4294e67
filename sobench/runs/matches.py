"""The matches of a run, kept beside its record for everything that resamples; needs no torch."""

from __future__ import annotations

from pathlib import Path

from sobench.data.dataset import Dataset
from sobench.errors import DataError, DiskFull, RunError, reason_of
from sobench.metrics.detections import DetectionTable, read_detections
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import read_matches, write_matches
from sobench.metrics.scoring import match
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.runs.splits import check_data_unchanged, load_split
from sobench.runs.state import has_detections
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

UNMATCHED = "the matches of its detections are missing; `sobench run` makes them, without training"
LOST = (
    "the detections of its record are gone, damaged or replaced, so that they cannot be matched; "
    "bring back detections.json.gz, or delete the run's folder and train it again"
)


def matches_of(run: Run, folder: RunFolder, outcome: Record) -> Matches | None:
    """The matches of a finished run under the suite's protocol.

    Returns:
        ``None`` if they are missing, damaged, or of other detections than the record's.
    """
    try:
        matches = read_matches(folder.matches(PROTOCOLS[run.suite.protocol]))
    except DataError:
        return None
    digest = outcome.digests.get(folder.detections().name)
    return matches if matches.detections == digest else None


def why_unmatched(folder: RunFolder, outcome: Record) -> str:
    """Why a finished run without matches has none, and the way out."""
    return UNMATCHED if has_detections(folder, outcome) else LOST


def keep_matches(
    run: Run, folder: RunFolder, dataset: Dataset, digest: str, callback: ProgressCallback
) -> None:
    """Match the detections of a run, and keep the outcome beside its record.

    The caller holds the run's folder. Scores count without it, and it can always be made from the
    detections, so that an error is only told.

    Args:
        dataset: the split that the detections were made on.
        digest: SHA-256 of their file.
    """
    protocol = PROTOCOLS[run.suite.protocol]
    try:
        table = stored_detections(folder.detections(), digest)
        write_matches(folder.matches(protocol), match(dataset, table, protocol, digest))
    except DiskFull:
        raise
    except Exception as error:
        callback.warn(f"{run.name}: its detections are not matched: {reason_of(error)}")


def match_again(run: Run, results: Path, outcome: Record, callback: ProgressCallback) -> None:
    """The same of a finished run whose matches are gone, damaged or of other detections."""
    # Here, since readers of kept matches do without the formats of data.

    folder = RunFolder.of(run, results)
    try:
        dataset = load_split(run, "val")
        check_data_unchanged(run)
    except DataError as error:
        callback.warn(f"{run.name}: its detections are not matched: {error}")
        return
    keep_matches(run, folder, dataset, outcome.digests[folder.detections().name], callback)


def stored_detections(stored: Path, digest: str) -> DetectionTable:
    """The detections in the file of a run.

    Raises:
        RunError: the file is not the one with this SHA-256.
    """
    try:
        return read_detections(stored, digest)
    except DataError as error:
        raise RunError(str(error)) from None  # which concerns this run only
