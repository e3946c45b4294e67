"""The least time of a training step of each method on a GPU: a roofline, counted without one.

Run by name: ``python -m tests.benchmarks.floor``. Every operation of a step on ``fake_cuda`` costs
the longer of two times: that of reading its inputs and writing its outputs once from and to memory,
and that of its products. The step's floor is their sum; launches, and what lies between operations,
cost nothing here. Then come the hours of the table of a suite, by the same steps.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sobench.models.frozen import cast_frozen, computing_with
from sobench.suite.plan import Run, plan, with_required
from sobench.suite.reader import load
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from sobench.training.stages import stage_schedules
from tests.training.fake_cuda import CUDA, fake_cuda
from tests.training.rehearsal import built, empty_batch

BANDWIDTH = 4.8e12
"""Bytes a second of an H200's memory."""

PRODUCTS = {torch.bfloat16: 990e12 / 2, torch.float32: 67e12 / 2}
"""Multiply-adds a second of an H200: dense bfloat16, and float32 without TF32."""

PAIR = 25
"""Operations on a pair of box and anchor, each in the time of half a multiply-add."""

MEAN_BOXES = 53
"""Of an image of VisDrone's training set."""

TRAIN_IMAGES = 6471
"""Of VisDrone's training set."""

_MATCHING = {"matching.py", "bipartite.py", "fused.py", "distillation.py", "overlaps.py"}
_FREE = {"empty", "empty_like", "empty_strided", "new_empty", "detach", "alias", "lift_fresh"}
_PASSES = {"best_overlaps": 2, "relative_iou": 2, "best_anchors": 1}


class Roofline(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the seconds of operations on CUDA, and those of matching apart."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        outcome = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if func.is_view or name in _FREE:
            return outcome
        inputs = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        outputs = [x for x in pytree.tree_leaves(outcome) if isinstance(x, Tensor)]
        if not any(x.is_cuda for x in (*inputs, *outputs)):
            return outcome
        moved = _traffic(name, inputs, outputs)
        products = _products(func, name, args, kwargs, outcome, inputs)
        self.seconds[_part()] += max(moved / BANDWIDTH, products)
        return outcome


def _traffic(name: str, inputs: list[Tensor], outputs: list[Tensor]) -> float:
    """Bytes that are read and written."""
    if name in ("gather", "index", "index_select"):  # of a table, only what is taken
        return 2 * sum(map(_bytes, outputs)) + sum(map(_bytes, inputs[1:]))
    if name == "convolution_backward" and inputs:  # reads the gradient for both of its products
        return sum(map(_bytes, (inputs[0], *inputs, *outputs)))
    tensors = {id(x): x for x in (*inputs, *outputs)}
    return sum(map(_bytes, tensors.values()))


def _bytes(x: Tensor) -> float:
    """Those of a tensor; an expanded one is read once."""
    if not x.is_cuda:
        return 0
    number = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        number *= size if stride else 1
    return number * x.element_size()


def _products(
    func: Any, name: str, args: Any, kwargs: Any, outcome: Any, inputs: list[Tensor]
) -> float:
    """Seconds of an operation's multiply-adds."""
    if name in _PASSES:
        batch, anchors = inputs[0].shape[0], inputs[2].shape[-2]
        pairs = _PASSES[name] * batch * MEAN_BOXES * anchors
        return pairs * PAIR / 2 / PRODUCTS[torch.float32]
    counted = flop_registry.get(func) or flop_registry.get(func._overloadpacket)
    if counted is None or not inputs:
        return 0
    flops: int = counted(*args, **kwargs, out_val=outcome)
    return flops / 2 / PRODUCTS.get(inputs[0].dtype, PRODUCTS[torch.float32])


def _part() -> str:
    """``matching``, or all else."""
    frame: Any = sys._getframe(2)
    while frame:
        path = Path(frame.f_code.co_filename)
        if "sobench" in path.parts and path.name in _MATCHING:
            return "matching"
        frame = frame.f_back
    return "all else"


def floors(run: Run, boxes: int) -> list[dict[str, float]]:
    """Seconds of a step of each stage of a run, by part."""
    found = []
    with fake_cuda():
        detector = built(run, CUDA)
        for stage in detector.stages:
            detector.start_stage(stage)
            detector.train()
            optimizer = make_optimizer(detector, run.suite.schedule)
            batch = empty_batch(run, stage.images_2x, boxes)
            settings = (1e-3, 35, run.suite.precision)
            with computing_with(cast_frozen(detector, run.suite.precision)):
                train_step(detector, optimizer, batch, *settings)  # makes constants and states
                with Roofline() as roofline:
                    train_step(detector, optimizer, batch, *settings)
            found.append(roofline.seconds)
    return found


def table_runs(path: str, methods: int) -> list[Run]:
    """The runs of the first methods of a suite with one seed, and those that they require."""
    drawn = {"format": "synthetic", "train": 16, "val": 1, "size": [512, 512]}
    suite = load(Path(path), {"dataset": drawn})
    names = [entry.label for entry in suite.methods[:methods]]
    return with_required(plan(suite, methods=names, seeds=(0,)))


def unloaded(run: Run) -> Run:
    """The run without a file of weights; what is frozen stays so."""
    plain = run.suite.backbone.model_copy(update={"weights": "none"})
    requires = tuple((role, unloaded(required)) for role, required in run.requires)
    suite = run.suite.model_copy(update={"backbone": plain})
    return replace(run, suite=suite, requires=requires)


@click.command()
@click.option("--suite", default="suites/visdrone.yaml", help="of the table")
@click.option("--methods", default=10, help="so many of its rows")
@click.option("--boxes", default=180, help="of every image, padding included")
@click.option("--rows", default="", help="only rows whose name begins so")
def main(suite: str, methods: int, boxes: int, rows: str) -> None:
    """Print a line for every stage of every row, and the hours of all."""
    warnings.simplefilter("ignore")
    total = 0.0
    for run in map(unloaded, table_runs(suite, methods)):
        if not run.name.startswith(rows):
            continue
        seconds = floors(run, boxes)
        with fake_cuda():
            stages = built(run, CUDA).stages
        schedules = stage_schedules(stages, run.suite.schedule, TRAIN_IMAGES)
        for parts, schedule in zip(seconds, schedules, strict=True):
            step, steps = sum(parts.values()), schedule.end - schedule.first
            total += step * steps
            click.echo(
                f"{run.name:32} {schedule.stage.name:10} {1000 * step:7.2f} ms a step, "
                f"{1000 * parts['matching']:6.2f} of it matching; "
                f"{step * schedule.steps_per_epoch:6.1f} s an epoch, {step * steps / 60:6.1f} min"
            )
    click.echo(f"the whole table: {total / 3600:.2f} hours")


if __name__ == "__main__":
    main()
