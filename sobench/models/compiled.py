"""The network of a detector as a compiler makes it: the same layers in fewer and larger kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from sobench.data.resize import has_one_canvas
from sobench.device import has_triton
from sobench.models.detector import Detector
from sobench.suite.input import Input

Parts = Mapping[str, Callable[..., Any]]
"""Methods of a detector by name, compiled."""


def compiles(choice: str, device: torch.device, settings: Input) -> bool:
    """Whether a training compiles its network.

    With ``auto`` it does on a GPU, where Triton can compile and every batch has the same height and
    width; a compiler would have to start anew for every other one. On a CPU, trainings are over
    before it has paid.

    Args:
        choice: the suite's ``compile``, ``auto`` or ``off``.
    """
    can = device.type == "cuda" and has_triton() and has_one_canvas(settings)
    return choice == "auto" and can


def compiled_parts(detector: Detector) -> Parts:
    """The methods that ``detector.compiled`` names, each compiled when it is first called."""
    # What is left of other networks would count against the limit of variants of one method.
    torch.compiler.reset()
    return {name: torch.compile(getattr(detector, name)) for name in detector.compiled}


@contextmanager
def using(detector: Detector, parts: Parts) -> Iterator[None]:
    """Within, the detector calls these in place of its own methods; its weights stay its own."""
    for name, part in parts.items():
        setattr(detector, name, part)
    try:
        yield
    finally:
        for name in parts:
            delattr(detector, name)
