"""The training loop: one, for every method and stage."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from sobench.data.batches import steps_per_epoch, training_batches
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.targets import Batch
from sobench.errors import CheckpointError, Diverged
from sobench.models.detector import Detector, Stage
from sobench.suite.plan import Run
from sobench.suite.sections import Schedule
from sobench.training import checkpoint

LOG_INTERVAL = 10
"""Steps between two lines of ``log.jsonl``."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands: ``step`` of ``steps``, counted over all stages from 1.

    ``stage`` is empty where there is only one.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]
    lr: float
    images_s: float


@dataclass
class TrainState:
    """What a training has left behind so far; it travels in the checkpoints.

    Attributes:
        step: steps done.
        epochs: a row for each finished epoch: its number, last step, mean losses, scores if taken.
        sums: of the losses since the epoch began, over ``counted`` steps.
        last: losses of the last step.
        seconds: spent in training steps, over all sessions.
        log_bytes: length of the log that belongs to these steps.
    """

    step: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    last: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    log_bytes: int = 0


@dataclass(frozen=True)
class StageSchedule:
    """A stage as a run goes through it.

    Attributes:
        schedule: the suite's, shortened to the stage's share.
        first, end: step that it begins with and step that it ends before, counted over all stages.
        per_epoch: steps in an epoch.
    """

    stage: Stage
    schedule: Schedule
    first: int
    end: int
    per_epoch: int


def train(
    run: Run,
    detector: Detector,
    dataset: Dataset,
    images: ImageArray,
    folder: Path,
    device: torch.device,
    *,
    images_2x: ImageArray | None = None,
    score: Callable[[], dict[str, float | None]],
    watch: Callable[[Progress], None],
    warn: Callable[[str], None],
    checkpoint_seconds: float = 60.0,
    workers: int = 0,
) -> TrainState:
    """Train ``detector`` in place, going on from the newest sound checkpoint in ``folder``.

    The weights after the last step are in the last checkpoint. On one CPU with one number of
    threads, an interrupted and resumed training gives bit for bit the weights of one in one piece.

    Args:
        images_2x: the images at twice the size, if a stage of the detector wants them.
        score: called at the end of every ``evaluate_every``-th epoch; returns ``ap`` and ``ap50``.
        watch: called after every step.
        warn: told of damaged checkpoints.

    Raises:
        Diverged: a loss is not finite; the message names the step and the parts.
    """
    schedule = run.suite.schedule
    stages = stage_schedules(detector, schedule, len(images))
    history, saved_optimizer = _resume(run, detector, folder, warn)
    log = _Log(folder / "log.jsonl", history)
    clock = _Clock(history)
    for stage_schedule in stages:
        if history.step >= stage_schedule.end and stage_schedule is not stages[-1]:
            continue
        detector.start_stage(stage_schedule.stage)
        optimizer = make_optimizer(detector, schedule)
        if saved_optimizer is not None:
            optimizer.load_state_dict(saved_optimizer)
            saved_optimizer = None
        while history.step < stage_schedule.end:
            epoch, done = divmod(history.step, stage_schedule.per_epoch)
            batches = training_batches(
                dataset, images, run.suite.input, run.suite.augment, schedule.batch_size,
                run.seed, epoch, start=done, workers=workers,
                images_2x=images_2x if stage_schedule.stage.images_2x else None,
            )  # fmt: skip
            detector.train()
            for batch in batches:
                step = history.step - stage_schedule.first
                rate = learning_rate(stage_schedule.schedule, step, stage_schedule.per_epoch)
                losses = train_step(detector, optimizer, batch, rate, run, device)
                _count(history, losses)
                speed = clock.step(len(batch.images))
                watch(_progress(stages, stage_schedule, history.step, losses, rate, speed))
                if history.step % LOG_INTERVAL == 0 or history.step == stages[-1].end:
                    log.write(step=history.step, epoch=epoch + 1, lr=rate, losses=losses)
                if clock.due(checkpoint_seconds) and history.step % stage_schedule.per_epoch:
                    checkpoint.save(folder, history.step, _state(run, detector, optimizer, history))
                    clock.saved()
            with clock.paused():
                row = _close_epoch(history, epoch + 1, stage_schedule.stage)
                if run.suite.evaluate_every and (epoch + 1) % run.suite.evaluate_every == 0:
                    row |= score()
                log.write(**row)
            last = optimizer if history.step < stage_schedule.end else None
            checkpoint.save(folder, history.step, _state(run, detector, last, history))
            clock.saved()
    return history


def stage_schedules(detector: Detector, schedule: Schedule, images: int) -> list[StageSchedule]:
    """The stages of a training, one after the other; epochs count on over all of them."""
    per_epoch = steps_per_epoch(images, schedule.batch_size)
    found: list[StageSchedule] = []
    for stage in detector.stages:
        epochs = math.ceil(schedule.epochs * stage.share)
        milestones = tuple(m * epochs / schedule.epochs for m in schedule.milestones)
        own = schedule.model_copy(update={"epochs": epochs, "milestones": milestones})
        first = found[-1].end if found else 0
        found.append(StageSchedule(stage, own, first, first + per_epoch * epochs, per_epoch))
    return found


