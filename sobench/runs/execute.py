"""One run from its data to its record: the spine."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import torch

from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.load import load
from sobench.data.resize import at_double_size, input_shape
from sobench.environment import cpu_name, describe
from sobench.errors import DataError, Diverged, RequestError, RunLocked, SobenchError
from sobench.files import locked, write_atomic
from sobench.metrics import coco as detection
from sobench.metrics.cost import (
    count_gflops,
    count_parameters,
    measure_latency,
    peak_memory_mb,
    reset_peak_memory,
)
from sobench.metrics.detections import write_rows
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs import weights as network
from sobench.runs.detect import detect
from sobench.runs.evaluate import delete_size_detections, detections_file, score_sizes, score_stored
from sobench.runs.record import Cost, Epoch, Record
from sobench.suite.plan import Run, with_required
from sobench.suite.protocols import PROTOCOLS
from sobench.training import checkpoint
from sobench.training.loop import Progress, TrainState, autocast, train


class ProgressCallback(Protocol):
    """Who wants to know how a run is getting on."""

    def stage(self, text: str) -> None:
        """The run has come to another part of its work."""

    def step(self, progress: Progress) -> None:
        """A training step is done."""

    def images(self, done: int, total: int) -> None:
        """Images are done, in a stage that counts them."""

    def warn(self, message: str) -> None:
        """Something that the user should know, though the run goes on."""


@dataclass(frozen=True)
class Split:
    """A split and its pixels at the suite's input size."""

    dataset: Dataset
    images: ImageArray


def execute(
    run: Run,
    results: Path,
    device: torch.device,
    watch: ProgressCallback,
    checkpoint_seconds: float = 60.0,
) -> Record:
    """Train, detect, score and measure one run, and write its record.

    What goes wrong in a run becomes a record with the reason, and ``error.txt`` in its folder holds
    the traceback; the other runs are not touched by it.

    Raises:
        RequestError: the data or the suite is wrong, which concerns every run.
    """
    folder = run.folder(results)
    try:
        outcome = _finish(run, results, device, watch, checkpoint_seconds)
    except RequestError:
        raise
    except RunLocked as error:
        return _failed(run, device, error)  # the other process writes the record
    except Exception as error:
        write_atomic(folder / "error.txt", traceback.format_exc().encode())
        outcome = _failed(run, device, error)
        before = record.read(folder)
        if before is not None and before.scored is not None:
            return outcome  # what was reached before, with other weights, still counts
    record.write(outcome, folder)
    if outcome.scored is None:
        return outcome
    checkpoint.keep_newest(folder)
    return _with_sizes(run, results, outcome, device, watch)


def _finish(
    run: Run,
    results: Path,
    device: torch.device,
    watch: ProgressCallback,
    checkpoint_seconds: float,
) -> Record:
    folder = run.folder(results)
    reset_peak_memory(device)
    # Taken now: a checkout may change under a long training.
    environment = describe(device_name(device), torch.get_num_threads())
    train_split, val_split = _splits(run, watch)
    watch.stage("build")
    detector = network.build(run, train_split.dataset, device)
    for role, required in run.requires:
        detector.load_required(
            role, network.trained(required, results, train_split.dataset, device)
        )
    images_2x = _images_2x(run, detector, train_split.dataset, watch)
    with locked(folder):
        record.write_run(run, folder)
        watch.stage("train")
        history = train(
            run, detector, train_split.dataset, train_split.images, folder, device,
            images_2x=images_2x,
            score=lambda: _interim(run, detector, val_split, device),
            watch=watch.step, warn=watch.warn,
            checkpoint_seconds=checkpoint_seconds, workers=_workers(device),
        )  # fmt: skip
    watch.stage("detect")
    found = detect(run, detector, val_split.dataset, val_split.images, device, watch.images)
    stored = detections_file(run, results)
    write_rows(stored, found)
    delete_size_detections(run, results)
    watch.stage("score")
    scored = score_stored(run, val_split.dataset, stored)
    watch.stage("measure cost")
    return Record(
        **record.identity(run),
        status="partial" if run.partial else "ok",
        reason="; ".join(run.partial),
        images={"train": len(train_split.images), "val": len(val_split.images)},
        skipped={"train": len(train_split.dataset.skipped), "val": len(val_split.dataset.skipped)},
        detections=len(found),
        last_loss=history.last,
        history=tuple(Epoch.model_validate(row) for row in history.epochs),
        scored=scored,
        cost=_cost(run, results, detector, val_split, device, history),
        environment=environment,
        finished=_now(),
    )


def rescore(
    run: Run, results: Path, old: Record, device: torch.device, watch: ProgressCallback
) -> Record:
    """The record of a finished run under the suite's present protocol, engine and sizes."""
    dataset = load(run.suite.dataset, "val").first(run.limit)
    scored = score_stored(run, dataset, detections_file(run, results))
    outcome = old.model_copy(update={"scored": scored})
    record.write(outcome, run.folder(results))
    return _with_sizes(run, results, outcome, device, watch)


