"""What a step tells of itself, on its way from the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepOutcome:
    """The scalars of a step; ``read`` waits for them, so a GPU's are better read a step later.

    Attributes:
        names: of the losses and of what a method logs.
        values: ``[len(names) + 1]`` float32 on the host, the last of them the gradient's norm; on
            their way as long as ``arrived`` is not reached.
        arrived: ``None`` if they are there.
    """

    names: tuple[str, ...]
    values: Tensor
    arrived: torch.cuda.Event | None = None

    def read(self) -> tuple[dict[str, float], float]:
        """The losses by name, and the L2 norm of the gradient."""
        if self.arrived is not None:
            self.arrived.synchronize()
        *losses, grad_norm = self.values.tolist()
        return dict(zip(self.names, losses, strict=True)), grad_norm


def send(scalars: Mapping[str, Tensor], grad_norm: Tensor) -> StepOutcome:
    """Have the scalars of a step sent to the host in one copy, for which nobody waits yet."""
    values = torch.stack([x.detach().float() for x in (*scalars.values(), grad_norm)])
    names = tuple(scalars)
    if not values.is_cuda:
        return StepOutcome(names, values)
    values = values.to("cpu", non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return StepOutcome(names, values, arrived)
