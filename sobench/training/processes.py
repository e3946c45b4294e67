"""What the processes that train one detector tell one another.

Each has a share of every batch (``models/parts/whole_batch.py``). They hold the same weights and
take the same steps: the gradient of a step is the sum of theirs. The first of them writes the
checkpoints and the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sobench.errors import RunError
from sobench.models.parts.whole_batch import reduced


def greatest(sizes: Sequence[int]) -> list[int]:
    """The greatest of every size over all processes, to which they pad their images and targets."""
    return [int(size) for size in reduced(torch.tensor(sizes), "max")]


def add_up(network: nn.Module, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace the gradients by their sums over all processes, in one message with the scalars.

    A weight that has a gradient in any process has one in all of them.

    Returns:
        the sums of the scalars, by their names.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    first = weights[0]
    has_gradient = [weight.grad is not None for weight in weights]
    parts = [
        *((torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights),
        first.new_tensor(has_gradient, dtype=first.dtype),
        torch.stack([x.detach().to(first.dtype) for x in scalars.values()]),
    ]
    message = reduced(torch.cat(parts))
    *sums, counts, values = torch.split(message, [len(part) for part in parts])
    # Only a weight without a gradient here need be looked up, for which a GPU is waited for.
    used = has_gradient if all(has_gradient) else [count > 0 for count in counts.tolist()]
    for weight, total, is_used in zip(weights, sums, used, strict=True):
        if is_used:
            # In memory of its own: where a map has one cell, gradients of two weights may be one
            # tensor in one process alone, which clipping would then scale once for each of them.
            weight.grad = torch.empty_like(weight).copy_(total.view_as(weight))
    return dict(zip(scalars, values.unbind(), strict=True))


@torch.no_grad()
def check_alike(network: nn.Module, step: int) -> None:
    """Compare all weights and buffers of the processes, as they are after ``step``.

    Raises:
        RunError: they are not the same, or not of one step; names the first that differs.
    """
    tensors = network.state_dict()
    device = next(iter(tensors.values())).device
    sums = torch.stack([*map(_sum_of_bits, tensors.values()), torch.tensor(step, device=device)])
    low, high = reduced(sums, "min"), reduced(sums, "max")
    names = [*tensors, "the step"]
    for name, is_same in zip(names, (low == high).tolist(), strict=True):
        if not is_same:
            raise RunError(f"the processes of this run do not agree after step {step}: {name}")


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """The values of a tensor, added up as if they were integers."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = tensor.detach().view(integers.get(tensor.element_size(), torch.uint8))
    return bits.sum(dtype=torch.int64)
