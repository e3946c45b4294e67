"""One run from its data to its record: the spine."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from sobench.data.annotations import Split
from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.load import load
from sobench.data.resize import at_double_size, input_shape
from sobench.device import autocast, device_name, loader_workers
from sobench.environment import describe
from sobench.errors import DataError, Diverged, RequestError, RunLocked, SobenchError
from sobench.files import write_atomic
from sobench.metrics import coco
from sobench.metrics.cost import (
    count_gflops,
    count_parameters,
    measure_latency,
    peak_memory_mb,
    reset_peak_memory,
)
from sobench.metrics.detections import DetectionRow, write_rows
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.detect import detect
from sobench.runs.evaluate import delete_size_detections, score_sizes, score_stored
from sobench.runs.folder import RunFolder
from sobench.runs.record import Cost, Epoch, Record
from sobench.runs.weights import build_network, trained_network
from sobench.suite.plan import Run, with_required
from sobench.suite.protocols import PROTOCOLS
from sobench.training.checkpoint import keep_newest
from sobench.training.loop import TrainingData, train
from sobench.training.state import TrainState


@dataclass(frozen=True)
class LoadedSplit:
    """A split, and its images ``[N, H, W, 3]`` uint8 at the suite's input size."""

    dataset: Dataset
    images: ImageArray


def execute(
    run: Run,
    results: Path,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float = 60.0,
) -> Record:
    """Train, detect, score and measure one run, and write its record.

    An error in a run becomes a record with the reason, and ``error.txt`` in its folder holds the
    traceback; the other runs are not affected.

    Raises:
        RequestError: the data or the suite is wrong, which concerns every run.
    """
    folder = RunFolder.of(run, results)
    try:
        outcome = _finish(run, results, device, callback, checkpoint_seconds)
    except RequestError:
        raise
    except RunLocked as error:
        return _failed(run, device, error)  # the other process writes the record
    except Exception as error:
        write_atomic(folder.error, traceback.format_exc().encode())
        outcome = _failed(run, device, error)
        earlier = record.read_sound(folder.path)
        if earlier is not None and earlier.scores:
            return outcome  # an earlier result, with other weights, still counts
    record.write(outcome, folder.path)
    if not outcome.scores:
        return outcome
    keep_newest(folder.path)
    return _with_sizes(run, results, outcome, device, callback)


def rescore(
    run: Run, results: Path, outcome: Record, device: torch.device, callback: ProgressCallback
) -> Record:
    """The record of a finished run under the suite's present protocol, engine and sizes."""
    if outcome.scored_by(run.suite) is None:
        folder = RunFolder.of(run, results)
        dataset = load(run.suite.dataset, "val").first(run.limit)
        stored = folder.detections()
        scores = score_stored(run, dataset, stored, outcome.digests[stored.name])
        outcome = outcome.model_copy(update={"scores": outcome.scores | scores})
        record.write(outcome, folder.path)
    return _with_sizes(run, results, outcome, device, callback)


