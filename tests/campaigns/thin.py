"""The command line with a ResNet-18 of an eighth of its width, which trains in a second.

As a program, ``python -m tests.campaigns.thin ARGUMENTS``, it is a whole process to be killed.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

import torch
from torch import nn
from torchvision.models import _api, resnet

_WIDTH = 8


class ThinResNet(resnet.ResNet):  # type: ignore[misc]
    """A ResNet whose stages have an eighth of their channels."""

    def _make_layer(self, block: Any, planes: int, *others: Any, **options: Any) -> nn.Sequential:
        layer: nn.Sequential = super()._make_layer(block, planes // _WIDTH, *others, **options)
        return layer


@wraps(resnet.resnet18)  # whose signature names its weights
def thin_resnet18(weights: Any = None) -> ThinResNet:
    """Takes the place of torchvision's function; loads nothing."""
    del weights
    return ThinResNet(resnet.BasicBlock, [2, 2, 2, 2], num_classes=1)


def make_thin() -> None:
    """Let this process build thin networks, and take no time to measure what they cost."""
    torch.set_num_threads(1)
    _api.BUILTIN_MODELS["resnet18"] = thin_resnet18
    from sobench.runs import cost

    for name in ("measure_latency", "count_gflops"):
        assert hasattr(cost, name), f"{name} has another place; the campaigns measure it"
        setattr(cost, name, lambda *_, **__: 1.0)


if __name__ == "__main__":
    make_thin()
    from sobench.cli import main

    main(sys.argv[1:])
