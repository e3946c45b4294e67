"""The training loop: one, for every method and stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from sobench.data.targets import Batch
from sobench.device import autocast
from sobench.models.compiled import compiled_parts, using
from sobench.models.detector import Detector
from sobench.models.frozen import cast_frozen, computing_with
from sobench.models.parts.shared_norm import share_norms
from sobench.models.parts.whole_batch import is_first, present_share
from sobench.suite.schedule import Schedule
from sobench.training.checkpoint_writer import CheckpointWriter
from sobench.training.data import TrainingData
from sobench.training.optimizer import learning_rate, make_optimizer
from sobench.training.outcome import StepOutcome, send
from sobench.training.processes import add_up, check_alike
from sobench.training.progress import TrainProgress
from sobench.training.stages import StageSchedule, stage_schedules
from sobench.training.state import (
    TrainClock,
    TrainLog,
    TrainState,
    check_finite,
    checkpoint_of,
    finite_or_none,
    resume,
)

LOG_INTERVAL = 10
"""Steps between two lines of the log."""


def steps_late(device: torch.device) -> int:
    """How many steps later the losses of a step are read.

    A GPU that works on a step can be given the next one meanwhile, unless the host waits for what
    the step told. A CPU has nothing else to do.
    """
    return 1 if device.type == "cuda" else 0


def train(
    detector: Detector,
    data: TrainingData,
    schedule: Schedule,
    folder: Path,
    *,
    run_id: str,
    seed: int,
    precision: str,
    log_path: Path,
    score: Callable[[], dict[str, float | None]],
    on_step: Callable[[TrainProgress], None],
    warn: Callable[[str], None],
    evaluate_every: int = 0,
    checkpoint_seconds: float = 60.0,
    compiled: bool = False,
) -> TrainState:
    """Train ``detector`` in place, resuming from the newest sound checkpoint in ``folder``.

    Within ``sharing`` this is one of several processes, each with its share of every batch, and
    the training is that of one process up to the rounding of sums.

    The last checkpoint holds the weights after the last step. On one CPU with one number of
    threads, an interrupted and resumed training gives bit for bit the weights of one that was not
    interrupted.

    Args:
        folder: where checkpoints are written.
        run_id: stamped on the checkpoints; those of another run are refused.
        seed: of the order of images, their augmentation and the training's random numbers.
        precision: ``fp32`` or ``bf16``.
        log_path: a JSON line for every few steps and for every epoch, with losses and the norm of
            the gradient before it is clipped.
        score: called at the end of every ``evaluate_every``-th epoch (0: never); returns ``ap`` and
            ``ap50``.
        on_step: called after every step.
        warn: told of damaged checkpoints.
        compiled: whether the network is compiled; scores are of the plain one.

    Raises:
        Diverged: a loss is not finite, or a weight at the end of an epoch; the message names the
            step and the parts, or the weight.
        CheckpointError: the folder holds checkpoints of another run.
    """
    schedules = stage_schedules(detector.stages, schedule, len(data.images))
    state, optimizer_state = resume(folder, run_id, detector, seed, warn)
    log, clock = TrainLog(log_path, state), TrainClock(state)
    last_step = schedules[-1].end
    reports: deque[Callable[[], None]] = deque()
    late = steps_late(detector.mean.device)
    share = present_share()
    parts = compiled_parts(detector) if compiled else {}

    def report(current: StageSchedule, outcome: StepOutcome, lr: float, images_s: float) -> None:
        """Count a step in the state, and tell of it."""
        losses, grad_norm = outcome.read()
        state.add_step(losses, grad_norm)
        progress = _progress(schedules, current, state.step, losses, lr, images_s)
        on_step(progress)
        if state.step % LOG_INTERVAL == 0 or state.step == last_step:
            norm = finite_or_none(grad_norm)
            log.write(step=state.step, epoch=progress.epoch, lr=lr, grad_norm=norm, losses=losses)

    def tell_all_but(count: int) -> None:
        """Report the steps that are done, but the last ``count`` of them."""
        while len(reports) > count:
            reports.popleft()()

    with CheckpointWriter(folder) as writer:
        for current in schedules:
            # A stage that was finished before is not started again, but the last one always is, so
            # that a finished training leaves its detector as it was trained.
            if state.step >= current.end and current is not schedules[-1]:
                continue
            detector.start_stage(current.stage)
            if share is not None:
                share_norms(detector.train())
                check_alike(detector, state.step)
            if state.step >= current.end:  # without a step there may be no weight that trains
                continue
            frozen = cast_frozen(detector, precision)
            optimizer = make_optimizer(detector, schedule)
            if optimizer_state is not None:
                optimizer.load_state_dict(optimizer_state)
                optimizer_state = None
            detector.train()
            writer.wait()  # loader processes are best forked while no thread is at work
            # All epochs, or the rest of them after a resumption: batches depend on nothing but seed
            # and epoch, so each sees the images that it would have seen.
            epoch, done = divmod(state.step, current.steps_per_epoch)
            epochs = current.end // current.steps_per_epoch - epoch
            for batch in data.batches(
                current.stage, schedule.batch_size, seed, epoch, done, epochs
            ):
                step = state.step + len(reports)
                lr = learning_rate(current.schedule, step - current.first, current.steps_per_epoch)
                with using(detector, parts), computing_with(frozen):
                    outcome = train_step(
                        detector, optimizer, batch, lr, schedule.clip_norm, precision
                    )
                images_s = clock.step(share.total if share else len(batch.images))
                reports.append(partial(report, current, outcome, lr, images_s))
                epochs_done, within_epoch = divmod(step + 1, current.steps_per_epoch)
                is_due = clock.due(checkpoint_seconds) or step + 1 == last_step
                tell_all_but(0 if is_due or not within_epoch else late)
                if not within_epoch:
                    # The last step's loss may be finite and its weights not; they must not be
                    # stored.
                    check_finite(detector, state.step)
                    if share is not None:
                        check_alike(detector, state.step)
                    # Scores take time that is not training, and join the epoch's row.
                    with clock.paused():
                        row = state.end_epoch(epochs_done, current.stage.name)
                        if is_first() and evaluate_every and epochs_done % evaluate_every == 0:
                            row |= score()
                            detector.train()
                        log.write(**row)
                writer.check()
                if is_due or clock.due(checkpoint_seconds):
                    tell_all_but(0)
                    # Of several processes that share the training the first one writes.
                    if is_first():
                        kept = optimizer if state.step < current.end else None
                        writer.save(state.step, checkpoint_of(run_id, detector, kept, state))
                    clock.saved()
        if not last_step and is_first():
            writer.save(0, checkpoint_of(run_id, detector, None, state))
    return state


def train_step(
    detector: Detector,
    optimizer: Optimizer,
    batch: Batch,
    lr: float,
    clip_norm: float | None,
    precision: str,
) -> StepOutcome:
    """One step of gradient descent on the detector's device.

    Args:
        batch: on any device.
        clip_norm: the gradient's greatest L2 norm, or ``None``.
        precision: ``fp32`` or ``bf16``.

    Returns:
        the loss parts by name, their sum as ``total``, and the scalars that the method logs; and
        the L2 norm of the gradient over all weights before it is clipped. None of them has been
        waited for.
    """
    device = detector.mean.device
    batch = batch.to(device)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    with autocast(precision, device):
        parts: dict[str, Tensor] = detector(batch.images, batch.targets, batch.images_2x)
    total = torch.stack(list(parts.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    scalars = parts | {"total": total} | detector.log_vars
    if present_share() is not None:
        scalars = add_up(detector, scalars)
    norm = get_total_norm([w.grad for w in detector.parameters() if w.grad is not None])
    if clip_norm is not None:
        clip_grads_with_norm_(detector.parameters(), clip_norm, norm)
    optimizer.step()
    return send(scalars, norm)


def _progress(
    schedules: Sequence[StageSchedule],
    current: StageSchedule,
    step: int,
    losses: dict[str, float],
    lr: float,
    images_s: float,
) -> TrainProgress:
    steps = schedules[-1].end
    epoch, epochs = ((number - 1) // current.steps_per_epoch + 1 for number in (step, steps))
    name = current.stage.name if len(schedules) > 1 else ""
    return TrainProgress(name, epoch, epochs, step, steps, losses, lr, images_s)
