"""The second stage of MRAE's paper form: the backbone's last stage on every region."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Res5(nn.Module):
    """The last stage of a ResNet on every region, averaged; He et al., arXiv:1512.03385, App. A.

    Its stride of 2 takes 14 x 14 to 7 x 7. The backbone must no longer have the stage.

    Args:
        stage: the backbone's ``layer4``, with its weights.
        outputs: channels of the stage's output.
        frozen: keeps the running statistics of its batch normalisation as they are.
    """

    resolution = 14

    def __init__(self, stage: nn.Module, outputs: int, frozen: bool) -> None:
        super().__init__()
        self.stage = stage
        self.outputs = outputs
        self.frozen = frozen

    def forward(self, pooled: Tensor) -> Tensor:
        """``[N, C, 14, 14]`` -> ``[N, outputs]``."""
        return F.adaptive_avg_pool2d(self.stage(pooled), 1).flatten(1)

    def train(self, mode: bool = True) -> Res5:
        """As in ``nn.Module``, but frozen statistics stay in eval mode."""
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self
