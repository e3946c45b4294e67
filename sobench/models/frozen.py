"""Frozen layers in the precision that a step computes in.

Autocast casts the weights of a frozen layer whenever it is used, in every step anew and, in towers,
for every level. They do not change, so that one cast is enough; the results are bit for bit those
of autocast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from sobench.models.detector import Detector


@dataclass(frozen=True)
class CastWeight:
    """A weight or bias that does not train, and what autocast makes of it."""

    parameter: nn.Parameter
    cast: Tensor


def cast_frozen(detector: Detector, precision: str) -> list[CastWeight]:
    """The weights of ``detector.frozen`` that autocast would cast, in its precision.

    These are of convolutions and linear layers; normalisations compute in float32 as they are.

    Args:
        precision: ``fp32``, which casts nothing, or ``bf16``.
    """
    if precision != "bf16":
        return []
    layers = [
        layer
        for module in detector.frozen
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    weights = {x: None for layer in layers for x in layer.parameters(recurse=False)}  # each once
    return [CastWeight(x, x.detach().bfloat16()) for x in weights if not x.requires_grad]


@contextmanager
def computing_with(weights: Sequence[CastWeight]) -> Iterator[None]:
    """Within, the layers hold the cast weights; afterwards, and in a checkpoint, their own."""
    own = [weight.parameter.data for weight in weights]
    try:
        for weight in weights:
            weight.parameter.data = weight.cast
        yield
    finally:
        for weight, data in zip(weights, own, strict=True):
            weight.parameter.data = data
