"""One run from its data to its record: the spine."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import torch

from sobench.data.resize import has_one_canvas
from sobench.device import device_name, pin_kernels
from sobench.environment import describe
from sobench.errors import DiskFull, LeaseLost, RequestError, RunError, reason_of
from sobench.files import remove_orphans
from sobench.lease import check_held
from sobench.metrics.cost import reset_peak_memory
from sobench.metrics.detections import write_detections
from sobench.models.compiled import compiles
from sobench.runs import record
from sobench.runs.callbacks import ProgressCallback, WhileHeld
from sobench.runs.cost import measure_cost
from sobench.runs.evaluate import delete_further_detections, run_further_tests, score_stored
from sobench.runs.failures import record_failure
from sobench.runs.folder import RunFolder
from sobench.runs.matches import keep_matches
from sobench.runs.processes import backend_of, threads_of, train_in_processes
from sobench.runs.record import Epoch, Record
from sobench.runs.splits import check_data_unchanged, load_split
from sobench.runs.train import LoadedSplit, detect_split, load_splits, train_run
from sobench.suite.further_tests import further_tests
from sobench.suite.plan import Run
from sobench.training.checkpoint import keep_newest


def execute(
    run: Run,
    results: Path,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float = 60.0,
    processes: int = 1,
) -> Record:
    """Train, detect, score and measure one run, and write its record; the caller holds its folder.

    With several ``processes`` these share the training; this one does all the rest.

    An error in a run becomes a record with the reason, and ``error.txt`` in its folder holds the
    traceback; the other runs are not affected.

    Raises:
        RequestError: the data cannot be read, which concerns every run.
        DiskFull: of which no run could leave a record.
        LeaseLost: another process took the folder over, because this one was stopped for long.
    """
    folder = RunFolder.of(run, results)
    reset_peak_memory(device)
    splits = None
    try:
        if folder.record.is_dir():  # told now, not when the training is done
            raise RunError(f"{folder.record}: is a folder, not a record; move it away")
        splits = load_splits(run, callback)
        outcome = _finish(run, results, *splits, device, callback, checkpoint_seconds, processes)
        record.write(outcome, folder.path)
    except (KeyboardInterrupt, DiskFull, LeaseLost):
        raise
    except BaseException as error:  # also what other people's code may leave with
        if splits is None and isinstance(error, RequestError):
            raise
        return record_failure(run, results, device, callback, error)
    tidy(folder)
    return _with_further_tests(run, results, outcome, device, callback)


def rescore(
    run: Run, results: Path, outcome: Record, device: torch.device, callback: ProgressCallback
) -> Record:
    """The record of a finished run under the suite's present protocol, engine and further tests.

    The caller holds the run's folder. After an error the record stays as it is, and what is
    returned says why.
    """
    folder = RunFolder.of(run, results)
    try:
        if outcome.scored_by(run.suite) is None:
            dataset = load_split(run, "val")
            check_data_unchanged(run)
            stored = folder.detections()
            digest = outcome.digests[stored.name]
            scores = score_stored(run, dataset, stored, digest)
            keep_matches(run, folder, dataset, digest, callback)
            outcome = outcome.model_copy(update={"scores": outcome.scores | scores})
            record.write(outcome, folder.path)
    except (KeyboardInterrupt, DiskFull, LeaseLost):
        raise
    except BaseException as error:
        return record_failure(run, results, device, callback, error)
    tidy(folder)
    return _with_further_tests(run, results, outcome, device, callback)


def tidy(folder: RunFolder) -> None:
    """Delete what a finished run does not need.

    That is checkpoints but its weights, an old traceback, and what killed processes half wrote.
    """
    with suppress(OSError):  # which harms nothing, and the next command tries again
        remove_orphans(folder.path)
        keep_newest(folder.path)
        folder.error.unlink(missing_ok=True)


def _finish(
    run: Run,
    results: Path,
    train_split: LoadedSplit,
    val_split: LoadedSplit,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float,
    processes: int,
) -> Record:
    folder = RunFolder.of(run, results)
    told = WhileHeld(callback, folder.path)
    # Batch normalisation that processes share has not been tried in a compiled network.
    compiled = processes == 1 and compiles(run.suite.compile, device, run.suite.input)
    kernels = pin_kernels(device, has_one_canvas(run.suite.input))
    if kernels:
        kernels["compiled"] = compiled

    # Taken now, because a checkout may change under a long training.
    threads, backend = threads_of(device, processes), backend_of(device, processes)
    environment = describe(device_name(device), threads, kernels, processes, backend)
    peaks: list[float | None] = []
    if processes > 1:
        peaks.append(train_in_processes(run, results, device, processes, told, checkpoint_seconds))
    # What other processes have trained, this one takes from their last checkpoint.
    trained = train_run(
        run, results, train_split, val_split, device, told, checkpoint_seconds, compiled
    )
    detector, state = trained.detector, trained.state
    peaks.append(trained.peak_memory_mb)
    callback.on_stage("detect")
    detections = detect_split(run, detector, val_split, callback)
    stored = folder.detections()
    check_held(folder.path)
    digests = {stored.name: write_detections(stored, detections)}
    # Of the same weights, if they detect the same: all that was scored of them still holds.
    earlier = record.read_sound(folder.path)
    if earlier is not None and earlier.digests.get(stored.name) != digests[stored.name]:
        earlier = None
    if earlier is None:
        delete_further_detections(folder)
    # Scored from the file, so that scoring it again later gives the same numbers.
    callback.on_stage("score")
    scores = score_stored(run, val_split.dataset, stored, digests[stored.name])
    keep_matches(run, folder, val_split.dataset, digests[stored.name], callback)
    callback.on_stage("measure cost")
    return Record(
        **record.identity(run),
        status="partial" if run.partial else "ok",
        reason="; ".join(run.partial),
        start=trained.start.told if trained.start else "",
        images={"train": len(train_split.images), "val": len(val_split.images)},
        skipped={"train": len(train_split.dataset.skipped), "val": len(val_split.dataset.skipped)},
        detections=len(detections.scores),
        last_loss=state.last,
        first_losses=tuple(state.first),
        history=tuple(Epoch.model_validate(row) for row in state.epochs),
        scores=earlier.scores | scores if earlier else scores,
        sizes=earlier.sizes if earlier else {},
        digests=earlier.digests if earlier else digests,
        cost=measure_cost(
            run,
            results,
            detector,
            val_split.images,
            len(train_split.images),
            state,
            callback.warn,
            peaks,
        ),
        environment=environment,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _with_further_tests(
    run: Run, results: Path, outcome: Record, device: torch.device, callback: ProgressCallback
) -> Record:
    """The record with scores of the suite's further tests; an error there leaves it as it is."""
    if not further_tests(run.suite):
        return outcome
    callback.on_stage("test on other inputs")
    try:
        for tested in run_further_tests(run, results, outcome, device, callback):
            record.write(tested, run.folder(results))
            outcome = tested
    except (KeyboardInterrupt, DiskFull, LeaseLost):
        raise
    except BaseException as error:
        callback.warn(f"{run.name}: not all further tests are done: {reason_of(error)}")
    return outcome
