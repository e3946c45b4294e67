"""The network of a run: as it is built, and as it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sobench.data.dataset import Dataset
from sobench.data.resize import box_wh
from sobench.errors import CheckpointError, RunError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.training import checkpoint


def build(
    run: Run, training: Dataset, device: torch.device, size: tuple[int, int] | None = None
) -> Detector:
    """The network as its training begins.

    Args:
        training: the images that it trains on.
        size: of an input that it is to be tested at instead; its anchors stay those of the suite's.
    """
    classes, sizes = len(training.classes), box_wh(training, run.suite.input)
    suite = run.suite if size is None else with_input_size(run, size).suite
    detector = build_detector(suite, run.entry, classes, run.seed, sizes)
    return detector.to(device).to(memory_format=torch.channels_last)


def with_input_size(run: Run, size: tuple[int, int]) -> Run:
    """The run as if its suite had this input size."""
    resized = run.suite.input.model_copy(update={"size": size})
    return replace(run, suite=run.suite.model_copy(update={"input": resized}))


def trained(run: Run, results: Path, training: Dataset, device: torch.device) -> Detector:
    """The network with the weights that the finished run has left behind.

    Raises:
        RunError: the run is not finished, or its weights are gone.
    """
    detector = build(run, training, device)
    detector.load_state_dict(weights(run, results))
    return detector


def weights(run: Run, results: Path) -> dict[str, Tensor]:
    """The state dict that a finished run has left behind.

    Raises:
        RunError: the run is not finished, or its weights are gone or damaged.
    """
    name, folder = f"{run.entry.label} seed {run.seed}", run.folder(results)
    outcome = record.read(folder)
    if outcome is None or outcome.scored is None:
        why = f"{outcome.status}: {outcome.reason}" if outcome else "it has not run"
        raise RunError(f"needs {name}, which is not done: {why}")
    path = _last_checkpoint(folder, outcome)
    if path is None:
        raise RunError(f"needs the weights of {name}, and {folder} holds none of its last step")
    try:
        model: dict[str, Tensor] = checkpoint.load(path)["model"]
    except CheckpointError as error:
        raise RunError(f"needs the weights of {name}: {error}; delete that file") from None
    return model


def has_weights(run: Run, results: Path, outcome: Record) -> bool:
    """Whether the weights of a finished run are there, to build on or to test."""
    return _last_checkpoint(run.folder(results), outcome) is not None


def _last_checkpoint(folder: Path, outcome: Record) -> Path | None:
    """That of the last step; one of a training that has begun anew is no such thing."""
    last = outcome.history[-1].step if outcome.history else None
    found = (path for path in checkpoint.found(folder) if checkpoint.step_of(path) == last)
    return next(found, None)
