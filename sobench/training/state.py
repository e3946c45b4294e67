"""The state of a training that is carried through checkpoints, its log and its clock."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from sobench.errors import CheckpointError, Diverged
from sobench.files import named_errors
from sobench.models.detector import Detector
from sobench.models.parts.whole_batch import is_first
from sobench.training import checkpoint

FIRST_STEPS = 20
"""Steps whose losses are kept one by one, to tell whether a training begins as another did."""


@dataclass
class TrainState:
    """How far a training has come; it is saved in the checkpoints.

    Attributes:
        step: steps done.
        epochs: a row for each finished epoch: number, stage, last step, mean losses, mean and
            greatest norm of the gradient before it was clipped, and scores if they were taken.
        sums: of the losses since the epoch began, over ``counted`` steps.
        norm_sum, norm_max: of the gradient's norms over the same steps.
        last: losses of the last step.
        first: the total loss of each of the first steps.
        seconds: spent in training steps, over all sessions.
        log_bytes: length of the log that belongs to these steps.
    """

    step: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    norm_sum: float = 0.0
    norm_max: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    first: list[float] = field(default_factory=list)
    seconds: float = 0.0
    log_bytes: int = 0

    def add_step(self, losses: dict[str, float], grad_norm: float) -> None:
        """Count a step with its losses and the norm of its gradient.

        Raises:
            Diverged: a loss is not finite.
        """
        self.step += 1
        if not all(math.isfinite(value) for value in losses.values()):
            parts = ", ".join(f"{name} {value:g}" for name, value in losses.items())
            raise Diverged(f"the loss is not finite at step {self.step}: {parts}")
        self.counted += 1
        self.last = losses
        # A checkpoint of an earlier version may not have the steps before.
        if len(self.first) == self.step - 1 < FIRST_STEPS:
            self.first.append(losses["total"])
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.norm_sum += grad_norm
        self.norm_max = max(self.norm_max, grad_norm)

    def end_epoch(self, epoch: int, stage: str) -> dict[str, Any]:
        """The row of the epoch that ends here; scores may still be added to it."""
        means = {name: value / self.counted for name, value in self.sums.items()}
        row: dict[str, Any] = {"epoch": epoch, "stage": stage, "step": self.step, "losses": means}
        row["grad_norm"] = finite_or_none(self.norm_sum / self.counted)
        row["grad_norm_max"] = finite_or_none(self.norm_max)
        self.epochs.append(row)
        self.sums, self.counted = {}, 0
        self.norm_sum = self.norm_max = 0.0
        return row


def finite_or_none(value: float) -> float | None:
    """A number as JSON can hold it; the norm of a gradient may overflow where its loss does not."""
    return value if math.isfinite(value) else None


def check_finite(detector: Detector, step: int) -> None:
    """Look through all weights and buffers of the detector, as they are after ``step``.

    Raises:
        Diverged: one is not finite; names the first.
    """
    tensors = detector.state_dict()
    # One copy to the host for all of them.
    finite = torch.stack([torch.isfinite(value).all() for value in tensors.values()]).tolist()
    for name, is_finite in zip(tensors, finite, strict=True):
        if not is_finite:
            raise Diverged(f"weights are not finite after step {step}, first {name}")


def checkpoint_of(
    run_id: str, detector: Detector, optimizer: Optimizer | None, state: TrainState
) -> dict[str, Any]:
    """What a checkpoint holds; ``optimizer`` is ``None`` at the end of a stage."""
    device = detector.mean.device
    return {
        "run": run_id,
        "history": json.dumps(asdict(state)),
        "model": detector.state_dict(),
        "optimizer": optimizer.state_dict() if optimizer else None,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def resume(
    folder: Path, run_id: str, detector: Detector, seed: int, warn: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any] | None]:
    """Load the newest sound checkpoint into the fresh detector; only seed if there is none.

    Returns:
        the state of the training, and that of the optimizer if the checkpoint is within a stage.

    Raises:
        CheckpointError: the checkpoints are of another run.
    """
    content = checkpoint.load_newest(folder, warn)
    torch.manual_seed(seed)
    if content is None:
        return TrainState(), None
    if content["run"] != run_id:
        raise CheckpointError(f"{folder}: holds checkpoints of run {content['run']}; move it away")
    detector.load_state_dict(content["model"])
    torch.set_rng_state(content["random"])
    device = detector.mean.device
    if device.type == "cuda" and content["random_cuda"] is not None:
        torch.cuda.set_rng_state(content["random_cuda"], device)
    return TrainState(**json.loads(content["history"])), content["optimizer"]


class TrainLog:
    """The log of a training, cut back to the lines before the checkpoint that it resumes from.

    Of several processes that share the training only the first one writes it.
    """

    def __init__(self, path: Path, state: TrainState) -> None:
        self.path = path
        self.state = state
        if not is_first():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with named_errors(path), path.open("ab") as file:
            file.truncate(min(state.log_bytes, file.tell()))

    def write(self, **row: Any) -> None:
        """Add a line."""
        if not is_first():
            return
        with named_errors(self.path), self.path.open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            self.state.log_bytes = file.tell()


class TrainClock:
    """Seconds of training, added to those of earlier sessions, and since the last checkpoint."""

    def __init__(self, state: TrainState) -> None:
        self.state = state
        self.before, self.images = state.seconds, 0
        self.started = self.last_saved = time.monotonic()

    def step(self, batch_size: int) -> float:
        """Count a step; returns images a second since this session began."""
        elapsed = time.monotonic() - self.started
        self.state.seconds = self.before + elapsed
        self.images += batch_size
        return self.images / elapsed

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Scoring is not training."""
        began = time.monotonic()
        yield
        self.started += time.monotonic() - began

    def due(self, seconds: float) -> bool:
        """Whether the last checkpoint is so long ago."""
        return time.monotonic() - self.last_saved >= seconds

    def saved(self) -> None:
        """A checkpoint has been written."""
        self.last_saved = time.monotonic()
