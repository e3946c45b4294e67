"""One run from its data to its record: the spine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from sobench.data.annotations import Split
from sobench.data.check import check_splits
from sobench.data.dataset import Dataset, Images
from sobench.data.pixels import resized_images
from sobench.data.resize import at_double_size, has_one_canvas
from sobench.device import device_name, loader_workers, pin_kernels
from sobench.environment import describe
from sobench.errors import DiskFull, LeaseLost, RequestError, RunError, reason_of
from sobench.files import remove_orphans
from sobench.lease import check_held
from sobench.metrics.cost import reset_peak_memory
from sobench.metrics.detections import DetectionTable, tabulate, write_detections
from sobench.metrics.scoring import score
from sobench.metrics.table import score_metrics
from sobench.models.compiled import compiles
from sobench.models.detector import Detector
from sobench.models.start import Start, load_start, read_weights
from sobench.runs import record
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.cost import measure_cost
from sobench.runs.detect import detect
from sobench.runs.evaluate import delete_further_detections, run_further_tests, score_stored
from sobench.runs.failures import record_failure
from sobench.runs.folder import RunFolder
from sobench.runs.matches import keep_matches
from sobench.runs.record import Epoch, Record
from sobench.runs.splits import cache_name, check_data_unchanged, load_split
from sobench.runs.weights import build_network, trained_network
from sobench.suite.further_tests import further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.training.checkpoint import keep_newest
from sobench.training.loop import TrainingData, train
from sobench.training.progress import TrainProgress
from sobench.training.stages import stage_schedules


@dataclass(frozen=True)
class LoadedSplit:
    """A split, and its images ``[h, w, 3]`` uint8 at the suite's input size."""

    dataset: Dataset
    images: Images


def execute(
    run: Run,
    results: Path,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float = 60.0,
) -> Record:
    """Train, detect, score and measure one run, and write its record; the caller holds its folder.

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
        splits = _load_splits(run, callback)
        outcome = _finish(run, results, *splits, device, callback, checkpoint_seconds)
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
) -> Record:
    folder = RunFolder.of(run, results)
    compiled = compiles(run.suite.compile, device, run.suite.input)
    kernels = pin_kernels(device, has_one_canvas(run.suite.input))
    if kernels:
        kernels["compiled"] = compiled

    def on_step(progress: TrainProgress) -> None:
        check_held(folder.path)  # so that a process that was stopped for long goes no further
        callback.on_step(progress)

    # Taken now, because a checkout may change under a long training.
    environment = describe(device_name(device), torch.get_num_threads(), kernels)
    callback.on_stage("build")
    detector, start = _build(run, results, train_split.dataset, device)
    if start is not None and not start.is_whole:
        callback.warn(f"{run.name}: {start.told}")
    data = _training_data(run, detector, train_split, device, callback)
    schedules = stage_schedules(detector.stages, run.suite.schedule, len(data.images))
    record.write_settings(run, folder.path, schedules[-1].end)
    callback.on_stage("train")
    state = train(
        detector, data, run.suite.schedule, folder.path,
        run_id=run.id, seed=run.seed, precision=run.suite.precision,
        log_path=folder.log, score=lambda: _interim_scores(run, detector, val_split),
        on_step=on_step, warn=callback.warn,
        evaluate_every=run.suite.evaluate_every, checkpoint_seconds=checkpoint_seconds,
        compiled=compiled,
    )  # fmt: skip
    callback.on_stage("detect")
    detections = _detect(run, detector, val_split, callback)
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
        start=start.told if start else "",
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
            run, results, detector, val_split.images, len(train_split.images), state, callback.warn
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


def _load_splits(run: Run, callback: ProgressCallback) -> tuple[LoadedSplit, LoadedSplit]:
    names: tuple[Split, Split] = ("train", "val")
    check = partial(check_data_unchanged, run)
    splits = []
    for name in names:
        callback.on_stage(f"read {name} images")
        dataset = load_split(run, name)
        images = resized_images(
            dataset, cache_name(run, name), run.data, run.suite.input,
            callback.on_images, callback.warn, check,
        )  # fmt: skip
        splits.append(LoadedSplit(dataset, images))
    check()  # the annotations too
    train_split, val_split = splits
    check_splits(train_split.dataset, val_split.dataset)
    return train_split, val_split


def _build(
    run: Run, results: Path, training: Dataset, device: torch.device
) -> tuple[Detector, Start | None]:
    """The network as its training begins, with all that it takes from the runs that it requires.

    Also what became of the classes of weights from outside of the suite, if it has any.
    """
    detector, start = build_network(run, training, device), None
    if run.origin is not None:
        start = load_start(detector, read_weights(run.origin), training.classes)
    for role, required in run.requires:
        detector.load_required(role, trained_network(required, results, training, device))
    return detector, start


def _training_data(
    run: Run,
    detector: Detector,
    split: LoadedSplit,
    device: torch.device,
    callback: ProgressCallback,
) -> TrainingData:
    """The training images, also at twice the size if a stage of the detector asks for them."""
    suite, images_2x = run.suite, None
    if any(stage.images_2x for stage in detector.stages):
        callback.on_stage("read train images at twice the size")
        settings = at_double_size(suite.input)
        images_2x = resized_images(
            split.dataset, cache_name(run, "train"), run.data, settings,
            callback.on_images, callback.warn, partial(check_data_unchanged, run),
        )  # fmt: skip
    workers = loader_workers(device)
    return TrainingData(split.dataset, split.images, suite.input, suite.augment, images_2x, workers)


def _detect(
    run: Run, detector: Detector, split: LoadedSplit, callback: ProgressCallback | None = None
) -> DetectionTable:
    rows = detect(
        detector, split.images, split.dataset, run.suite.input,
        batch_size=run.suite.schedule.batch_size, precision=run.suite.precision,
        on_images=callback.on_images if callback else None,
    )  # fmt: skip
    return tabulate(rows, "detections")


def _interim_scores(run: Run, detector: Detector, split: LoadedSplit) -> dict[str, float | None]:
    detections = _detect(run, detector, split)
    protocol = PROTOCOLS[run.suite.protocol]
    metrics = score(split.dataset, detections, protocol, run.suite.engine).metrics
    return {"ap": metrics[score_metrics(protocol)[0].name], "ap50": metrics.get("AP50")}
