"""The costs of a run: of its detector, and of the trainings that led to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from sobench.data.dataset import Images
from sobench.data.resize import on_canvas, typical_shape
from sobench.device import autocast
from sobench.device_use import alone_on
from sobench.metrics.cost import (
    count_gflops,
    count_parameters,
    measure_latency,
    peak_memory_mb,
)
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs.record import Cost
from sobench.suite.method import BASELINE
from sobench.suite.plan import Run, with_required
from sobench.training.state import TrainState

_TIMED = 16
"""Images whose latency is measured."""


def measure_cost(
    run: Run,
    results: Path,
    detector: Detector,
    images: Images,
    trained_on: int,
    state: TrainState,
    warn: Callable[[str], None],
    peaks: Sequence[float | None] = (),
) -> Cost:
    """What the trained detector of a run costs, and what its training has cost.

    Args:
        images: ``[h, w, 3]`` uint8 at the suite's input size, of which some are timed.
        trained_on: number of training images, since a batch holds no more than there are.
        warn: told if the latency is left out.
        peaks: MiB that other processes, or earlier steps of this one, have taken at most.
    """
    device, suite = detector.mean.device, run.suite
    parameters, trainable = count_parameters(detector)
    peak = peak_memory_mb(device)  # before measuring allocates anything
    known = [value for value in (peak, *peaks) if value is not None]
    batch_size = min(suite.schedule.batch_size, trained_on)
    required_s, baseline_s = _required_seconds(run, results, with_required([run])[:-1])
    # Every method has one training: that of its baseline, if it goes on from one.
    one_training_s = state.seconds if baseline_s is None else baseline_s
    return Cost(
        parameters=parameters,
        trainable=trainable,
        gflops=count_gflops(detector, typical_shape(suite.input)),
        latency_ms=latency_of(run, detector, images, warn),
        train_images_s=state.step * batch_size / state.seconds if state.seconds else None,
        train_s=state.seconds,
        required_s=required_s,
        extra_s=None if required_s is None else required_s + state.seconds - one_training_s,
        peak_memory_mb=max(known, default=None),
    )


def latency_of(
    run: Run, detector: Detector, images: Images, warn: Callable[[str], None]
) -> float | None:
    """Milliseconds for an image; ``None`` if others compute on the device, which ``warn`` is told.

    Args:
        images: as in ``measure_cost``; timed at ``typical_shape``, padded or cut off, so that all
            take the same time.
    """
    device = detector.mean.device
    shape = typical_shape(run.suite.input)
    pixels = [on_canvas(images[index], shape) for index in range(min(_TIMED, len(images)))]
    sample = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    with alone_on(device) as others:
        if not others:
            return measure_latency(detector, sample, autocast(run.suite.precision, device))
    warn(
        f"{run.name}: its latency is not measured, since {others}; "
        "`sobench run` with --latency measures it later"
    )
    return None


def _required_seconds(
    run: Run, results: Path, required: Sequence[Run]
) -> tuple[float | None, float | None]:
    """Seconds of training all required runs, and of the baseline among them if there is one.

    The sum is ``None`` if one of them has no record that counts: nobody needed its weights since.
    """
    seconds: dict[str, float | None] = {}
    for other in required:
        outcome = record.read_sound(other.folder(results))
        seconds[other.id] = outcome.cost.train_s if outcome and outcome.cost else None
    known = [value for value in seconds.values() if value is not None]
    baselines = [seconds[other.id] for role, other in run.requires if role == BASELINE]
    total = sum(known) if len(known) == len(seconds) else None
    return total, baselines[0] if baselines else None
