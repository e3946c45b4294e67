"""The sections of a suite file about training: its length, optimizer and learning rate."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sobench.suite.section import Section
from sobench.yaml_text import shown

MAX_EPOCHS = 10**6


class Warmup(Section):
    """Linear warm-up of the learning rate."""

    steps: int = Field(500, ge=0, le=10**9)
    """Length in steps; 0 starts with the full rate."""
    start: float = Field(0.001, gt=0, le=1)
    """Factor of the rate at the first step, from which it rises to 1."""


class Schedule(Section):
    """How long, with which optimizer and at which rate every method trains."""

    epochs: int = Field(gt=0, le=MAX_EPOCHS)
    """Passes through the training images."""
    batch_size: int = Field(gt=0, le=10**5)
    """Images to a step. The last images of an epoch that do not fill a batch are left out."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW."""
    lr: float = Field(gt=0)
    """Learning rate after the warm-up."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of ``sgd``; ``adamw`` does not read it."""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay of all weights that train."""
    warmup: Warmup = Warmup(steps=500, start=0.001)
    """Linear warm-up; its keys are below."""
    decay: Literal["milestones", "cosine"] = "milestones"
    """``milestones`` cuts the rate at each of them; ``cosine`` lowers it to 0 at the end."""
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = Field((), max_length=1000)
    """Epochs after which the rate is multiplied by ``gamma``; 1.5 is the middle of the second. By
    default the rate stays."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor of the rate at each milestone."""
    clip_norm: float | None = Field(None, gt=0)
    """Limit of the gradient's L2 norm over all weights. By default gradients are not clipped."""

    @model_validator(mode="after")
    def _milestones(self) -> Self:
        if self.milestones and self.decay == "cosine":
            raise ValueError("milestones: have no meaning with decay: cosine; leave one out")
        for milestone in self.milestones:
            if milestone >= self.epochs:
                raise ValueError(
                    f"milestones: {milestone:g} is beyond the last epoch; "
                    f"epochs is {self.epochs}, so write a smaller milestone or more epochs"
                )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones: {shown(self.milestones)} must rise")
        return self