def _with_sizes(
    run: Run, results: Path, outcome: Record, device: torch.device, watch: ProgressCallback
) -> Record:
    """The record with scores at the suite's further sizes; what goes wrong there only warns."""
    if not run.suite.eval_sizes:
        return outcome
    watch.stage("test at other sizes")
    try:
        sizes = score_sizes(run, results, outcome, device, watch.images)
    except RequestError:
        raise
    except Exception as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        watch.warn(f"{run.entry.label} seed {run.seed}: not tested at all of eval_sizes: {why}")
        return outcome
    outcome = outcome.model_copy(update={"sizes": sizes})
    record.write(outcome, run.folder(results))
    return outcome


def choose_device(wanted: str) -> torch.device:
    """The device of a suite or of ``--device``.

    Raises:
        RequestError: CUDA is asked for and not there; names the way out.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise RequestError("device: cuda is asked for, but torch sees no CUDA device here; "
                           "write --device cpu, or see `sobench doctor`")  # fmt: skip
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def warn_of_precision(precision: str, device: torch.device, warn: Callable[[str], None]) -> None:
    """Say so where bfloat16 is asked of a processor that has to emulate it."""
    if precision == "bf16" and device.type == "cpu" and not has_bf16():
        warn(
            "precision: bf16 is emulated on this processor, ten times slower than fp32; "
            "--set precision=fp32 is quicker (and marks the result as partial)"
        )


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware."""
    mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def device_name(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def _splits(run: Run, watch: ProgressCallback) -> tuple[Split, Split]:
    splits = []
    names: tuple[Literal["train"], Literal["val"]] = ("train", "val")
    for name in names:
        watch.stage(f"read {name} images")
        dataset = load(run.suite.dataset, name).first(run.limit)
        images = cached_images(dataset, name, run.data, run.suite.input, watch.images)
        splits.append(Split(dataset, images))
    train_split, val_split = splits
    if train_split.dataset.classes != val_split.dataset.classes:
        raise DataError(
            f"{run.suite.name}: the classes of train and val differ: "
            f"{', '.join(train_split.dataset.classes)} against "
            f"{', '.join(val_split.dataset.classes)}; annotate both with one list"
        )
    return train_split, val_split


def _images_2x(
    run: Run, detector: Detector, dataset: Dataset, watch: ProgressCallback
) -> ImageArray | None:
    """The training images at twice the size, if a stage of the detector wants them."""
    if not any(stage.images_2x for stage in detector.stages):
        return None
    watch.stage("read train images at twice the size")
    return cached_images(dataset, "train", run.data, at_double_size(run.suite.input), watch.images)


def _interim(
    run: Run, detector: Detector, split: Split, device: torch.device
) -> dict[str, float | None]:
    rows = detect(run, detector, split.dataset, split.images, device)
    protocol = PROTOCOLS[run.suite.protocol]
    metrics = detection.score(split.dataset, rows, protocol, run.suite.engine).metrics
    return {"ap": metrics["AP"], "ap50": metrics["AP50"]}


def _cost(
    run: Run,
    results: Path,
    detector: Detector,
    split: Split,
    device: torch.device,
    history: TrainState,
) -> Cost:
    parameters, trainable = count_parameters(detector)
    peak = peak_memory_mb(device)
    sample = torch.from_numpy(split.images[:16].copy()).permute(0, 3, 1, 2)
    batch = min(run.suite.schedule.batch_size, split.images.shape[0])
    before = {r.id: _training_seconds(r, results) for r in with_required([run])[:-1]}
    # One training is what every method has: a baseline's, where a method goes on from it.
    baselines = [before[required.id] for role, required in run.requires if role == "baseline"]
    one = baselines[0] if baselines else history.seconds
    return Cost(
        parameters=parameters,
        trainable=trainable,
        gflops=count_gflops(detector, input_shape(run.suite.input)),
        latency_ms=measure_latency(detector, sample, autocast(run, device)),
        train_images_s=history.step * batch / history.seconds if history.seconds else None,
        train_s=history.seconds,
        required_s=sum(before.values()),
        extra_s=sum(before.values()) + history.seconds - one,
        peak_memory_mb=peak,
    )


def _training_seconds(run: Run, results: Path) -> float:
    outcome = record.read(run.folder(results))
    return (outcome.cost.train_s or 0.0) if outcome and outcome.cost else 0.0


def _failed(run: Run, device: torch.device, error: Exception) -> Record:
    text = str(error).strip().splitlines()
    reason = text[0] if text else type(error).__name__
    known = isinstance(error, SobenchError)
    return Record(
        **record.identity(run),
        status="diverged" if isinstance(error, Diverged) else "failed",
        reason=reason if known else f"{reason} (the traceback is in error.txt of the run's folder)",
        environment=describe(device_name(device), torch.get_num_threads()),
        finished=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _workers(device: torch.device) -> int:
    """Loader processes: none beside a CPU that trains, since they would take its cores."""
    return min(8, os.cpu_count() or 1) if device.type == "cuda" else 0
