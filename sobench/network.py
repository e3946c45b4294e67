"""The network of a run: as it is built, and as it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sobench import checkpoint, record
from sobench.data.dataset import Dataset
from sobench.data.resize import box_sizes
from sobench.errors import RunError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.plan import Run


def build(
    run: Run, training: Dataset, device: torch.device, size: tuple[int, int] | None = None
) -> Detector:
    """The network as its training begins.

    Args:
        training: the images that it trains on.
        size: of an input that it is to be tested at instead; its anchors stay those of the suite's.
    """
    classes, sizes = len(training.classes), box_sizes(training, run.suite.input)
    suite = run.suite if size is None else at_size(run, size).suite
    detector = build_detector(suite, run.entry, classes, run.seed, sizes)
    return detector.to(device).to(memory_format=torch.channels_last)


def at_size(run: Run, size: tuple[int, int]) -> Run:
    """The run as if its suite had this input size."""
    resized = run.suite.input.model_copy(update={"size": size})
    return replace(run, suite=run.suite.model_copy(update={"input": resized}))


def trained(run: Run, results: Path, training: Dataset, device: torch.device) -> Detector:
    """The network with the weights that the finished run has left behind.

    Raises:
        RunError: the run is not finished, or its weights are gone.
    """
    outcome = record.read(run.folder(results))
    if outcome is None or outcome.scored is None:
        why = f"{outcome.status}: {outcome.reason}" if outcome else "it has not run"
        raise RunError(f"needs {run.entry.label} seed {run.seed}, which is not done: {why}")
    detector = build(run, training, device)
    detector.load_state_dict(weights(run, results))
    return detector


def weights(run: Run, results: Path) -> dict[str, Tensor]:
    """The state dict in the newest checkpoint of a run.

    Raises:
        RunError: there is none, or none that is sound.
    """
    folder = run.folder(results)
    problems = [f"{folder}: no checkpoint"]
    state = checkpoint.newest(folder, problems.append)
    if state is None:
        raise RunError(
            f"{run.entry.label} seed {run.seed}: {problems[-1]}; delete that folder to train again"
        )
    model: dict[str, Tensor] = state["model"]
    return model


def has_weights(run: Run, results: Path) -> bool:
    """Whether there are weights of a run, to build on or to test."""
    return bool(checkpoint.found(run.folder(results)))
