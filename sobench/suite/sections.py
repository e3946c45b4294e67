"""A suite file as a whole, and its rows of methods, with the checks across sections."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sobench.errors import did_you_mean
from sobench.suite.datasets import DataSpec
from sobench.suite.detect import Detect, MultiScale
from sobench.suite.heads import HEADS
from sobench.suite.input import LONGEST, SHORTEST, Augment, Input, Side
from sobench.suite.network import Anchors, Backbone, Neck, Regions
from sobench.suite.paths import NONE, PLACEHOLDERS, is_place, unknown_placeholder
from sobench.suite.protocols import PROTOCOLS, engine_name
from sobench.suite.schedule import MAX_EPOCHS, Schedule
from sobench.suite.section import FilePath, Label, Line, Section
from sobench.text import quoted
from sobench.yaml_text import shown

MAX_SEEDS = 1000

Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""A number that random generators of every library take."""

_LONGEST_CHAIN = 20
"""Rows that start from one another's weights, each trained after the one before."""

Place = Annotated[FilePath, StringConstraints(strip_whitespace=True)]
"""Where trained weights are, as it is written: a file, a folder or a label."""


class MethodEntry(Section):
    """One row of ``methods``: a method, and its differences from the suite and from its defaults.

    In a suite file switches are keys of the row, and ``reason`` is a key of ``deviations``.
    """

    name: Label
    """Name of the method; ``sobench list methods`` shows all. A row may be this name alone."""
    label: Label = ""
    """Name of the row on the leaderboard, different for every row. The default is the method's."""
    init_from: Place = ""
    """Label of another row, from whose trained weights this one starts; or a place outside of the
    suite, or ``none``, in place of the suite's ``init_from``. By default that holds."""
    switches: dict[Line, Line | int | float | bool] = Field(default_factory=dict)
    """A switch of the method, by its name, such as ``fuse: false``; ``sobench list methods`` shows
    names, values and defaults."""
    deviations: dict[Line, Any] = Field(default_factory=dict)
    """Dotted keys of the suite with other values for this row, such as ``schedule.lr: 0.001``, and
    the reason for them; printed with the row. By default there are none."""
    reason: Line = ""
    """Why the row deviates; it must be given with deviations."""


