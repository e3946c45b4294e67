"""Every row trains and detects on CUDA, and waits for it no more often than it must.

Without a GPU: ``fake_cuda`` finds what lies on another device or has another type, and counts how
often the host waits. With one, the same steps are taken there, and torch tells of the waits.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sobench.models.frozen import cast_frozen, computing_with
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.training.fake_cuda import CUDA, backward, fake_cuda
from tests.training.rehearsal import (
    CASES,
    Case,
    built,
    empty_batch,
    planned,
    rehearse_detection,
    rehearse_training,
)

SETTLED = "_local_scalar_dense (suppression.py:_in_rounds)"
MATCHED = "tolist (bipartite.py:_deferred_acceptance)"


def waits(case: Case) -> list[str]:
    """What a step may wait for: loops that go on until nothing changes any more."""
    is_distilled = case.name == "efpn" and not case.stage
    if case.head == "faster_rcnn" and not is_distilled:
        return [SETTLED]
    return [MATCHED] * {"ssd": 1, "refinedet": 2}.get(case.name, 0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_row_trains_and_detects_on_cuda(case: Case) -> None:
    run = planned(case)
    assert rehearse_training(case, run).waits == waits(case)
    rehearse_detection(run)


@pytest.mark.parametrize("case", [Case("fpn"), Case("ssd"), Case("zoominnet")], ids=str)
def test_without_triton_the_plain_code_does_so_too(
    monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr("sobench.models.parts.fused.has_triton", lambda: False)
    assert rehearse_training(case, planned(case)).waits == waits(case)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_row_waits_for_a_real_gpu_no_more_often(case: Case) -> None:
    run = planned(case)
    detector = built(run, CUDA)
    stage = detector.stages[case.stage]
    detector.start_stage(stage)
    detector.train()
    optimizer = make_optimizer(detector, run.suite.schedule)
    frozen = cast_frozen(detector, "bf16")
    batch = empty_batch(run, stage.images_2x).pin_memory()
    for _ in range(2):  # which also choose kernels and make constants
        with computing_with(frozen):
            train_step(detector, optimizer, batch, 1e-3, 10, "bf16").read()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told, computing_with(frozen):
            warnings.simplefilter("always")
            outcome = train_step(detector, optimizer, batch, 1e-3, 10, "bf16")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    syncs = [str(w.message) for w in told if "synchronizing CUDA operation" in str(w.message)]
    # A loop may take more rounds than were hoped for.
    assert len(syncs) <= 4 * len(waits(case)), syncs
    losses, _ = outcome.read()
    assert all(torch.isfinite(torch.tensor(value)) for value in losses.values())


# ------------------------------------------------------------- the rehearsal finds what it is for


def test_a_tensor_on_another_device_is_an_error() -> None:
    with fake_cuda(), pytest.raises(RuntimeError, match="cpu"):
        nn.Linear(2, 3).to(CUDA)(torch.zeros(1, 2))


def test_a_part_that_moves_with_its_module_is_not_left_behind() -> None:
    """Unlike a tensor that is a mere attribute."""
    with fake_cuda():
        module: Any = nn.Conv2d(3, 4, 1)
        module.register_buffer("mean", torch.zeros(3, 1, 1))
        module.own = torch.zeros(3, 1, 1)
        module.to(CUDA)
        images = torch.zeros(1, 3, 2, 2, device=CUDA)
        assert module(images - module.mean).device == CUDA
        with pytest.raises(RuntimeError, match="cpu"):
            images - module.own


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (lambda x: x.sum().item(), ["_local_scalar_dense"]),
        (lambda x: x[x > 0], ["index by a mask"]),
        (lambda x: (x > 0).nonzero(), ["nonzero"]),
        (lambda x: x.tolist(), ["tolist"]),
        (lambda x: bool((x > 0).any()), ["_local_scalar_dense"]),
        (lambda x: x.new_tensor((1.0, 2.0)), ["copy to cuda"]),
        (lambda x: x.cpu(), ["copy to cpu"]),
        (lambda x: x.to("cpu", non_blocking=True), []),
        (lambda x: torch.where(x > 0, x, -1.0).topk(2), []),
    ],
)
def test_what_has_the_host_wait_is_told(wait: object, told: list[str]) -> None:
    assert callable(wait)
    with fake_cuda() as log:
        x = torch.zeros(4).to(CUDA)
        log.waits.clear()
        wait(x)
    assert [text.partition(" (")[0] for text in log.waits] == told


def test_autocast_has_the_types_of_cuda() -> None:
    """Products come in bfloat16, and what needs precision in float32."""
    with fake_cuda(), torch.autocast("cuda", torch.bfloat16):
        x = torch.zeros(2, 2).to(CUDA)
        assert (x @ x).dtype is torch.bfloat16
        assert (x @ x).softmax(dim=1).dtype is torch.float32


def test_the_walk_back_gives_the_gradients_of_the_engine() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
    images = torch.rand(3, 2, 8, 8)

    def loss() -> Tensor:
        hidden: Tensor = network(images)
        hidden = hidden + network[3](hidden.relu())  # a weight that is used twice
        chosen: Tensor = hidden[hidden > 0]
        total: Tensor = chosen.square().sum() + hidden.amax(dim=1).mean()
        return total

    gradients = []
    for walk in (lambda x: x.backward(), backward):
        network.zero_grad()
        walk(loss())
        gradients.append([weight.grad for weight in network.parameters()])
    for mine, other in zip(*gradients, strict=True):
        assert mine is not None
        assert other is not None
        assert torch.allclose(mine, other, rtol=1e-5)
