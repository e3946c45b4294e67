"""CUDA without a GPU: tensors that say they lie on ``cuda`` and hold no values.

Torch's fake tensors know shape, type and device, refuse to mix devices, and follow the lists of
operations that autocast has for CUDA. Nothing is computed, so a step takes a second whatever its
size. What they cannot find: wrong numbers, and how long anything takes.

A plain build of torch with CUDA suffices, and no driver is asked. Where torch would ask it anyway,
``fake_cuda`` steps in: moving a module, turning autocast on, the backward pass, events, and
questions about values, each of which would have the host wait for the device. Such a wait is noted
and gets an answer: every element of a mask is true, a single one is false, a number is 1.
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import sobench
from sobench.models.parts.anchors import pyramid_anchors
from sobench.models.parts.boxes import constant

CUDA = torch.device("cuda", 0)

_OURS = str(Path(sobench.__file__).parent)

_SILENT = {"detach", "alias", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh"}
"""Operations that neither compute nor return a view by their schema."""


@dataclass
class Log:
    """What happened on the device.

    Attributes:
        waits: ``operation (file:function)`` for every time that the host waits for it.
        launches: operations that would be launched there; several kernels of one count as one.
    """

    waits: list[str] = field(default_factory=list)
    launches: int = 0


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, and answers what depends on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log = Log()

    def wait(self, name: str) -> None:
        """Note that the host waits here."""
        frame = sys._getframe()
        while frame.f_back and _OURS not in frame.f_code.co_filename:
            frame = frame.f_back
        code = frame.f_code
        self.log.waits.append(f"{name} ({Path(code.co_filename).name}:{code.co_name})")

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.partition("::")[2]
        if name == "device":  # the most frequent question of all
            return func(*args, **kwargs)
        tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        is_cuda = any(x.is_cuda for x in tensors)
        if name in ("_to_copy", "copy_"):
            self._note_copy(name, args, kwargs)
        if is_cuda:
            answer = self._answer(name, args)
            if answer is not None:
                self.wait(name)
                return answer
            if name == "index" or "index_put" in name:
                args = self._with_places(name, args)
        if name.startswith("_fused_"):  # optimizers work in place, and fake tensors lack them
            assert len({x.device for x in tensors}) == 1, f"{name} of tensors on several devices"
            self.log.launches += 1
            return None
        outcome = func(*args, **kwargs)
        made = [x for x in pytree.tree_leaves(outcome) if isinstance(x, Tensor)]
        is_view = func.is_view or name in _SILENT
        self.log.launches += not is_view and (is_cuda or any(x.is_cuda for x in made))
        return outcome

    def _note_copy(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        source = args[0] if name == "_to_copy" else args[1]
        goal = torch.device(kwargs.get("device") or args[0].device)
        late = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        if source.device.type != goal.type and not late:
            self.wait(f"copy to {goal.type}")

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        """For an operation whose result depends on values; ``None`` for any other."""
        x: Any = args[0] if args else None
        if name in ("_local_scalar_dense", "is_nonzero", "equal"):
            return 0 if x.dtype is torch.bool else 1
        if name == "nonzero":
            return x.new_zeros(x.numel(), x.dim(), dtype=torch.int64)
        if name == "nms":
            return x.new_zeros(len(x), dtype=torch.int64)
        if name == "masked_select":
            return x.new_empty(x.numel())
        return None

    def _with_places(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of an indexing with numbers of all places instead of masks."""
        places: list[Any] = []
        for index in args[1]:
            if index is not None and index.dtype is torch.bool:
                self.wait(f"{name} by a mask")
                zeros = torch.zeros(index.numel(), dtype=torch.int64, device=index.device)
                places += [zeros] * index.dim()
            else:
                places.append(index)
        return args[0], places, *args[2:]


