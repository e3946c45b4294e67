"""The sections of a suite file other than ``dataset``, with the checks that each can make alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sobench.errors import did_you_mean
from sobench.suite.datasets import DataSpec
from sobench.suite.heads import HEADS
from sobench.suite.paths import NONE, PLACEHOLDERS, is_place, unknown_placeholder
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.section import FilePath, Label, Line, Section
from sobench.text import quoted
from sobench.yaml_text import shown

MAX_EPOCHS = 10**6

MAX_SEEDS = 1000

Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""A number that random generators of every library take."""

_LONGEST_CHAIN = 20
"""Rows that start from one another's weights, each trained after the one before."""

_SHORTEST, _LONGEST = 32, 16384

Side = Annotated[int, Field(ge=_SHORTEST, le=_LONGEST)]
"""A side of the network's input in pixels."""


class Input(Section):
    """The network's input, which every image is resized to."""

    size: tuple[Side, Side]
    """Height and width in pixels. With ``resize: shorter_side`` the length of the shorter side and
    the limit of the longer one."""
    resize: Literal["stretch", "letterbox", "shorter_side"] = "stretch"
    """``stretch`` changes the aspect ratio to fill the input; the others keep it and pad right and
    below: ``letterbox`` to the input's size, ``shorter_side`` to the largest height and width in
    the batch, rounded up to multiples of 32. There a training batch holds tall images or others
    (what is left of both may share the last one), and an image is tested on a canvas of its own.
    Anchors and proposals wholly in the padding are not trained on as background."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.resize == "shorter_side" and self.size[0] > self.size[1]:
            raise ValueError(f"size: write [shorter, longer], not {shown(self.size)}")
        return self


class Augment(Section):
    """Augmentation of the training images: a flip, then scale jitter, then photometric distortion.

    For one seed every method sees the same draws.
    """

    hflip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    scale_jitter: tuple[float, float] | None = None
    """Lowest and highest factor by which an image is scaled before a crop of the input's size, with
    padding where it is smaller. With ``resize: shorter_side`` the crop has at most the image's own
    size, and nothing is padded before the batch is. The default does not scale."""
    photometric: float = Field(0.0, ge=0, le=1)
    """Probability of each change of brightness, contrast, saturation, hue and channel order. The
    default changes no colour."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.scale_jitter and not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise ValueError(
                f"scale_jitter: {shown(self.scale_jitter)} is not a range; write [low, high]"
            )
        return self


class Backbone(Section):
    """The feature extractor, the same network with the same initial weights for every method."""

    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101",
        "resnext101_32x8d", "resnext101_64x4d", "vgg16",
    ]  # fmt: skip
    """The architecture, as torchvision has it."""
    weights: FilePath = "imagenet"
    """``imagenet`` (downloaded on first use), ``none`` (from scratch), or the path of a state dict;
    ``${VAR}`` and ``~`` work, and a relative path is relative to the suite file."""
    freeze: tuple[Literal["stem", "layer1", "layer2", "layer3", "layer4"], ...] = Field(
        (), max_length=5
    )
    """Stages that do not train. By default all of them train."""
    norm: Literal["frozen", "train"] = "frozen"
    """Running statistics of batch normalisation: ``frozen`` keeps those of the weights while scale
    and shift still learn; ``train`` updates them, which training from scratch needs."""

    @model_validator(mode="after")
    def _from_scratch(self) -> Self:
        if self.weights == "none" and self.freeze:
            raise ValueError("freeze: random layers cannot be frozen; write freeze: [] or weights:")
        if self.weights == "none" and self.norm == "frozen" and self.name != "vgg16":
            raise ValueError("norm: frozen needs weights; from scratch write norm: train")
        return self


class Neck(Section):
    """The pyramid, and the towers of the head behind it."""

    channels: int = Field(256, gt=0, le=8192, multiple_of=8)
    """Channels of every level of the pyramid and of the towers."""
    norm: Literal["none", "group"] = "none"
    """``group`` puts GroupNorm behind every convolution of pyramid and towers, as training from
    scratch needs it (He et al., arXiv:1811.08883). The default is the papers' and has none."""
    tower_convs: int = Field(4, ge=0, le=8)
    """Convolutions of each tower of RetinaNet's head; the default is the paper's. Short schedules
    learn faster with fewer."""


class Anchors(Section):
    """Anchors of every method, in pixels of the input.

    A switch of a method may ask for those of its paper instead, which is printed with the row.
    ``anchors: fit`` is short for ``anchors: {fit: true}``.
    """

    smallest: float = Field(32.0, gt=0, le=16384)
    """Side in pixels of the smallest anchor, on the finest level; every further level doubles it.
    The default is that of the papers of both heads."""
    octaves: int = Field(3, ge=1, le=6)
    """Anchor sizes to a level, each ``2^(1 / octaves)`` times the one before. The default depends
    on the head: 3 for ``retinanet``, 1 for ``faster_rcnn``."""
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.5, 1.0, 2.0), min_length=1, max_length=20
    )
    """Height over width of the anchors; each size has all of them."""
    fit: bool = False
    """Whether ``smallest`` and ``ratios`` come from a clustering of the training boxes, for every
    method by the same rule: the smallest of four clusters of sides, but at least 1.5 strides of the
    head's finest level, and three clusters of ratios."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        fields = type(self).model_fields
        # Those of a row's deviations are laid over all values of the suite, defaults too.
        given = [k for k in ("smallest", "ratios") if getattr(self, k) != fields[k].default]
        if self.fit and given:
            raise ValueError(
                f"fit: true finds {' and '.join(given)} itself; leave one of the two out, or "
                "write anchors: fit for the whole section"
            )
        return self


class Regions(Section):
    """Proposals of a two-stage head, those that train its second stage, and its box losses.

    ``retinanet`` does not read them.
    """

    pre_nms_top_n: int = Field(2000, gt=0, le=10**6)
    """Anchors of each level and image with the best scores, which go into the suppression."""
    nms: float = Field(0.7, gt=0, le=1)
    """IoU above which the worse of two proposals of a level is suppressed."""
    post_nms_top_n: int = Field(1000, gt=0, le=10**6)
    """Proposals of an image, over all levels, that the second stage classifies."""
    batch_size_per_image: int = Field(512, ge=4, le=10**6)
    """Proposals of an image that train the second stage; at most a quarter of them are objects."""
    channels: int = Field(1024, gt=0, le=2**16)
    """Width of the two fully connected layers of the second stage."""
    rpn_beta: float = Field(0.0, ge=0)
    """Knee of the proposals' smooth L1: the difference of encoded offsets below which it is
    quadratic. The default 0 is plain L1; torchvision and Libra R-CNN's code have 1/9."""
    box_beta: float = Field(0.0, ge=0)
    """The same for the boxes of the second stage; a method with its own box loss does not read it.
    The default 0 is plain L1; Fast R-CNN and Libra R-CNN's baseline have 1."""
    box_weight: float = Field(1.0, gt=0)
    """Factor of the box losses of both stages, also of a method's own. The default weighs them like
    the losses of classes; TensorFlow's Faster R-CNN has 2."""


