"""Detections made elsewhere: stored and scored like those of a run; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

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
from sobench.suite.external import EXTERNAL, ExternalRun, external_run
from sobench.suite.overrides import Request
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def external_runs(request: Request, results: Path, data: str = "") -> list[ExternalRun]:
    """The external runs of a suite on the images that are asked for, by label and seed.

    Raises:
        RequestError: one has the label of a row that the suite has got since.
    """
    found: dict[str, ExternalRun] = {}
    for path in sorted((results / request.suite.name / EXTERNAL).glob("s*-*")):
        content = _identity(path)
        try:
            run = external_run(request, str(content["label"]), int(content["seed"]), data)
        except (KeyError, ValueError):
            continue
        except RequestError as error:
            raise RequestError(f"{path}: {error}, or delete this folder") from None
        # On other images it is another result.
        if run.settings_id == content.get("settings_id"):
            found[run.settings_id] = run
    return sorted(found.values(), key=lambda run: (run.entry.label, run.seed))


def with_external(request: Request, results: Path, data: str = "") -> list[Run]:
    """The runs of a request, and the external runs beside them.

    ``request.methods`` may name external rows by their labels, or all of them by ``external``.

    Raises:
        RequestError: as ``plan``; or an external run has the label of a row of the suite.
    """
    external = external_runs(request, results, data)
    labels = {run.entry.label for run in external} | ({EXTERNAL} if external else set())
    methods = tuple(name for name in request.methods if name not in labels)
    is_external_alone = bool(request.methods) and not methods
    own = [] if is_external_alone else replace(request, methods=methods).runs(data)
    shown = [run for run in external if _is_asked_for(run, request)]
    return [*own, *shown]


def _is_asked_for(run: ExternalRun, request: Request) -> bool:
    names = request.methods or (EXTERNAL,)
    has_seed = not request.seeds or run.seed in request.seeds
    return has_seed and (EXTERNAL in names or run.entry.label in names)


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
        state = read_states([run], results)[run.settings_id]
        if state.record is not None and (state.name == "to score" or state.is_unmatched):
            with suppress(RunLocked, OSError):  # it is done next time
                _score_again(run, results, state.record)
    return read_states(runs, results)


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


def _identity(path: Path) -> dict[str, Any]:
    """What ``run.json`` says; empty if it is gone or damaged."""
    try:
        content = json.loads(RunFolder(path).settings.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


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
