"""Trainings of any row in one process and in several, to compare them loss by loss."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
import yaml
from torch import Tensor

from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resize import at_double_size, box_wh, resize
from sobench.data.synthetic import scenes
from sobench.data.targets import Batch
from sobench.errors import RunError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.models.parts import whole_batch
from sobench.models.parts.whole_batch import Share, reduced, sharing
from sobench.suite.datasets import SyntheticData
from sobench.suite.input import Input
from sobench.suite.plan import Run, plan
from sobench.suite.reader import parse
from sobench.training.data import TrainingData
from sobench.training.loop import train
from tests.benchmarks.training_step import with_frozen

SMOKE = Path(__file__).parents[2] / "suites" / "smoke.yaml"

Losses = list[dict[str, float]]
"""Of every step, by name, with their ``total`` and what the method logs."""

Weights = dict[str, Tensor]
"""By name."""

Differences = dict[str, float]
"""The greatest of every loss over all steps; and of all ``weights`` in the end, as a share of the
longest way that one of them has gone in the training, or losses might hide a wrong gradient."""


@dataclass(frozen=True)
class Row:
    """A row of ``suites/smoke.yaml``, or one that it does not have.

    Attributes:
        steps: of each of its stages.
        sections: of the suite that differ.
        frozen: the first layers and all statistics stay as they are, as of a backbone with weights.
        double: train in float64, where rounding cannot grow to what a mistake would do.
        apart: each process has divisors and statistics of its own, as if they were not added up;
            that its processes do not agree must be noticed at the end of the training.
    """

    name: str
    head: str = "retinanet"
    switches: dict[str, Any] = field(default_factory=dict)
    steps: int = 20
    sections: dict[str, Any] = field(default_factory=dict)
    frozen: bool = False
    double: bool = True
    apart: bool = False

    def __str__(self) -> str:
        switches = [f"{key}={value}" for key, value in self.switches.items()]
        sections = [
            f"{section}.{key}={value}"
            for section, values in self.sections.items()
            for key, value in values.items()
        ]
        frozen = ["frozen"] if self.frozen else []
        return " ".join([self.name, self.head, *switches, *sections, *frozen])

    def run(self) -> Run:
        """As planned, with the runs that it requires."""
        content = yaml.safe_load(SMOKE.read_text())
        # Small images spare time, and in batches of four a norm has some values on the last map.
        content["input"]["size"] = [32, 32]
        content["schedule"]["batch_size"] = 4
        # Adam divides by the size of a gradient, even of one that is rounding alone, and at a high
        # rate such small batches drift apart in one process too: weights that are changed by 1e-15
        # of themselves change a loss of FPN by 5e-3 within 20 steps, and by 1e-9 with this.
        content["schedule"] |= {"optimizer": "sgd", "lr": 0.001, "warmup": {"steps": 0}}
        for key, value in self.sections.items():
            content[key] = {**content.get(key, {}), **value}
        images = self.steps * content["schedule"]["batch_size"]
        content["dataset"]["train"] = images
        content["schedule"]["epochs"] = 1
        content |= {"head": self.head, "methods": [{"name": self.name, **self.switches}]}
        run = plan(parse(content, SMOKE))[0]
        return with_frozen(run) if self.frozen else run


def training_of(row: Row, of_processes: tuple[int, int] | None = None) -> tuple[Losses, Weights]:
    """The losses of a training of the row, and how far it has moved each weight.

    Args:
        of_processes: which of how many this process is; without them it trains alone.
    """
    steps: Losses = []
    moved: Weights = {}
    is_apart = row.apart and of_processes is not None
    with (
        in_double() if row.double else nullcontext(),
        pytest.raises(RunError, match="do not agree") if is_apart else nullcontext(),
    ):
        _train(row.run(), steps, moved, of_processes)
    return steps, moved


ROWS = (
    Row("ssd"),
    Row("fpn"),
    Row("pafpn"),
    Row("nas_fpn", switches={"stack": 2}),
    Row("libra"),
    Row("refinedet"),
    Row("ta_fpn"),
    Row("efpn"),
    Row("mrae"),
    Row("zoominnet"),
    Row("fpn", "faster_rcnn"),
    Row("pafpn", "faster_rcnn"),
    Row("nas_fpn", "faster_rcnn", {"stack": 2}),
    Row("libra", "faster_rcnn"),
    Row("libra", "faster_rcnn", {"code_compat": True}),
    Row("ta_fpn", "faster_rcnn"),
    Row("efpn", "faster_rcnn"),
    Row("efpn", "faster_rcnn", {"detect_from": "p3_ftt"}),
    Row("mrae", "faster_rcnn"),
    Row(
        "mrae", "faster_rcnn", {"box_head": "res5"},
        sections={"regions": {"batch_size_per_image": 32}},  # a stage of the backbone on each
    ),
    Row("mrae", switches={"mode": "soft"}),
    Row("zoominnet", switches={"align": "la"}),
    Row("zoominnet", switches={"align": "none"}),
    Row("zoominnet", switches={"distill_loss": "by_map"}),
    Row(
        "nas_fpn", switches={"stack": 2, "separate_bn": True},
        sections={"neck": {"tower_convs": 1}},
    ),
    Row("ta_fpn", sections={"neck": {"norm": "none"}}),
    # At a higher rate this and the next one but one are chaotic: with weights changed by 1e-15 of
    # themselves, their losses are .6 and .04 off after 20 steps in a single process too.
    Row("refinedet", sections={"neck": {"norm": "none"}, "schedule": {"lr": 0.0001}}),
    Row("fpn", frozen=True),
    Row("fpn", "faster_rcnn", sections={"schedule": {"batch_size": 3, "lr": 0.0001}}),
    Row(
        "fpn", "faster_rcnn",
        sections={
            "input": {"size": [32, 64], "resize": "shorter_side"},
            "augment": {"scale_jitter": [0.5, 1.5]},
        },
    ),
)  # fmt: skip
"""All rows of the suite, the methods under the other head, and what else may differ by process."""


@contextmanager
def in_double() -> Iterator[None]:
    """Networks and what they compute are float64, also where float32 is asked for by name."""
    plain, default = torch.Tensor.float, torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.float = plain  # type: ignore[method-assign]
        torch.set_default_dtype(default)


def _train(
    run: Run,
    steps: Losses | None = None,
    moved: Weights | None = None,
    of_processes: tuple[int, int] | None = None,
) -> Detector:
    """The trained detector of a run; what it requires is trained in one process."""
    suite = run.suite
    assert isinstance(suite.dataset, SyntheticData)
    dataset = scenes.read(suite.dataset, "train")
    wh = box_wh(dataset, suite.input)
    detector = build_detector(suite, run.entry, len(dataset.classes), run.seed, wh)
    detector = detector.to(memory_format=torch.channels_last)
    for role, required in run.requires:
        detector.load_required(role, _trained(required.settings_id, required))
    start = {name: weight.detach().clone() for name, weight in detector.named_parameters()}
    has_2x = any(stage.images_2x for stage in detector.stages)
    images_2x = _images(dataset, at_double_size(suite.input)) if has_2x else None
    data = DoubleData(dataset, _images(dataset, suite.input), suite.input, suite.augment, images_2x)
    with ExitStack() as stack:
        if of_processes is not None:
            stack.enter_context(sharing(Share.of(*of_processes, suite.schedule.batch_size)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        train(
            detector, data, suite.schedule, folder, run_id=run.id, seed=run.seed,
            precision=suite.precision, log_path=folder / "log.jsonl", score=dict,
            on_step=lambda progress: steps.append(progress.losses) if steps is not None else None,
            warn=print,
        )  # fmt: skip
    if moved is not None:
        moved |= {name: w.detach() - start[name] for name, w in detector.named_parameters()}
    return detector


_kept: dict[str, Detector] = {}


def _trained(settings_id: str, run: Run) -> Detector:
    """The detector of a required run, trained once in a process for each type of numbers."""
    key = f"{settings_id} {torch.get_default_dtype()}"
    if key not in _kept:
        _kept[key] = _train(run)
    return _kept[key]


@dataclass(frozen=True)
class DoubleData(TrainingData):
    """Its boxes are float64 where that is the default."""

    def batches(self, *arguments: Any) -> Iterator[Batch]:
        """As the others, with boxes of another type."""
        kind = torch.get_default_dtype()
        for batch in super().batches(*arguments):
            targets = batch.targets._each(lambda x: x.to(kind) if x.is_floating_point() else x)
            yield replace(batch, targets=targets)


def _images(dataset: Dataset, settings: Input) -> ImageArray:
    return np.stack([resize(dataset.read_image(i), settings) for i in range(len(dataset.images))])


def differences(rows: Sequence[Row], processes: int, folder: Path) -> list[Differences]:
    """How far the losses of several processes are from those of one, row by row.

    Args:
        folder: empty.
    """
    start: Callable[..., None] = torch.multiprocessing.spawn  # type: ignore[attr-defined]
    start(_process, (rows, processes, folder), processes)
    found: list[Differences] = torch.load(folder / "differences.pt")
    return found


def _process(rank: int, rows: Sequence[Row], processes: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=processes,
        timeout=timedelta(hours=2),
    )  # fmt: skip
    found = []
    for row in rows:
        whole_batch.reduced = own_value if row.apart else reduced
        shared, moved = training_of(row, (rank, processes))
        if rank == 0:  # the others wait for the next row
            losses, way = training_of(row)
            found.append(greatest_differences(losses, shared))
            if moved:
                found[-1]["weights"] = weight_difference(way, moved)
            print(table_line(row, found[-1]), flush=True)
    if rank == 0:
        torch.save(found, folder / "differences.pt")
    torch.distributed.destroy_process_group()


def own_value(x: Tensor, by: str = "sum") -> Tensor:
    """Stands for ``reduced`` where processes do not add up."""
    del by
    return x


def table_line(row: Row, found: Differences) -> str:
    """A row of the table in Markdown."""
    worst = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
    return f"| {row} | {worst} |"


def greatest_differences(one: Losses, other: Losses) -> Differences:
    """The greatest difference of every loss over all steps.

    Raises:
        ValueError: the trainings do not have the same steps and losses.
    """
    found: Differences = {}
    for here, there in zip(one, other, strict=True):
        if here.keys() != there.keys():
            raise ValueError(f"losses {sorted(here)} and {sorted(there)}")
        for name, value in here.items():
            found[name] = max(found.get(name, 0.0), abs(value - there[name]))
    return found


def weight_difference(one: Weights, other: Weights) -> float:
    """The greatest difference, as a share of the longest way."""
    apart = max(float((way - other[name]).abs().max()) for name, way in one.items())
    return apart / max(float(way.abs().max()) for way in one.values())
