"""An audit of a suite: what its rows share, what each does otherwise, and what that is worth.

Importing this needs no torch; ``audit`` builds the networks and does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from sobench.compare.undeclared import undeclared
from sobench.data.dataset import Dataset, FloatArray
from sobench.data.resize import box_wh, input_boxes, typical_shape
from sobench.errors import RequestError
from sobench.runs.record import Record
from sobench.suite.input import Input
from sobench.suite.method import BASELINE
from sobench.suite.plan import Run
from sobench.suite.sections import Suite

if TYPE_CHECKING:
    from sobench.models.network import Network

SIZES = {"<16 px": ("<8", "8-16"), "16-32 px": ("16-32",)}
"""Columns of the coverage -> bins of ``SIZE_BINS`` that they join."""


@dataclass(frozen=True)
class Training:
    """One training that a row's result takes.

    Attributes:
        name: of the run, with its role, or of a stage of the row itself.
        epochs: of the training images.
        of_weights: whether the row's weights went through it; those of a teacher did not.
        is_own: whether it is the row's own, not that of a run that it requires.
    """

    name: str
    epochs: int
    of_weights: bool = True
    is_own: bool = True


@dataclass(frozen=True)
class AuditRow:
    """A row of the audit; what could not be found out is ``None``.

    Attributes:
        run: with the first seed.
        head: of the suite, or ``own``.
        anchors: number for one image.
        smallest: side of the smallest anchor in pixels of the input.
        stride: of the finest level in pixels of the input.
        coverage: ``all`` and ``SIZES`` -> share of the training objects with an anchor of IoU .5 or
            more; a size without any object is left out.
        parameters: of the network, all classes included.
        gflops: multiply-adds for one image, in 1e9.
        trainings: of the row and of the runs that it requires.
        undeclared: what sets it apart without a word of its deviations, with its values.
        records: of its runs, seed by seed.
    """

    run: Run
    head: str = ""
    anchors: int | None = None
    smallest: float | None = None
    stride: float | None = None
    coverage: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    gflops: float | None = None
    trainings: tuple[Training, ...] = ()
    undeclared: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()

    @property
    def label(self) -> str:
        """Of the row."""
        return self.run.entry.label

    @property
    def epochs(self) -> int:
        """Of all its trainings."""
        return sum(training.epochs for training in self.trainings)

    @property
    def epochs_of_weights(self) -> int:
        """Of those that its weights went through."""
        return sum(training.epochs for training in self.trainings if training.of_weights)


@dataclass(frozen=True)
class Data:
    """Both splits as they are scored, and warnings about them."""

    train: Dataset
    val: Dataset
    warnings: tuple[str, ...] = ()

    @property
    def ignored(self) -> int:
        """Number of ignore regions to train on."""
        return sum(len(image.ignore) for image in self.train.images)

    @cached_property
    def _boxes(self) -> dict[Input, tuple[FloatArray, FloatArray | None]]:
        return {}

    def boxes(self, settings: Input) -> tuple[FloatArray, FloatArray | None]:
        """The training objects ``[N, 4]``, their widths and heights ``[N, 2]``, in the input."""
        if settings not in self._boxes:
            scaled = input_boxes(self.train, settings), box_wh(self.train, settings)
            self._boxes[settings] = scaled
        return self._boxes[settings]

    def median_side(self, settings: Input) -> float | None:
        """Of the training objects in pixels of the input."""
        boxes, _ = self.boxes(settings)
        sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
        return float(np.median(sides)) if len(sides) else None


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        suite: that all rows share.
        rows: in the suite's order.
        num_classes: ``None`` if it is not known; parameters are then those of one class.
        images: split -> number of images; empty if they are not known.
        ignored: number of ignore regions to train on; ``None`` if it is not known.
        cautions: where uniform is only nominal, sentence by sentence.
        unchecked: what could not be looked at, and why.
        partial: options that set the suite apart from its file.
    """

    suite: Suite
    rows: tuple[AuditRow, ...]
    num_classes: int | None
    images: dict[str, int]
    ignored: int | None = None
    cautions: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Row by row, what nothing declares."""
        return tuple(f"{row.label}: {text}" for row in self.rows for text in row.undeclared)


def look_at(
    runs: Sequence[Run], suite: Suite, data: Data | None, records: Mapping[str, Record]
) -> tuple[tuple[AuditRow, ...], int | None]:
    """Look at every row of a plan: its settings, its network and its records.

    Args:
        runs: of all seeds.
        suite: without the rows' deviations.
        data: ``None`` if the data are not at hand.
        records: by ``settings_id``, of the runs that have one.

    Returns:
        the rows, and the number of classes if it is known.
    """
    from sobench.models.network import Builder  # torch takes seconds to import

    num_classes = _num_classes(suite, data, records)
    builder = Builder(runs[0].seed)
    rows: dict[str, AuditRow] = {}
    networks: dict[str, Network] = {}
    for run in runs:
        if run.entry.label in rows:
            continue
        label = run.entry.label
        of_row = [r for r in runs if r.entry.label == label]
        known = tuple(records[r.settings_id] for r in of_row if r.settings_id in records)
        found = [text for r in of_row for text in undeclared(r, suite)]
        found += [text for r in known for text in undeclared(_run_of(r, of_row), suite, r.settings)]
        try:
            wh = data.boxes(run.suite.input)[1] if data else None
            network = builder.build(run.suite, run.entry, num_classes or 1, wh)
        except RequestError as error:
            rows[label] = AuditRow(run, undeclared=tuple(dict.fromkeys([*found, str(error)])))
            continue
        networks[label] = network
        declared = run.deviations
        found += [d.text for d in network.differences if not d.declared_by(declared)]
        rows[label] = _row(run, network, data, tuple(dict.fromkeys(found)), known)
    whole = [replace(x, trainings=_trainings(x.run, networks)) for x in rows.values()]
    return tuple(whole), num_classes


def _run_of(record: Record, runs: Sequence[Run]) -> Run:
    return next(run for run in runs if run.settings_id == record.settings_id)


def _row(
    run: Run,
    network: Network,
    data: Data | None,
    found: tuple[str, ...],
    records: tuple[Record, ...],
) -> AuditRow:
    from sobench.metrics.cost import count_gflops_without_storage, count_parameters
    from sobench.suite.methods import get_method

    gflops: float | None
    try:
        gflops = count_gflops_without_storage(network.detector, typical_shape(run.suite.input))
    except KeyboardInterrupt:
        raise
    except BaseException:  # a method that reads values, or of another package
        costs = [record.cost for record in records if record.cost]
        gflops = costs[0].gflops if costs else None
    return AuditRow(
        run=run,
        head=run.suite.head if get_method(run.entry.name).heads else "own",
        anchors=network.anchors or None,
        smallest=network.smallest,
        stride=min((level.stride for level in network.levels), default=None),
        coverage=_coverage(run.suite, network, data) if data else {},
        parameters=count_parameters(network.detector)[0],
        gflops=gflops,
        undeclared=found,
        records=records,
    )


def _coverage(suite: Suite, network: Network, data: Data) -> dict[str, float]:
    from sobench.models.coverage import coverage

    boxes, _ = data.boxes(suite.input)
    found = coverage(network.detector, boxes, network.config.anchors.smallest)
    if found is None or not len(boxes):
        return {}
    met = found.by_side(boxes)
    columns = {"all": tuple(met)} | SIZES
    counts = {
        name: (sum(met[key][0] for key in keys), sum(met[key][1] for key in keys))
        for name, keys in columns.items()
    }
    return {name: count / total for name, (count, total) in counts.items() if total}


def _trainings(run: Run, networks: Mapping[str, Network]) -> tuple[Training, ...]:
    found = []
    for role, required in run.requires:
        of_weights = role in (BASELINE, "init_from")
        height, width = required.suite.input.size
        size = "" if required.suite.input == run.suite.input else f" at {height}x{width}"
        name = f"{role} {required.entry.name}{size}"
        for training in _trainings(required, networks):
            inner = training.of_weights and of_weights
            found.append(Training(name, training.epochs, inner, is_own=False))
    network, epochs = networks.get(run.entry.label), run.suite.schedule.epochs
    stages = network.detector.stages if network else ()
    own = [Training(stage.name, ceil(epochs * stage.share)) for stage in stages]
    return (*found, *(own or [Training("train", epochs)]))


def _num_classes(suite: Suite, data: Data | None, records: Mapping[str, Record]) -> int | None:
    """From the data, or else from a record's scores or the format's own classes."""
    if data is not None:
        return len(data.train.classes)
    for record in records.values():
        for scores in record.scores.values():
            return len(scores.per_class)
    if suite.dataset.format in ("coco", "yolo", "synthetic"):  # told by their files
        return None
    given = getattr(suite.dataset, "classes", None)
    if given == "all":
        return None
    return len(given or import_module(f"sobench.data.formats.{suite.dataset.format}").CLASSES)
