"""The training of a run: its data, its network, and what the training loop is given of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from sobench.data.annotations import Split
from sobench.data.check import check_splits
from sobench.data.dataset import Dataset, Images
from sobench.data.pixels import resized_images
from sobench.data.resize import at_double_size
from sobench.device import loader_workers
from sobench.lease import check_held
from sobench.metrics.cost import peak_memory_mb, reset_peak_memory
from sobench.metrics.detections import DetectionTable, tabulate
from sobench.metrics.scoring import score
from sobench.metrics.table import score_metrics
from sobench.models.detector import Detector
from sobench.models.parts.whole_batch import is_first, present_share
from sobench.models.start import Start, load_start, read_weights
from sobench.runs import record
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.detect import detect
from sobench.runs.folder import RunFolder
from sobench.runs.splits import cache_name, check_data_unchanged, load_split
from sobench.runs.weights import build_network, trained_network
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.training.data import TrainingData
from sobench.training.loop import train
from sobench.training.progress import TrainProgress
from sobench.training.stages import stage_schedules
from sobench.training.state import TrainState


@dataclass(frozen=True)
class LoadedSplit:
    """A split, and its images ``[h, w, 3]`` uint8 at the suite's input size."""

    dataset: Dataset
    images: Images


@dataclass(frozen=True)
class Trained:
    """The trained network of a run, and how its training went.

    Attributes:
        start: what became of the classes of weights from outside of the suite, if it has any.
        peak_memory_mb: MiB at most, as of ``metrics.cost.peak_memory_mb``, without images that were
            kept on the device for speed alone.
    """

    detector: Detector
    state: TrainState
    start: Start | None
    peak_memory_mb: float | None


def load_splits(run: Run, callback: ProgressCallback) -> tuple[LoadedSplit, LoadedSplit]:
    """The images that a run trains on, and those that it is scored on.

    Raises:
        DataError: they are missing or broken, or no longer those that the run was planned for.
    """
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


def train_run(
    run: Run,
    results: Path,
    train_split: LoadedSplit,
    val_split: LoadedSplit,
    device: torch.device,
    callback: ProgressCallback,
    checkpoint_seconds: float,
    compiled: bool = False,
) -> Trained:
    """Build the network of a run and train it, or what is left to train, in the run's folder.

    Args:
        compiled: whether the network is compiled for its training.
    """
    folder = RunFolder.of(run, results)
    callback.on_stage("build")
    detector, start = _build(run, results, train_split.dataset, device)
    if start is not None and not start.is_whole:
        callback.warn(f"{run.name}: {start.told}")
    data = _training_data(run, detector, train_split, device, callback)
    schedules = stage_schedules(detector.stages, run.suite.schedule, len(data.images))
    if is_first():
        record.write_settings(run, folder.path, schedules[-1].end)
    callback.on_stage("train")

    def on_step(progress: TrainProgress) -> None:
        check_held(folder.path)  # so that a process that was stopped for long goes no further
        callback.on_step(progress)

    state = train(
        detector, data, run.suite.schedule, folder.path,
        run_id=run.id, seed=run.seed, precision=run.suite.precision,
        log_path=folder.log, score=lambda: _interim_scores(run, detector, val_split),
        on_step=on_step, warn=callback.warn,
        evaluate_every=run.suite.evaluate_every, checkpoint_seconds=checkpoint_seconds,
        compiled=compiled,
    )  # fmt: skip
    peak = peak_memory_mb(device)
    if data.resident_bytes and peak is not None:
        peak -= data.resident_bytes / 2**20
        del data  # which frees them
        reset_peak_memory(device)
    return Trained(detector, state, start, peak)


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
    share = present_share()
    workers = loader_workers(device, share.processes if share else 1)
    return TrainingData(
        split.dataset, split.images, suite.input, suite.augment, images_2x, workers, device
    )


def detect_split(
    run: Run, detector: Detector, split: LoadedSplit, callback: ProgressCallback | None = None
) -> DetectionTable:
    """The detections of a network on all images of a split."""
    rows = detect(
        detector, split.images, split.dataset, run.suite.input,
        batch_size=run.suite.schedule.batch_size, precision=run.suite.precision,
        on_images=callback.on_images if callback else None,
    )  # fmt: skip
    return tabulate(rows, "detections")


def _interim_scores(run: Run, detector: Detector, split: LoadedSplit) -> dict[str, float | None]:
    detections = detect_split(run, detector, split)
    protocol = PROTOCOLS[run.suite.protocol]
    metrics = score(split.dataset, detections, protocol, run.suite.engine).metrics
    return {"ap": metrics[score_metrics(protocol)[0].name], "ap50": metrics.get("AP50")}
