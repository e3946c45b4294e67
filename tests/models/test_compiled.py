"""A compiled network has the losses of the plain one, and is compiled once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from sobench.data.targets import Batch, Targets
from sobench.models import compiled as compiling
from sobench.models.compiled import compiled_parts, compiles, using
from sobench.suite.input import Input
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.models.parts.random_boxes import random_boxes
from tests.models.small_config import no_padding
from tests.training.rehearsal import CASES, CLASSES, Case, built, planned

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STRETCHED = Input(size=(64, 64))


def ragged_batch(boxes: int, images_2x: bool = False) -> Batch:
    """Two images, of which one has so many boxes and the other a single one."""
    generator = torch.Generator().manual_seed(boxes)
    labels = torch.randint(0, CLASSES, (2, boxes), generator=generator)
    labels[1, 1:] = -1
    corners = random_boxes(2, boxes, seed=boxes, extent=64.0, side=24.0)
    targets = Targets(corners, labels, torch.zeros(2, boxes % 3, 4), no_padding(2))

    def images(side: int) -> torch.Tensor:
        shape = (2, side, side, 3)
        pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return pixels.permute(0, 3, 1, 2)

    return Batch(images(64), targets, images(128) if images_2x else None)


def trained(case: Case, is_compiled: bool, boxes: tuple[int, ...]) -> list[dict[str, float]]:
    """The losses of steps on batches of so many boxes; each step goes on from the one before."""
    run = planned(case, precision="fp32")
    detector = built(run, CPU)
    stage = detector.stages[case.stage]
    detector.start_stage(stage)
    detector.train()
    optimizer = make_optimizer(detector, run.suite.schedule)
    parts = compiled_parts(detector) if is_compiled else {}
    losses = []
    torch.manual_seed(0)
    for count in boxes:
        with using(detector, parts):
            batch = ragged_batch(count, stage.images_2x)
            losses.append(train_step(detector, optimizer, batch, 1e-3, 10, "fp32").read()[0])
    return losses


def assert_close(mine: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


@pytest.fixture
def _graphs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are captured and run as they are, which needs no compiler and takes seconds."""
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend="aot_eager"))


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize("case", [Case("fpn"), Case("zoominnet"), Case("efpn")], ids=str)
def test_batches_of_any_number_of_boxes_share_one_graph(case: Case) -> None:
    boxes = (3, 70, 1, 130)
    torch._dynamo.utils.counters.clear()
    mine = trained(case, True, boxes)
    stats = torch._dynamo.utils.counters["stats"]
    graphs = {"fpn": 1, "zoominnet": 2, "efpn": 3}[case.name]
    assert stats["unique_graphs"] == graphs
    assert not torch._dynamo.utils.counters["graph_break"]
    assert_close(mine, trained(case, False, boxes))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_compiled_row_has_the_losses_of_the_plain_one(case: Case) -> None:
    boxes = (3, 70)
    assert_close(trained(case, True, boxes), trained(case, False, boxes))


def test_what_is_compiled_is_so_only_within() -> None:
    detector: Any = built(planned(Case("fpn")), CPU)
    plain = detector.predict
    with using(detector, {"predict": lambda _: "compiled"}):
        assert detector.predict(None) == "compiled"
    assert detector.predict == plain
    assert not {"predict"} & vars(detector).keys()


@pytest.mark.parametrize("has_triton", [True, False])
def test_auto_compiles_on_a_gpu_with_triton_if_batches_are_of_one_size(
    monkeypatch: pytest.MonkeyPatch, has_triton: bool
) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: has_triton)
    varying = Input(size=(64, 64), resize="shorter_side")
    assert compiles("auto", CUDA, STRETCHED) == has_triton
    assert not compiles("auto", CPU, STRETCHED)
    assert not compiles("auto", CUDA, varying)
    assert not compiles("off", CUDA, STRETCHED)
