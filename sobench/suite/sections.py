"""The sections of a suite: frozen, typed, with the checks that concern a section alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sobench.errors import did_you_mean
from sobench.suite.heads import HEADS
from sobench.suite.protocols import PROTOCOLS


class Section(BaseModel):
    """A part of a suite: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CocoData(Section):
    """COCO JSON: ``train`` and ``val`` are annotation files, with an image folder each.

    ``max_area`` makes a subset of small objects: of each split it keeps the objects whose box is
    smaller than so many square pixels of the original image, and the images with at least one.
    Larger objects on these become background, as in MRAE's subset of COCO (arXiv:2006.05941).
    """

    format: Literal["coco"]
    root: str
    train: str
    val: str
    train_images: str = "images"
    val_images: str = "images"
    max_area: float | None = Field(None, gt=0)


class VisDroneData(Section):
    """VisDrone-DET: ``train`` and ``val`` are split folders with ``images`` and ``annotations``."""

    format: Literal["visdrone"]
    root: str
    train: str = "VisDrone2019-DET-train"
    val: str = "VisDrone2019-DET-val"


class VocData(Section):
    """PASCAL VOC: ``root`` holds ``Annotations``; ``train`` and ``val`` name ImageSets.

    ``classes`` replaces the twenty VOC classes for a data set in the same layout.
    """

    format: Literal["voc"]
    root: str
    train: str = "train"
    val: str = "val"
    classes: tuple[str, ...] | None = None


class YoloData(Section):
    """YOLO txt: ``root`` holds ``data.yaml``; ``train`` and ``val`` are keys of it."""

    format: Literal["yolo"]
    root: str
    train: str = "train"
    val: str = "val"


class Tt100kData(Section):
    """Tsinghua-Tencent 100K: ``train`` and ``val`` are split folders with ``ids.txt``.

    ``annotations`` is ``annotations_all.json`` in the release of 2021. ``classes`` replaces the 45
    signs that the field evaluates; ``all`` are the types of the annotation file, in its order.
    """

    format: Literal["tt100k"]
    root: str
    annotations: str = "annotations.json"
    train: str = "train"
    val: str = "test"
    classes: Literal["all"] | tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _all_or_different_names(cls, content: Any) -> Any:
        given = content.get("classes") if isinstance(content, dict) else None
        if given is None or given == "all":
            return content
        names = given if isinstance(given, list | tuple) else ()
        texts = {name for name in names if isinstance(name, str)}
        if not names or len(texts) < len(names):
            raise ValueError(
                f"classes: {given!r} is wrong; write all, or a list of different names"
            )
        return content


class SyntheticData(Section):
    """Drawn scenes: ``train`` and ``val`` are numbers of images, ``size`` is height and width."""

    format: Literal["synthetic"]
    train: int = Field(gt=0)
    val: int = Field(gt=0)
    size: tuple[int, int] = (256, 256)
    objects: tuple[int, int] = (20, 60)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ValueError(f"objects: {list(self.objects)} is no range; write [fewest, most]")
        if min(self.size) < 64:
            raise ValueError(f"size: {list(self.size)} is too small; draw at least 64 x 64")
        return self


FileData = CocoData | VisDroneData | VocData | YoloData | Tt100kData
DataSpec = Annotated[FileData | SyntheticData, Field(discriminator="format")]


class Input(Section):
    """The network's input. ``size`` is height and width for ``stretch`` and ``letterbox``.

    For ``shorter_side`` it is the length of the shorter side and the limit of the longer one; the
    canvas is then a square of that limit, rounded up to a multiple of 32, so that upright and wide
    images fit in one batch.
    """

    size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
    resize: Literal["stretch", "letterbox", "shorter_side"] = "stretch"

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.resize == "shorter_side" and self.size[0] > self.size[1]:
            raise ValueError(f"size: write [shorter, longer], not {list(self.size)}")
        return self


class Augment(Section):
    """The same for every method; a flip comes first, then jitter, then photometric distortion."""

    hflip: float = Field(0.5, ge=0, le=1)
    scale_jitter: tuple[float, float] | None = None
    photometric: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.scale_jitter and not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise ValueError(
                f"scale_jitter: {list(self.scale_jitter)} is no range; write [low, high]"
            )
        return self


class Backbone(Section):
    """The feature extractor. ``weights`` is ``imagenet``, ``none`` or the path of a state dict.

    ``norm: frozen`` holds the running statistics of batch normalisation still while its scale and
    shift go on learning; ``train`` updates both.
    """

    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101",
        "resnext101_32x8d", "resnext101_64x4d", "vgg16",
    ]  # fmt: skip
    weights: str = "imagenet"
    freeze: tuple[Literal["stem", "layer1", "layer2", "layer3", "layer4"], ...] = ()
    norm: Literal["frozen", "train"] = "frozen"

    @model_validator(mode="after")
    def _from_scratch(self) -> Self:
        if self.weights == "none" and self.freeze:
            raise ValueError("freeze: random layers cannot be frozen; write freeze: [] or weights:")
        if self.weights == "none" and self.norm == "frozen" and self.name != "vgg16":
            raise ValueError("norm: frozen needs weights; from scratch write norm: train")
        return self


class Neck(Section):
    """Channels of the pyramid and of the head's towers, their normalisation, the towers' depth.

    The papers have four convolutions to a tower and no norm, which is enough on a pretrained
    backbone. ``group`` puts GroupNorm behind every convolution of pyramid and towers, as training
    from scratch wants it (He et al., arXiv:1811.08883); short schedules learn faster through
    shallow towers.
    """

    channels: int = Field(256, gt=0, multiple_of=8)
    norm: Literal["none", "group"] = "none"
    tower_convs: int = Field(4, ge=0, le=8)


