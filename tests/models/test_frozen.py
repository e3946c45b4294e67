"""Weights that do not train are cast once, and nothing comes out otherwise than by autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sobench.models.detector import Detector
from sobench.models.frozen import cast_frozen, computing_with
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.benchmarks.training_step import with_frozen
from tests.training.rehearsal import Case, built, empty_batch, planned

CPU = torch.device("cpu")

SIZE = {"input": {"size": [128, 128]}}
"""Gradients of bfloat16 on a CPU are not to be trusted at the rehearsal's own size."""

ROWS = [
    Case("fpn", suite=SIZE),
    Case("mrae", "faster_rcnn", {"box_head": "res5"}, suite=SIZE),
    Case("efpn", suite=SIZE),
    Case("efpn", stage=1, suite=SIZE),
    Case("efpn", "faster_rcnn", stage=1, suite=SIZE),
    Case("zoominnet", suite=SIZE),
    Case("zoominnet", switches={"align": "la"}, suite=SIZE),
]


def steps(case: Case, cast: bool) -> tuple[list[Any], dict[str, Tensor], list[str]]:
    """Losses of two steps, the weights after them, and the casts of weights in the second."""
    torch.manual_seed(0)
    run = with_frozen(planned(case))
    detector = built(run, CPU)
    stage = detector.stages[case.stage]
    detector.start_stage(stage)
    detector.train()
    optimizer = make_optimizer(detector, run.suite.schedule)
    frozen = cast_frozen(detector, "bf16") if cast else []
    batch = empty_batch(run, stage.images_2x)
    for images in (batch.images, batch.images_2x):
        if images is not None:
            images.random_(256, generator=torch.Generator().manual_seed(1))
    losses = []
    with casts_of(detector) as casts:
        for _ in range(2):
            casts.clear()
            with computing_with(frozen):
                outcome = train_step(detector, optimizer, batch, 1e-3, 10, "bf16")
            losses.append(outcome.read())
    return losses, detector.state_dict(), casts


@contextmanager
def casts_of(detector: Detector) -> Iterator[list[str]]:
    """The names of the weights without gradients that are cast within."""
    modules = [detector, *getattr(detector, "teacher", ())]
    names = {
        weight.data_ptr(): name
        for module in modules
        for name, weight in module.named_parameters()
        if not weight.requires_grad
    }
    found: list[str] = []

    class Casts(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in names:
                found.append(names[args[0].data_ptr()])
            return func(*args, **kwargs or {})

    with Casts():  # type: ignore[no-untyped-call]
        yield found


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_a_step_is_bit_for_bit_that_of_autocast(case: Case) -> None:
    expected, expected_weights, by_autocast = steps(case, cast=False)
    found, weights, casts = steps(case, cast=True)
    assert by_autocast
    assert not casts
    assert found == expected
    for name, weight in expected_weights.items():
        assert weights[name].dtype == weight.dtype
        assert torch.equal(weights[name], weight), name


def test_an_error_leaves_the_weights_as_they_were() -> None:
    detector = built(planned(Case("efpn")), CPU)
    before = {name: weight.clone() for name, weight in detector.state_dict().items()}
    with suppress(KeyboardInterrupt), computing_with(cast_frozen(detector, "bf16")):
        assert detector.state_dict()["neck.output.0.weight"].dtype == torch.bfloat16
        raise KeyboardInterrupt
    assert all(torch.equal(before[name], x) for name, x in detector.state_dict().items())


def test_weights_that_train_and_norms_are_not_cast() -> None:
    detector = built(with_frozen(planned(Case("fpn"))), CPU)
    assert not cast_frozen(detector, "fp32")
    cast = {weight.parameter for weight in cast_frozen(detector, "bf16")}
    names = {name for name, weight in detector.named_parameters() if weight in cast}
    assert "backbone.stem.0.weight" in names
    assert all(name.startswith(("backbone.stem", "backbone.layer1")) for name in names)
    assert not any(".bn" in name or name.startswith("backbone.stem.1") for name in names)
