"""Detections made elsewhere: stored and scored like those of a run; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sobench.data.dataset import Dataset
from sobench.environment import cpu_name, describe
from sobench.errors import RequestError, RunError, RunLocked
from sobench.files import remove_orphans
from sobench.metrics.detections import DetectionTable, write_detections
from sobench.metrics.matches_file import write_matches
from sobench.metrics.scoring import match, score
from sobench.regular_files import open_regular
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import stored_detections
from sobench.runs.record import Record, Source
from sobench.runs.splits import check_data_unchanged, load_split
from sobench.runs.state import RunState, read_states
from sobench.suite.external import ExternalRun
from sobench.suite.protocols import PROTOCOLS


def store(
    run: ExternalRun,
    results: Path,
    dataset: Dataset,
    table: DetectionTable,
    source: Source,
    is_replacing: bool,
) -> Record:
    """Score detections, and keep them with their matches and their record.

    Args:
        table: of ids that the data set has.
        is_replacing: whether other detections of this label and seed may be given up.

    Raises:
        RequestError: there are other detections of this label and seed.
        RunLocked: another process is writing them.
    """
    folder, protocol = RunFolder.of(run, results), PROTOCOLS[run.suite.protocol]
    scores = score(dataset, table, protocol, run.suite.engine)
    with folder.lock():
        remove_orphans(folder.path)
        earlier = record.read_sound(folder.path)
        if earlier is not None and not is_replacing:
            _check_same(run, earlier, source)
        record.write_settings(run, folder.path, steps=0)
        digest = write_detections(folder.detections(), table)
        write_matches(folder.matches(protocol), match(dataset, table, protocol, digest))
        outcome = Record(
            **record.identity(run),
            status="partial" if run.partial else "ok",
            images={"val": len(dataset.images)},
            skipped={"val": len(dataset.skipped)},
            detections=len(table.scores),
            scores={scores.name: scores},
            digests={folder.detections().name: digest},
            source=source,
            environment=describe(cpu_name(), 0),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        record.write(outcome, folder.path)
    return outcome


def bring_up_to_date(runs: Sequence[ExternalRun], results: Path) -> dict[str, RunState]:
    """Score and match stored detections under the suite's present protocol and engine.

    Returns:
        the states by ``settings_id``; what cannot be scored stays as it is, and its state says why.
    """
    for run in runs:
        state = read_states([run], results, check_matches=True)[run.settings_id]
        if state.record is not None and (state.name == "to score" or state.is_unmatched):
            with suppress(RunLocked, OSError):  # it is done next time
                _score_again(run, results, state.record)
    return read_states(runs, results, check_matches=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files of a folder.

    Raises:
        OSError: a file cannot be read.
    """
    whole = sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if path.is_dir():
            whole.update(f"{len(file.name)}:{file.name}".encode(errors="surrogatepass"))
            if file.is_dir():
                continue
        with open_regular(file) as content:
            while chunk := content.read(2**20):
                whole.update(chunk)
    return whole.hexdigest()


def _check_same(run: ExternalRun, earlier: Record, source: Source) -> None:
    """Refuse to lose other detections."""
    if earlier.source is None or earlier.source.sha256 == source.sha256:
        return
    raise RequestError(
        f"{run.name}: has been scored from {earlier.source.name} on {earlier.finished[:10]}, which "
        "holds other detections; give another --label or --seed, or --replace them"
    )


def _score_again(run: ExternalRun, results: Path, outcome: Record) -> None:
    folder, protocol = RunFolder.of(run, results), PROTOCOLS[run.suite.protocol]
    dataset = load_split(run, "val")
    check_data_unchanged(run)
    digest = outcome.digests.get(folder.detections().name, "")
    with folder.lock():
        try:
            table = stored_detections(folder.detections(), digest)
        except RunError:  # its state says that they are gone or damaged
            return
        scores = score(dataset, table, protocol, run.suite.engine)
        write_matches(folder.matches(protocol), match(dataset, table, protocol, digest))
        update = {"scores": outcome.scores | {scores.name: scores}}
        record.write(outcome.model_copy(update=update), folder.path)
