"""What a run will cost, from a few real steps of it: seconds, memory, and room on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from statistics import median
from time import perf_counter

import numpy as np
import torch

from sobench.data.dataset import Dataset, Images
from sobench.data.resize import DecodedImages, at_double_size
from sobench.data.subset import part
from sobench.metrics.cost import peak_memory_mb, reset_peak_memory
from sobench.models.detector import Detector
from sobench.models.frozen import cast_frozen, computing_with
from sobench.runs.detect import detect
from sobench.runs.weights import build_network
from sobench.suite.further_tests import further_tests
from sobench.suite.input import Input
from sobench.suite.plan import Run
from sobench.suite.sections import Suite
from sobench.training.data import TrainingData
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from sobench.training.stages import StageSchedule, stage_schedules

STEPS = 3
"""Steps of each stage that are timed, after one that is not; their median counts."""

_DETECTED = 16
"""Images on which detection is timed."""

DETECTION_BYTES = 30
"""Of one stored detection with its match: 25 in the recorded runs of ``deeppcb_mini``."""


@dataclass(frozen=True)
class Estimate:
    """What one run will cost.

    Attributes:
        steps: of all stages.
        step_s: seconds of a step; with several stages their mean, weighted by their steps.
        epoch_s: seconds of an epoch of the training's first stage.
        detect_s: seconds of all detection: of the val images, as often as the suite asks for, and
            at other sizes in proportion to their area.
        memory_mb: peak MiB of the steps and detections that were timed; ``None`` if unknown.
        result_bytes: of what stays: weights, and at most as many detections as the suite keeps.
        checkpoint_bytes: of the two checkpoints that a training holds at a time.
        images_2x: whether the training also reads the images at twice the size.
    """

    steps: int
    step_s: float
    epoch_s: float
    detect_s: float
    memory_mb: float | None
    result_bytes: int
    checkpoint_bytes: int
    images_2x: bool

    @property
    def seconds(self) -> float:
        """Of training and detection."""
        return self.steps * self.step_s + self.detect_s


def estimate(run: Run, training: Dataset, val: Dataset, device: torch.device) -> Estimate:
    """Time a few steps and detections of a run on real images; nothing is written.

    Networks that the run requires have the weights that they begin with, which cost the same.
    Detection is timed of an untrained network, which has less to suppress than a trained one.

    Args:
        training, val: all images of the run.

    Raises:
        DataError: one of the images that are used cannot be read.
    """
    suite = run.suite
    reset_peak_memory(device)
    detector = build_network(run, training, device)
    for role, required in run.requires:
        detector.load_required(role, build_network(required, training, device))
    weights = sum(value.nbytes for value in detector.state_dict().values())

    few = _some(training, 2 * suite.schedule.batch_size)
    schedules = stage_schedules(detector.stages, suite.schedule, len(training.images))
    timed = [_timed_stage(run, detector, few, current) for current in schedules]
    train_s = sum((s.end - s.first) * t.step_s for s, t in zip(schedules, timed, strict=True))
    steps = schedules[-1].end

    image_s = _seconds_of_detection(run, detector, _some(val, _DETECTED))
    stored = len(val.images) * suite.detect.max_detections * DETECTION_BYTES
    return Estimate(
        steps=steps,
        step_s=train_s / steps if steps else 0.0,
        epoch_s=schedules[0].steps_per_epoch * timed[0].step_s,
        detect_s=image_s * len(val.images) * _times_detected(suite, schedules),
        memory_mb=peak_memory_mb(device),
        result_bytes=weights + stored * (1 + len(further_tests(suite))),
        checkpoint_bytes=2 * (weights + max(t.optimizer_bytes for t in timed)),
        images_2x=any(stage.images_2x for stage in detector.stages),
    )


@dataclass(frozen=True)
class _TimedStage:
    """Seconds of a step of a stage, and the bytes that its optimizer keeps."""

    step_s: float
    optimizer_bytes: int


def _timed_stage(
    run: Run, detector: Detector, images: Dataset, current: StageSchedule
) -> _TimedStage:
    if current.first == current.end:
        return _TimedStage(0.0, 0)
    suite, stage = run.suite, current.stage
    detector.start_stage(stage)
    detector.train()
    frozen = cast_frozen(detector, suite.precision)
    optimizer = make_optimizer(detector, current.schedule)
    images_2x = _resized(images, at_double_size(suite.input)) if stage.images_2x else None
    data = TrainingData(
        images, _resized(images, suite.input), suite.input, suite.augment, images_2x
    )
    batches = (
        batch
        for epoch in count()
        for batch in data.batches(stage, suite.schedule.batch_size, run.seed, epoch, 0)
    )
    seconds: list[float] = []
    while len(seconds) <= STEPS:
        begin = perf_counter()
        # A rate of 0 leaves the weights as they are. Reading waits for the end of the step.
        batch = next(batches)
        with computing_with(frozen):
            train_step(
                detector, optimizer, batch, 0.0, suite.schedule.clip_norm, suite.precision
            ).read()
        seconds.append(perf_counter() - begin)
    kept = [value for state in optimizer.state.values() for value in state.values()]
    return _TimedStage(
        median(seconds[1:]), sum(value.nbytes for value in kept if torch.is_tensor(value))
    )


def _seconds_of_detection(run: Run, detector: Detector, images: Dataset) -> float:
    """Seconds for an image, of the second of two rounds."""
    suite, pixels, begin = run.suite, _resized(images, run.suite.input), 0.0
    for _ in range(2):
        begin = perf_counter()
        detect(
            detector, pixels, images, suite.input,
            batch_size=suite.schedule.batch_size, precision=suite.precision,
        )  # fmt: skip
    return (perf_counter() - begin) / len(pixels)


def _times_detected(suite: Suite, schedules: Sequence[StageSchedule]) -> float:
    """How often all val images are looked at, counted in areas of the suite's input."""
    epochs = sum((current.end - current.first) // current.steps_per_epoch for current in schedules)
    interim = epochs // suite.evaluate_every if suite.evaluate_every else 0
    inputs = [
        size
        for test in further_tests(suite)
        for size in test.inputs
        for _ in range(2 if test.flip else 1)
    ]
    return 1 + interim + sum(prod(size) for size in inputs) / prod(suite.input.size)


def _some(dataset: Dataset, number: int) -> Dataset:
    """Up to so many images from all over a split, whose objects are as many as is usual."""
    last = len(dataset.images) - 1
    chosen = {round(index) for index in np.linspace(0, last, min(last + 1, number))}
    return part(dataset, sorted(chosen), "timed")


def _resized(dataset: Dataset, settings: Input) -> Images:
    """The pixels of a few images in memory."""
    decoded = DecodedImages(dataset, settings)
    return [decoded[index] for index in range(len(decoded))]