def backward(root: Tensor) -> None:
    """As ``root.backward()`` of a scalar, without the engine in C++, which asks for a driver.

    A gradient of another device than what it belongs to raises, as in the engine.
    """
    first: Any = root.grad_fn
    waiting: Counter[Any] = Counter()
    stack, seen = [first], {first}
    while stack:
        for after, _ in stack.pop().next_functions:
            if after is not None:
                waiting[after] += 1
                if after not in seen:
                    seen.add(after)
                    stack.append(after)
    gradients: defaultdict[Any, dict[int, Tensor]] = defaultdict(dict)
    gradients[first][0] = torch.ones_like(root)
    # Nodes of later operations first, as in the engine, which releases memory early.
    ready, number = [(-first._sequence_nr(), 0, first)], 0
    while ready:
        node = heapq.heappop(ready)[2]
        with torch.no_grad():
            results = _apply(node, gradients.pop(node, {}))
        for (after, index), gradient in zip(node.next_functions, results, strict=True):
            if after is None:
                continue
            if gradient is not None:
                gradient = _checked(after, index, gradient)
                sums = gradients[after]
                sums[index] = sums[index] + gradient if index in sums else gradient
            waiting[after] -= 1
            if not waiting[after]:
                number += 1
                heapq.heappush(ready, (-after._sequence_nr(), number, after))


def _apply(node: Any, gradients: dict[int, Tensor]) -> tuple[Tensor | None, ...]:
    """What a node of the graph hands on to those before it."""
    if type(node).__name__ == "AccumulateGrad":
        weight = node.variable
        for gradient in gradients.values():
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
        return ()
    if not gradients:
        return (None,) * len(node.next_functions)
    given = [gradients.get(index) for index in range(len(node._input_metadata))]
    results = node(*given) if callable(node) else node.apply(*given)  # of C++, or of Python
    results = results if isinstance(results, tuple) else (results,)
    return results[: len(node.next_functions)]


def _checked(after: Any, index: int, gradient: Tensor) -> Tensor:
    """The gradient, in the shape and type of what it belongs to."""
    wanted = after._input_metadata[index]
    if gradient.device != wanted.device and gradient.dim():
        raise RuntimeError(f"{after.name()}: gradient on {gradient.device}, not {wanted.device}")
    return gradient.sum_to_size(wanted.shape).to(wanted.dtype)


def _move(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """As ``nn.Module._apply``, which cannot put a fake weight in place of another."""
    del recurse
    for child in module.children():
        child._apply(change)  # type: ignore[no-untyped-call]
    for name, weight in module._parameters.items():
        if weight is not None:
            moved = change(weight.detach())
            module._parameters[name] = nn.Parameter(moved, weight.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


def _copied(weight: Tensor, memo: dict[int, Any]) -> Tensor:
    """As ``copy.deepcopy``, which would look at memory that is not there."""
    copy = weight.detach().clone()
    if isinstance(weight, nn.Parameter):
        copy = nn.Parameter(copy, weight.requires_grad)
    memo[id(weight)] = copy
    return copy


class _Event:
    """Stands for ``torch.cuda.Event``."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


@contextmanager
def fake_cuda() -> Iterator[Log]:
    """Every tensor made within is fake; those on ``cuda`` are watched.

    A test is skipped, with the reason, where this torch does not allow it.
    """
    if not torch.version.cuda:
        pytest.skip("this torch is built without CUDA, so that it has no fake tensors on it")
    try:
        from torch._subclasses import FakeTensor, FakeTensorMode
    except ImportError as error:
        pytest.skip(f"torch {torch.__version__} has its fake tensors elsewhere: {error}")
    watch = _Watch()

    def tolist(x: Tensor) -> Any:
        if x.is_cuda:
            watch.wait("tolist")
        return np.full(tuple(x.shape), x.dtype is not torch.bool).astype(int).tolist()

    replaced: list[tuple[Any, str, Any]] = [
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
        (torch.cuda, "Event", _Event),
        (nn.Module, "_apply", _move),
        (torch.nn.utils.clip_grad, "_has_foreach_support", lambda *_: True),
        (Tensor, "backward", backward),
        (FakeTensor, "tolist", tolist),
        (FakeTensor, "__deepcopy__", _copied),
    ]
    with ExitStack() as stack:
        for owner, name, substitute in replaced:
            if not hasattr(owner, name):
                pytest.skip(f"torch {torch.__version__} has no {name} to step in for")
            stack.enter_context(mock.patch.object(owner, name, substitute))
        for kept in (pyramid_anchors, constant):  # between tests, tensors of other kinds
            kept.cache_clear()
            stack.callback(kept.cache_clear)
        stack.enter_context(FakeTensorMode())
        stack.enter_context(watch)
        yield watch.log
