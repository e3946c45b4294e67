"""Batch normalisation with the statistics of a whole batch that several processes share.

On CUDA this is torch's ``SyncBatchNorm``, which has no form for a CPU; ``WholeBatchNorm`` is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm

from sobench.errors import RunError
from sobench.models.parts.whole_batch import whole_count


class _Sum(torch.autograd.Function):
    """The sum over all processes. As every process's loss depends on it, so is its gradient's."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        del ctx
        return whole_count(x)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        del ctx
        return whole_count(gradients[0])


class WholeBatchNorm(nn.BatchNorm2d):
    """``BatchNorm2d`` over the images of all processes; in eval mode there is no difference."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> the same shape; ``B`` may differ between processes, and be 0."""
        if not self.training:
            return super().forward(x)
        over, shape = (0, 2, 3), (1, -1, 1, 1)
        wide = x.to(self.weight.dtype)
        count = whole_count(torch.tensor(x.numel() // x.shape[1], device=x.device))
        mean = _summed(wide.sum(over)) / count
        centred = wide - mean.view(shape)
        variance = _summed(centred.square().sum(over)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def share_norms(network: nn.Module) -> None:
    """Let every batch normalisation in train mode take its statistics over all processes.

    Weights, statistics and their names stay as they are. Those in eval mode have no statistics of a
    batch, and are left alone.

    Raises:
        RunError: one is of a kind that processes cannot share.
    """
    for place, parent in list(network.named_modules()):
        for name, norm in list(parent.named_children()):
            if not isinstance(norm, _BatchNorm) or not norm.training:
                continue
            if type(norm) is nn.BatchNorm2d and norm.affine and norm.momentum is not None:
                setattr(parent, name, _shared(norm))
            elif not isinstance(norm, WholeBatchNorm | nn.SyncBatchNorm):
                raise RunError(
                    f"{place}.{name} is a {type(norm).__name__} that several processes cannot "
                    "share; run it in one process, without --gpus-per-run"
                )


def _shared(norm: nn.BatchNorm2d) -> nn.Module:
    """The same normalisation, of the same tensors, over all processes."""
    if norm.weight.is_cuda:
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        return convert(norm)
    whole = WholeBatchNorm(norm.num_features, norm.eps, norm.momentum)
    whole._parameters, whole._buffers = norm._parameters, norm._buffers
    return whole


def _summed(x: Tensor) -> Tensor:
    total: Any = _Sum.apply(x)
    assert isinstance(total, Tensor)
    return total