def _finish(
    run: Run,
    results: Path,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float,
) -> Record:
    folder = RunFolder.of(run, results)
    reset_peak_memory(device)
    # Taken now, because a checkout may change under a long training.
    environment = describe(device_name(device), torch.get_num_threads())
    train_split, val_split = _load_splits(run, callback)
    callback.on_stage("build")
    detector = _build(run, results, train_split.dataset, device)
    data = _training_data(run, detector, train_split, device, callback)
    # Held until the detections are written, since a second process would write the same files.
    with folder.lock():
        record.write_settings(run, folder.path)
        callback.on_stage("train")
        state = train(
            detector, data, run.suite.schedule, folder.path,
            run_id=run.id, seed=run.seed, precision=run.suite.precision,
            log_path=folder.log, score=lambda: _interim_scores(run, detector, val_split),
            on_step=callback.on_step, warn=callback.warn,
            evaluate_every=run.suite.evaluate_every, checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
        callback.on_stage("detect")
        detections = _detect(run, detector, val_split, callback)
        stored = folder.detections()
        digest = write_rows(stored, detections)
        delete_size_detections(folder)
    # Scored from the file, so that scoring it again later gives the same numbers.
    callback.on_stage("score")
    scores = score_stored(run, val_split.dataset, stored, digest)
    callback.on_stage("measure cost")
    return Record(
        **record.identity(run),
        status="partial" if run.partial else "ok",
        reason="; ".join(run.partial),
        images={"train": len(train_split.images), "val": len(val_split.images)},
        skipped={"train": len(train_split.dataset.skipped), "val": len(val_split.dataset.skipped)},
        detections=len(detections),
        last_loss=state.last,
        history=tuple(Epoch.model_validate(row) for row in state.epochs),
        scores=scores,
        digests={stored.name: digest},
        cost=_cost(run, results, detector, val_split, state),
        environment=environment,
        finished=_now(),
    )


def _with_sizes(
    run: Run, results: Path, outcome: Record, device: torch.device, callback: ProgressCallback
) -> Record:
    """The record with scores at the suite's further sizes; an error there is only a warning."""
    if not run.suite.eval_sizes:
        return outcome
    callback.on_stage("test at other sizes")
    try:
        for tested in score_sizes(run, results, outcome, device, callback.on_images):
            record.write(tested, run.folder(results))
            outcome = tested
    except RequestError:
        raise
    except Exception as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        callback.warn(f"{run.entry.label} seed {run.seed}: not tested at all of eval_sizes: {why}")
    return outcome


def _load_splits(run: Run, callback: ProgressCallback) -> tuple[LoadedSplit, LoadedSplit]:
    names: tuple[Split, Split] = ("train", "val")
    splits = []
    for name in names:
        callback.on_stage(f"read {name} images")
        dataset = load(run.suite.dataset, name).first(run.limit)
        images = cached_images(dataset, name, run.data, run.suite.input, callback.on_images)
        splits.append(LoadedSplit(dataset, images))
    train_split, val_split = splits
    if train_split.dataset.classes != val_split.dataset.classes:
        raise DataError(
            f"{run.suite.name}: the classes of train and val differ: "
            f"{', '.join(train_split.dataset.classes)} against "
            f"{', '.join(val_split.dataset.classes)}; annotate both with one list"
        )
    return train_split, val_split


def _build(run: Run, results: Path, training: Dataset, device: torch.device) -> Detector:
    """The network as its training begins, with all that it takes from the runs that it requires."""
    detector = build_network(run, training, device)
    for role, required in run.requires:
        detector.load_required(role, trained_network(required, results, training, device))
    return detector


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
        images_2x = cached_images(split.dataset, "train", run.data, settings, callback.on_images)
    workers = loader_workers(device)
    return TrainingData(split.dataset, split.images, suite.input, suite.augment, images_2x, workers)


def _detect(
    run: Run, detector: Detector, split: LoadedSplit, callback: ProgressCallback | None = None
) -> list[DetectionRow]:
    return detect(
        detector, split.images, split.dataset, run.suite.input,
        batch_size=run.suite.schedule.batch_size, precision=run.suite.precision,
        on_images=callback.on_images if callback else None,
    )  # fmt: skip


def _interim_scores(run: Run, detector: Detector, split: LoadedSplit) -> dict[str, float | None]:
    detections = _detect(run, detector, split)
    protocol = PROTOCOLS[run.suite.protocol]
    metrics = coco.score(split.dataset, detections, protocol, run.suite.engine).metrics
    return {"ap": metrics["AP"], "ap50": metrics["AP50"]}


def _cost(
    run: Run, results: Path, detector: Detector, split: LoadedSplit, state: TrainState
) -> Cost:
    device, suite = detector.mean.device, run.suite
    parameters, trainable = count_parameters(detector)
    peak = peak_memory_mb(device)  # before measuring allocates anything
    sample = torch.from_numpy(split.images[:16].copy()).permute(0, 3, 1, 2)
    batch_size = min(suite.schedule.batch_size, split.images.shape[0])
    required_s, baseline_s = _required_seconds(run, results, with_required([run])[:-1])
    # Every method has one training: that of its baseline, if it goes on from one.
    one_training_s = state.seconds if baseline_s is None else baseline_s
    return Cost(
        parameters=parameters,
        trainable=trainable,
        gflops=count_gflops(detector, input_shape(suite.input)),
        latency_ms=measure_latency(detector, sample, autocast(suite.precision, device)),
        train_images_s=state.step * batch_size / state.seconds if state.seconds else None,
        train_s=state.seconds,
        required_s=required_s,
        extra_s=required_s + state.seconds - one_training_s,
        peak_memory_mb=peak,
    )


def _required_seconds(
    run: Run, results: Path, required: Sequence[Run]
) -> tuple[float, float | None]:
    """Seconds of training all required runs, and of the baseline among them if there is one."""
    seconds = {}
    for other in required:
        outcome = record.read_sound(other.folder(results))
        cost = outcome.cost if outcome else None
        seconds[other.id] = (cost.train_s or 0.0) if cost else 0.0
    baselines = [seconds[other.id] for role, other in run.requires if role == "baseline"]
    return sum(seconds.values()), baselines[0] if baselines else None


def _failed(run: Run, device: torch.device, error: Exception) -> Record:
    text = str(error).strip().splitlines()
    reason = text[0] if text else type(error).__name__
    if not isinstance(error, SobenchError):
        reason = f"{reason} (the traceback is in error.txt of the run's folder)"
    return Record(
        **record.identity(run),
        status="diverged" if isinstance(error, Diverged) else "failed",
        reason=reason,
        environment=describe(device_name(device), torch.get_num_threads()),
        finished=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