class Warmup(Section):
    """Linear warm-up of the learning rate."""

    steps: int = Field(500, ge=0, le=10**9)
    """Length in steps; 0 starts with the full rate."""
    start: float = Field(0.001, gt=0, le=1)
    """Factor of the rate at the first step, from which it rises to 1."""


class Schedule(Section):
    """How long, with which optimizer and at which rate every method trains."""

    epochs: int = Field(gt=0, le=MAX_EPOCHS)
    """Passes through the training images."""
    batch_size: int = Field(gt=0, le=10**5)
    """Images to a step. The last images of an epoch that do not fill a batch are left out."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW."""
    lr: float = Field(gt=0)
    """Learning rate after the warm-up."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of ``sgd``; ``adamw`` does not read it."""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay of all weights that train."""
    warmup: Warmup = Warmup(steps=500, start=0.001)
    """Linear warm-up; its keys are below."""
    decay: Literal["milestones", "cosine"] = "milestones"
    """``milestones`` cuts the rate at each of them; ``cosine`` lowers it to 0 at the end."""
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = Field((), max_length=1000)
    """Epochs after which the rate is multiplied by ``gamma``; 1.5 is the middle of the second. By
    default the rate stays."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor of the rate at each milestone."""
    clip_norm: float | None = Field(None, gt=0)
    """Limit of the gradient's L2 norm over all weights. By default gradients are not clipped."""

    @model_validator(mode="after")
    def _milestones(self) -> Self:
        if self.milestones and self.decay == "cosine":
            raise ValueError("milestones: have no meaning with decay: cosine; leave one out")
        for milestone in self.milestones:
            if milestone >= self.epochs:
                raise ValueError(
                    f"milestones: {milestone:g} is beyond the last epoch; "
                    f"epochs is {self.epochs}, so write a smaller milestone or more epochs"
                )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones: {shown(self.milestones)} must rise")
        return self


class Detect(Section):
    """How predictions become detections, for every method."""

    score_threshold: float = Field(0.05, ge=0, lt=1)
    """Score that a detection must exceed."""
    top_k: int = Field(1000, gt=0, le=10**6)
    """Predictions with the best scores that go into the suppression: of each level, or, with two
    stages, of the image."""
    nms: float = Field(0.5, gt=0, le=1)
    """IoU above which the worse of two detections of a class is suppressed."""
    max_detections: int = Field(100, gt=0, le=10**5)
    """Detections of an image that are kept, best first; at least as many as the protocol scores."""


Place = Annotated[FilePath, StringConstraints(strip_whitespace=True)]
"""Where trained weights are, as it is written: a file, a folder or a label."""


class MultiScale(Section):
    """A further test that sees every image at several input sizes.

    The candidates of all (boxes before the suppression, ``detect.top_k`` of each size) are mapped
    back to the image, joined, and suppressed once, with the settings of ``detect``.
    """

    scales: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field((), max_length=10)
    """Factors of ``input.size``, rounded to pixels; 1 is the input itself. By default there is no
    such test."""
    flip: bool = False
    """Whether the mirror image of every input is tested as well. By default it is not."""

    @model_validator(mode="after")
    def _joins(self) -> Self:
        if self.flip and not self.scales:
            raise ValueError(
                "flip: has no effect without scales; write scales: [1], or leave both out"
            )
        if len(self.scales) == 1 and not self.flip:
            raise ValueError(
                "scales: one joins nothing; write several, or flip: true, or use eval_sizes"
            )
        return self

    def sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The input sizes (height, width) that the scales make of ``size``, in their order."""
        height, width = size
        return tuple((round(scale * height), round(scale * width)) for scale in self.scales)


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
    seeds: tuple[Seed, ...] = Field((0,), max_length=MAX_SEEDS)
    """Every row is trained once with each seed, which fixes order, augmentation and initial
    weights. With one seed the intervals hold no noise of training."""
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
        scored = PROTOCOLS[self.protocol].max_dets[-1]
        if self.detect.max_detections < scored:
            raise ValueError(
                f"detect.max_detections: {self.detect.max_detections} is fewer than protocol "
                f"{self.protocol} scores; write at least {scored}"
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
            if not _SHORTEST <= min(size) <= max(size) <= _LONGEST:
                raise ValueError(
                    f"multi_scale.scales: {scale:g} makes an input of {shown(size)}; "
                    f"sides must be {_SHORTEST} to {_LONGEST}"
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
