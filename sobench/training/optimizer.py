"""The suite's optimizer, and its learning rate at every step."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from sobench.suite.schedule import Schedule


def make_optimizer(network: nn.Module, schedule: Schedule) -> Optimizer:
    """The suite's optimizer over all weights that train, with weight decay on all of them."""
    weights = [p for p in network.parameters() if p.requires_grad]
    if schedule.optimizer == "adamw":
        return AdamW(weights, schedule.lr, weight_decay=schedule.weight_decay, fused=True)
    return SGD(
        weights, schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay, fused=True
    )


def learning_rate(schedule: Schedule, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0: warm-up times milestones or cosine."""
    warmup = schedule.warmup
    factor = 1.0
    if step < warmup.steps:
        factor = warmup.start + (1 - warmup.start) * step / warmup.steps
    if schedule.decay == "cosine":
        # The cosine begins where the warm-up ends, but always leaves itself a step.
        begin = min(warmup.steps, steps_per_epoch * schedule.epochs - 1)
        done = max(0, step - begin) / (steps_per_epoch * schedule.epochs - begin)
        factor *= 0.5 * (1 + math.cos(math.pi * done))
    else:
        passed = sum(step >= milestone * steps_per_epoch for milestone in schedule.milestones)
        factor *= schedule.gamma**passed
    return schedule.lr * factor