def train_step(
    detector: Detector,
    optimizer: Optimizer,
    batch: Batch,
    rate: float,
    run: Run,
    device: torch.device,
) -> dict[str, float]:
    """One step of gradient descent; returns the loss parts, ``total`` and what was measured."""
    batch = batch.to(device)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    with autocast(run, device):
        parts: dict[str, Tensor] = detector(batch.images, batch.targets, batch.images_2x)
    total = torch.stack(list(parts.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    if run.suite.schedule.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(detector.parameters(), run.suite.schedule.clip_norm)
    optimizer.step()
    noted = parts | {"total": total} | detector.log_vars
    values = torch.stack([value.detach().float() for value in noted.values()]).tolist()
    return dict(zip(noted, values, strict=True))


def autocast(run: Run, device: torch.device) -> torch.autocast:
    """The suite's precision: bfloat16 where operations allow it, or plain float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=run.suite.precision == "bf16")


def make_optimizer(network: nn.Module, schedule: Schedule) -> Optimizer:
    """The suite's optimizer over everything that trains; weight decay on all of it."""
    weights = [p for p in network.parameters() if p.requires_grad]
    if schedule.optimizer == "adamw":
        return AdamW(weights, schedule.lr, weight_decay=schedule.weight_decay, fused=True)
    return SGD(
        weights, schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay, fused=True
    )


def learning_rate(schedule: Schedule, step: int, per_epoch: int) -> float:
    """The rate of a step, counted from 0: warm-up times milestones or cosine."""
    warmup = schedule.warmup
    factor = 1.0
    if step < warmup.steps:
        factor = warmup.start + (1 - warmup.start) * step / warmup.steps
    if schedule.decay == "cosine":
        begin = min(warmup.steps, per_epoch * schedule.epochs - 1)
        done = max(0, step - begin) / (per_epoch * schedule.epochs - begin)
        factor *= 0.5 * (1 + math.cos(math.pi * done))
    else:
        passed = sum(step >= milestone * per_epoch for milestone in schedule.milestones)
        factor *= schedule.gamma**passed
    return schedule.lr * factor


def _count(history: TrainState, losses: dict[str, float]) -> None:
    history.step += 1
    if not all(math.isfinite(value) for value in losses.values()):
        parts = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        raise Diverged(f"the loss is not finite at step {history.step}: {parts}")
    history.counted += 1
    history.last = losses
    for name, value in losses.items():
        history.sums[name] = history.sums.get(name, 0.0) + value


def _progress(
    stages: Sequence[StageSchedule],
    stage_schedule: StageSchedule,
    step: int,
    losses: dict[str, float],
    rate: float,
    speed: float,
) -> Progress:
    epoch, epochs = ((n - 1) // stage_schedule.per_epoch + 1 for n in (step, stages[-1].end))
    name = stage_schedule.stage.name if len(stages) > 1 else ""
    return Progress(name, epoch, epochs, step, stages[-1].end, losses, rate, speed)


def _close_epoch(history: TrainState, epoch: int, stage: Stage) -> dict[str, Any]:
    means = {name: value / history.counted for name, value in history.sums.items()}
    row: dict[str, Any] = {
        "epoch": epoch, "stage": stage.name, "step": history.step, "losses": means,
    }  # fmt: skip
    history.epochs.append(row)
    history.sums, history.counted = {}, 0
    return row


def _state(
    run: Run, detector: Detector, optimizer: Optimizer | None, history: TrainState
) -> dict[str, Any]:
    device = detector.mean.device
    return {
        "run": run.id,
        "history": json.dumps(asdict(history)),
        "model": detector.state_dict(),
        "optimizer": optimizer.state_dict() if optimizer else None,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def _resume(
    run: Run, detector: Detector, folder: Path, warn: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any] | None]:
    """Lay the newest sound checkpoint over the fresh detector; the seed alone if there is none.

    Returns:
        what was done, and the state of the optimizer if the checkpoint stands within a stage.
    """
    state = checkpoint.newest(folder, warn)
    if state is None:
        torch.manual_seed(run.seed)
        return TrainState(), None
    if state["run"] != run.id:
        raise CheckpointError(f"{folder}: holds checkpoints of run {state['run']}; move it away")
    detector.load_state_dict(state["model"])
    torch.manual_seed(run.seed)
    torch.set_rng_state(state["random"])
    device = detector.mean.device
    if device.type == "cuda" and state["random_cuda"] is not None:
        torch.cuda.set_rng_state(state["random_cuda"], device)
    return TrainState(**json.loads(state["history"])), state["optimizer"]


class _Log:
    """``log.jsonl``, cut back to what belongs to the checkpoint that a training goes on from."""

    def __init__(self, path: Path, history: TrainState) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.history = history
        with path.open("ab") as file:
            file.truncate(min(history.log_bytes, file.tell()))

    def write(self, **row: Any) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            self.history.log_bytes = file.tell()


class _Clock:
    """Seconds of training, added to those of earlier sessions, and since the last checkpoint."""

    def __init__(self, history: TrainState) -> None:
        self.history = history
        self.before, self.first = history.seconds, history.step
        self.started = self.last_saved = time.monotonic()

    def step(self, images: int) -> float:
        """A step is done; images a second since this session began."""
        elapsed = time.monotonic() - self.started
        self.history.seconds = self.before + elapsed
        return (self.history.step - self.first) * images / elapsed

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Scoring is no training."""
        began = time.monotonic()
        yield
        self.started += time.monotonic() - began

    def due(self, seconds: float) -> bool:
        """Whether the last checkpoint is so long ago."""
        return time.monotonic() - self.last_saved >= seconds

    def saved(self) -> None:
        """A checkpoint has been written."""
        self.last_saved = time.monotonic()
