"""The network of a run: as it is built, and as it was trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sobench.data.dataset import Dataset
from sobench.data.resize import box_wh
from sobench.errors import CheckpointError, RunError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.suite.sections import Suite
from sobench.training import checkpoint


def build_network(
    run: Run, training: Dataset, device: torch.device, size: tuple[int, int] | None = None
) -> Detector:
    """The network as its training begins.

    Args:
        training: the images that it trains on.
        size: height and width of another input that it is to be tested at; its anchors stay those
            of the suite's input.
    """
    suite = run.suite if size is None else with_input_size(run.suite, size)
    wh = box_wh(training, run.suite.input)
    weights = run.settings["backbone"]["weights"]
    detector = build_detector(suite, run.entry, len(training.classes), run.seed, wh, weights)
    return detector.to(device).to(memory_format=torch.channels_last)


def with_input_size(suite: Suite, size: tuple[int, int]) -> Suite:
    """The suite with another height and width of its input."""
    resized = suite.input.model_copy(update={"size": size})
    return suite.model_copy(update={"input": resized})


def trained_network(run: Run, results: Path, training: Dataset, device: torch.device) -> Detector:
    """The network with the weights of the finished run.

    Raises:
        RunError: the run is not finished, or its weights are gone or damaged.
    """
    detector = build_network(run, training, device)
    detector.load_state_dict(trained_weights(run, results))
    return detector


def trained_weights(run: Run, results: Path) -> dict[str, Tensor]:
    """The state dict of a finished run.

    Raises:
        RunError: the run is not finished, or its weights are gone or damaged.
    """
    folder = RunFolder.of(run, results)
    outcome = record.read(folder.path)
    if outcome is None or not outcome.scores:
        why = f"{outcome.status}: {outcome.reason}" if outcome else "it has not run"
        raise RunError(f"needs {run.name}, which is not done: {why}")
    return stored_weights(folder, outcome, run.name)


def stored_weights(folder: RunFolder, outcome: Record, name: str) -> dict[str, Tensor]:
    """The state dict of a finished run, whose record this is and which messages call ``name``.

    Raises:
        RunError: its weights are gone or damaged.
    """
    problem = f"{folder.path} has no checkpoint of its last step"
    for path in folder.checkpoints_of(outcome.last_step):
        try:
            model: dict[str, Tensor] = checkpoint.load(path)["model"]
        except CheckpointError as error:
            problem = f"{error}; delete that file, and the run is trained anew"
        else:
            return model
    raise RunError(f"needs the weights of {name}: {problem}")
