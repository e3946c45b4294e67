"""How far a training has come, for its callbacks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainProgress:
    """The state of a training after a step.

    Attributes:
        stage: name of the stage; empty if there is only one.
        epoch, epochs: the present epoch and all of them, over all stages, counted from 1.
        step, steps: the last step and all of them, over all stages, counted from 1.
        losses: the loss parts of the step, their ``total``, and scalars that the method logs.
        lr: learning rate of the step.
        images_s: images a second since this session began.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]
    lr: float
    images_s: float