class Anchors(Section):
    """Anchors of the suite's head: ``scale`` times the stride, times the octave steps.

    Where a suite pins no scale or octaves, they are those of the head's row in ``HEADS``.
    """

    scale: float = Field(4.0, gt=0)
    octaves: int = Field(3, ge=1, le=6)
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 1.0, 2.0)


class Regions(Section):
    """Proposals and samples of a two-stage head, an image.

    Attributes:
        pre_nms_top_n: best anchors of each level before suppression; ``nms``: its overlap.
        post_nms_top_n: kept of all levels; the second stage classifies these.
        batch_size_per_image: proposals that train the second stage, at most a quarter objects.
        channels: width of the two fully connected layers.
    """

    pre_nms_top_n: int = Field(2000, gt=0)
    nms: float = Field(0.7, gt=0, le=1)
    post_nms_top_n: int = Field(1000, gt=0)
    batch_size_per_image: int = Field(512, ge=4)
    channels: int = Field(1024, gt=0)


class Warmup(Section):
    """Linear warm-up: from ``start`` times the rate to the rate, over ``steps`` steps."""

    steps: int = Field(500, ge=0)
    start: float = Field(0.001, gt=0, le=1)


class Schedule(Section):
    """How long and how fast. ``milestones`` are epochs after which the rate is cut by ``gamma``."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    warmup: Warmup = Warmup(steps=500, start=0.001)
    decay: Literal["milestones", "cosine"] = "milestones"
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = ()
    gamma: float = Field(0.1, gt=0, le=1)
    clip_norm: float | None = Field(None, gt=0)

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
            raise ValueError(f"milestones: {list(self.milestones)} must rise")
        return self


class Detect(Section):
    """What a trained network keeps: candidates per level, overlap and number of detections."""

    score_threshold: float = Field(0.05, ge=0, lt=1)
    top_k: int = Field(1000, gt=0)
    nms: float = Field(0.5, gt=0, le=1)
    max_detections: int = Field(100, gt=0)


class MethodEntry(Section):
    """One row of the matrix: a method, its switches, and what it may do differently.

    ``init_from`` is the label of another row, from whose trained weights this one starts.
    """

    name: str
    label: str = Field("", min_length=1)
    init_from: str = ""
    switches: dict[str, str | int | float | bool] = Field(default_factory=dict)
    deviations: dict[str, Any] = Field(default_factory=dict)
    reason: str = ""


class Suite(Section):
    """A suite file, checked. What stands here is the same for every method.

    ``eval_sizes`` are further input sizes at which every trained network is tested.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    dataset: DataSpec
    input: Input
    augment: Augment = Augment()
    backbone: Backbone
    neck: Neck = Neck()
    head: str = "retinanet"
    anchors: Anchors = Anchors()
    regions: Regions = Regions()
    schedule: Schedule
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    detect: Detect = Detect()
    protocol: str = "coco"
    engine: Literal["hotcoco", "pycocotools"] = "hotcoco"
    evaluate_every: int = Field(0, ge=0)
    eval_sizes: tuple[tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]], ...] = ()
    methods: tuple[MethodEntry, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _anchors_of_the_head(cls, content: Any) -> Any:
        """Fill in what the suite does not pin of the anchors."""
        if not isinstance(content, dict):
            return content
        head, anchors = content.get("head", "retinanet"), content.get("anchors", {})
        if head not in HEADS or not isinstance(anchors, dict):
            return content
        row = HEADS[head]
        return content | {"anchors": {"scale": row.scale, "octaves": row.octaves} | anchors}

    @model_validator(mode="after")
    def _names(self) -> Self:
        _known("head", self.head, HEADS)
        protocol = PROTOCOLS[_known("protocol", self.protocol, PROTOCOLS)]
        if self.detect.max_detections < protocol.max_dets[-1]:
            raise ValueError(
                f"detect.max_detections: {self.detect.max_detections} is fewer than protocol "
                f"{self.protocol} scores; write at least {protocol.max_dets[-1]}"
            )
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError(f"seeds: {list(self.seeds)} must be different and at least one")
        labels = [entry.label for entry in self.methods]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"methods: two rows are called {label!r}; give one a label")
        for size in self.eval_sizes:
            if self.input.resize == "shorter_side" and size[0] > size[1]:
                raise ValueError(f"eval_sizes: write [shorter, longer], not {list(size)}")
            if self.eval_sizes.count(size) > 1:
                raise ValueError(f"eval_sizes: {list(size)} stands twice")
        return self

    @model_validator(mode="after")
    def _origins(self) -> Self:
        """Every ``init_from`` names another row, and they lead to an end."""
        rows = {entry.label: entry for entry in self.methods}
        for entry in self.methods:
            seen, row = [entry.label], entry
            while row.init_from:
                if row.init_from not in rows:
                    raise ValueError(
                        f"methods: {row.label}: init_from: no row is called {row.init_from!r};"
                        f"{did_you_mean(row.init_from, rows)}"
                    )
                row = rows[row.init_from]
                if row.label in seen:
                    raise ValueError(
                        f"methods: {entry.label}: init_from: {' <- '.join([*seen, row.label])} "
                        "has no beginning; leave one out"
                    )
                seen.append(row.label)
        return self


def _known(key: str, name: str, table: dict[str, Any]) -> str:
    if name not in table:
        raise ValueError(f"{key}: unknown {name!r};{did_you_mean(name, table)}")
    return name
