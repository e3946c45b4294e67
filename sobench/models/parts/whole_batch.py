"""Counts, means and random numbers of a whole batch, of which this process may have a share only.

Several processes that train one detector share every batch: each has some of its images. A loss
is then the sum over the images of a process, divided by a count over the whole batch, so that the
losses of all processes add up to that of one process, and so do their gradients. In a process that
has the batch alone every function here returns what the same line of torch would, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from sobench.errors import ProcessLost, RunError, reason_of


@dataclass(frozen=True)
class Share:
    """The images of a batch that one of several processes has.

    Attributes:
        first, end: the first of them, and the one behind the last.
        total: images of the whole batch.
        processes: that share it.
    """

    first: int
    end: int
    total: int
    processes: int

    @classmethod
    def of(cls, rank: int, processes: int, total: int) -> Share:
        """That of process ``rank``, counted from 0; the shares differ by at most one image.

        Raises:
            RunError: there are more processes than images.
        """
        if processes > total:
            raise RunError(
                f"a batch of {total} images cannot be shared by {processes} processes; "
                f"run it with --gpus-per-run {total} at most"
            )
        first, end = (number * total // processes for number in (rank, rank + 1))
        return cls(first, end, total, processes)

    @property
    def rows(self) -> slice:
        """The place of the images in the batch."""
        return slice(self.first, self.end)


_OPERATIONS = {
    "sum": torch.distributed.ReduceOp.SUM,
    "max": torch.distributed.ReduceOp.MAX,
    "min": torch.distributed.ReduceOp.MIN,
}

_present: list[Share] = []
"""The share of this process, if it does not have whole batches."""


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Within this, batches are shared with the other processes of torch's default group."""
    _present.append(share)
    try:
        yield
    finally:
        _present.pop()


def present_share() -> Share | None:
    """The share of this process; ``None`` if it has whole batches."""
    return _present[-1] if _present else None


def is_first() -> bool:
    """Whether this process writes files and tells of the training: one of them does."""
    return not _present or _present[-1].first == 0


def whole_count(count: Tensor) -> Tensor:
    """The sum of a count over all processes; no gradient passes."""
    if not _present:
        return count
    return reduced(count)


def reduced(x: Tensor, by: str = "sum") -> Tensor:
    """A tensor of all processes, added up or compared place by place; the same in each of them.

    Args:
        by: ``sum``, ``max`` or ``min``.

    Raises:
        ProcessLost: another process has ended.
    """
    x = x.detach().clone()
    try:
        torch.distributed.all_reduce(x, _OPERATIONS[by])
    except RuntimeError as error:  # which is all that gloo and NCCL tell
        raise ProcessLost(f"another process of this run is gone ({reason_of(error)})") from error
    return x


def whole_mean(x: Tensor) -> Tensor:
    """What ``x`` contributes to the mean over the whole batch; over all processes, they add up."""
    if not _present:
        return x.mean()
    return x.sum() / whole_count(torch.tensor(x.numel(), device=x.device))


def whole_rand(shape: torch.Size, device: torch.device) -> Tensor:
    """Random numbers in 0..1 for ``[B, ...]``, the same that one process would draw for them.

    They are drawn for the whole batch, and the rows of this process's images are kept.
    """
    if not _present:
        return torch.rand(shape, device=device)
    share = _present[-1]
    return torch.rand(share.total, *shape[1:], device=device)[share.rows]