class Suite(Section):
    """A suite file, checked. Its settings are the same for every method."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    """Name of the suite and of its folder of results; letters, digits, ``.``, ``_`` and ``-``. The
    default is the name of the file."""
    title: Line = ""
    """Heading of the leaderboard. The default is the name."""
    dataset: DataSpec
    """The images and their annotations."""
    input: Input
    """The network's input."""
    augment: Augment = Augment()
    """Augmentation of the training images."""
    backbone: Backbone
    """The feature extractor."""
    neck: Neck = Neck()
    """The pyramid and the towers."""
    head: str = "retinanet"
    """Head of every method that has none of its own: ``retinanet`` or ``faster_rcnn``."""
    anchors: Anchors = Anchors()
    """Anchors of every method."""
    regions: Regions = Regions()
    """Proposals of a two-stage head."""
    schedule: Schedule
    """Length, optimizer and learning rate of the training."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Numbers that networks compute in; ``bf16`` is autocast and slow on processors without it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks train; ``auto`` takes a GPU if there is one. Results stay valid elsewhere."""
    compile: Literal["auto", "off"] = "auto"
    """Whether trainings compile their networks, which takes a minute at first and makes every step
    shorter; ``auto`` does so on a GPU, if batches are of one size and Triton is there. Losses
    differ by rounding alone, so results stay valid."""
    seeds: tuple[Seed, ...] = Field((0,), max_length=MAX_SEEDS)
    """Every row is trained once with each seed, which fixes order, augmentation and initial
    weights. With one seed the intervals hold no noise of training."""
    ignore_regions: bool = True
    """Whether training leaves out the ignore regions of the data set: an anchor, a proposal or a
    cell of a distilled map of which more than half lies in one is then no background, for every
    method alike. With ``false`` they are background like all else; where the data set has no such
    regions, this has no effect. Scoring follows the protocol in both cases."""
    detect: Detect = Detect()
    """From predictions to detections."""
    protocol: str = "coco"
    """How detections are scored; ``sobench list protocols`` shows all. Changing it needs no new
    training."""
    engine: Literal["hotcoco", "pycocotools"] = "hotcoco"
    """Library that computes the metrics; ``pycocotools`` is the slow reference."""
    evaluate_every: int = Field(0, ge=0, le=MAX_EPOCHS)
    """Epochs between two evaluations during training, for a learning curve. The default scores only
    the trained network."""
    eval_sizes: tuple[tuple[Side, Side], ...] = Field((), max_length=50)
    """Further input sizes, written as ``input.size``, at which every trained network is tested. By
    default it is tested at ``input.size`` alone."""
    init_from: Place = ""
    """Trained weights that rows start from: the folder of a finished run, a folder that holds one
    such folder, or the file of a checkpoint or state dict. ``{method}`` and ``{label}`` stand for
    those of the row; ``${VAR}`` and ``~`` work, and a relative path is relative to the suite file.
    The content counts, not the place. By default, and with ``none``, rows start from the backbone's
    weights."""
    init_classes: dict[Label, Label] = Field(default_factory=dict)
    """Class of the data set -> class of the weights of ``init_from``, such as ``sofa: couch``, for
    those whose names differ. By default a class takes the weights of the one of its name."""
    tuned: FilePath = "none"
    """File that ``sobench tune`` wrote, of values that were chosen for single rows on held-out
    training images; they take the place of the suite's and are printed with the row. A relative
    path is relative to the suite file; ``${VAR}`` and ``~`` work. With ``none`` every row has the
    suite's values."""
    multi_scale: MultiScale = MultiScale()
    """A further test of every trained network at several input sizes together. A row may deviate
    from it, or with ``multi_scale: {}`` do without."""
    keep_background: tuple[Annotated[float, Field(gt=0, le=10**6)], ...] = Field((), max_length=50)
    """Further tests on val images of which only the annotated objects and the background around
    them are kept: boxes with the object's centre and aspect ratio, and so many times its area; 1
    keeps the objects alone. The rest is blanked with the mean colour. By default there are none."""
    methods: tuple[MethodEntry, ...] = Field(min_length=1, max_length=200)
    """Rows of the leaderboard."""

    @model_validator(mode="before")
    @classmethod
    def _anchors_of_the_head(cls, content: Any) -> Any:
        """Complete the anchors by those of the head where the suite does not pin them."""
        if not isinstance(content, dict):
            return content
        name, anchors = content.get("head", "retinanet"), content.get("anchors", {})
        if anchors == "fit":
            anchors = {"fit": True}
        if not isinstance(name, str) or name not in HEADS or not isinstance(anchors, dict):
            return content
        return content | {"anchors": {"octaves": HEADS[name].octaves} | anchors}

    @model_validator(mode="after")
    def _names(self) -> Self:
        _check_name("head", self.head, HEADS)
        _check_name("protocol", self.protocol, PROTOCOLS)
        protocol = PROTOCOLS[self.protocol]
        scored = max(protocol.max_dets, default=0)
        if self.detect.max_detections < scored:
            raise ValueError(
                f"detect.max_detections: {self.detect.max_detections} is fewer than protocol "
                f"{self.protocol} scores; write at least {scored}"
            )
        if self.engine != engine_name(protocol, self.engine) and self.engine != "hotcoco":
            raise ValueError(
                f"engine: {self.engine} does not compute protocol {self.protocol}, which sobench "
                "scores itself; leave engine out"
            )
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError(f"seeds: {shown(self.seeds)} must be different and at least one")
        labels = [entry.label for entry in self.methods]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"methods: two rows are called {quoted(label)}; give one a label")
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for size in self.eval_sizes:
            if self.input.resize == "shorter_side" and size[0] > size[1]:
                raise ValueError(f"eval_sizes: write [shorter, longer], not {shown(size)}")
            if self.eval_sizes.count(size) > 1:
                raise ValueError(f"eval_sizes: {shown(size)} is given twice; leave one out")
        for times in self.keep_background:
            if self.keep_background.count(times) > 1:
                raise ValueError(f"keep_background: {times:g} is given twice; leave one out")
        sizes = self.multi_scale.sizes(self.input.size)
        for scale, size in zip(self.multi_scale.scales, sizes, strict=True):
            if not SHORTEST <= min(size) <= max(size) <= LONGEST:
                raise ValueError(
                    f"multi_scale.scales: {scale:g} makes an input of {shown(size)}; "
                    f"sides must be {SHORTEST} to {LONGEST}"
                )
            if sizes.count(size) > 1:
                raise ValueError(f"multi_scale.scales: two make {shown(size)}; leave one out")
        return self

    @model_validator(mode="after")
    def _places(self) -> Self:
        """Places of weights have no unknown braces, and their classes have a use."""
        outside = [row.init_from for row in self.methods if self.starts_outside(row)]
        if self.init_from not in ("", NONE) and not is_place(self.init_from):
            raise ValueError(
                f"init_from: {shown(self.init_from)} is not a path; write ./{self.init_from}, or "
                "give a row its init_from if you mean a label"
            )
        for place in (self.init_from, *outside):
            if braces := unknown_placeholder(place):
                raise ValueError(
                    f"init_from: {quoted(braces)} stands for nothing; known: "
                    f"{', '.join(PLACEHOLDERS)}"
                )
        if self.init_classes and not (self.init_from or outside):
            raise ValueError("init_classes: nothing starts from other weights; write init_from")
        return self

    def starts_outside(self, entry: MethodEntry) -> bool:
        """Whether a row names a place of its own outside of the suite."""
        is_label = any(entry.init_from == row.label for row in self.methods)
        return not is_label and is_place(entry.init_from)

    def origin_label(self, entry: MethodEntry) -> str:
        """The label that a row starts from; empty if it starts from something else."""
        return "" if entry.init_from == NONE or self.starts_outside(entry) else entry.init_from

    @model_validator(mode="after")
    def _origins(self) -> Self:
        """Every ``init_from`` names another row, and none leads back to where it began."""
        entries = {entry.label: entry for entry in self.methods}
        for entry in self.methods:
            labels, current = [entry.label], entry
            while self.origin_label(current):
                if current.init_from not in entries:
                    raise ValueError(
                        f"methods: {current.label}: init_from: no row is called "
                        f"{quoted(current.init_from)};{did_you_mean(current.init_from, entries)}; "
                        f"a file or folder begins with ./"
                    )
                if len(labels) > _LONGEST_CHAIN:
                    raise ValueError(
                        f"methods: {entry.label}: init_from leads through more than "
                        f"{_LONGEST_CHAIN} rows; start nearer"
                    )
                current = entries[current.init_from]
                if current.label in labels:
                    raise ValueError(
                        f"methods: {entry.label}: init_from: "
                        f"{' <- '.join([*labels, current.label])} is a cycle; leave one out"
                    )
                labels.append(current.label)
        return self


def _check_name(key: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise ValueError(f"{key}: unknown {quoted(name)};{did_you_mean(name, names)}")
