"""YAML -> frozen ``Suite``. An unknown key is an error with the nearest known one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from sobench import catalog
from sobench.errors import SuiteError, did_you_mean

_ONE_FOR_ALL = (
    "name", "title", "dataset", "device", "seeds",
    "protocol", "engine", "evaluate_every", "methods",
)  # fmt: skip
"""Keys from which no row may deviate, or rows would no longer compare."""


class Section(BaseModel):
    """A part of a suite: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CocoData(Section):
    """COCO JSON: ``train`` and ``val`` are annotation files, with an image folder each."""

    format: Literal["coco"]
    root: str
    train: str
    val: str
    train_images: str = "images"
    val_images: str = "images"


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


FileData = CocoData | VisDroneData | VocData | YoloData
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
    """Anchors of the suite's head: ``scale`` times the stride, times the octave steps."""

    scale: float = Field(4.0, gt=0)
    octaves: int = Field(3, ge=1, le=6)
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 1.0, 2.0)


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
    """One row of the matrix: a method, its switches, and what it may do differently."""

    name: str
    label: str = ""
    switches: dict[str, str | int | float | bool] = Field(default_factory=dict)
    deviations: dict[str, Any] = Field(default_factory=dict)
    reason: str = ""


class Suite(Section):
    """A suite file, checked. What stands here is the same for every method."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    dataset: DataSpec
    input: Input
    augment: Augment = Augment()
    backbone: Backbone
    neck: Neck = Neck()
    head: str = "retinanet"
    anchors: Anchors = Anchors()
    schedule: Schedule
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    detect: Detect = Detect()
    protocol: str = "coco"
    engine: Literal["hotcoco", "pycocotools"] = "hotcoco"
    evaluate_every: int = Field(0, ge=0)
    methods: tuple[MethodEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Self:
        _known("head", self.head, catalog.HEADS)
        protocol = catalog.PROTOCOLS[_known("protocol", self.protocol, catalog.PROTOCOLS)]
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
        return self


def load(path: Path, overrides: dict[str, Any] | None = None) -> Suite:
    """Read and check a suite file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.
        overrides: dotted key -> value, laid over the file, such as ``{"schedule.lr": 0.02}``;
            relative paths in them are relative to the working folder.

    Raises:
        SuiteError: naming the file, the key, the value and the way out.
    """
    content = _anchored(_read_yaml(path), path.parent)
    for key, value in (overrides or {}).items():
        _override(content, key, value, str(path))
    return parse(_anchored(content, Path()), path)


def parse(content: dict[str, Any], path: Path) -> Suite:
    """Check the content of a suite file; ``path`` names it in errors."""
    content = {"name": path.stem} | content
    rows = content.get("methods")
    if isinstance(rows, list):
        content["methods"] = [_method_row(row, number, path) for number, row in enumerate(rows, 1)]
    _check_keys(content, Suite, "", str(path))
    suite = _validate(content, str(path))
    for entry in suite.methods:
        deviating(suite, entry, path)
    return suite


def deviating(suite: Suite, entry: MethodEntry, path: Path) -> Suite:
    """The suite as this row runs it: with the row's declared deviations laid over.

    Raises:
        SuiteError: a deviation is unknown, wrong, or of a key that is one for all rows.
    """
    if not entry.deviations:
        return suite
    source = f"{path}: methods: {entry.label}: deviations"
    content = suite.model_dump(mode="json")
    for key, value in entry.deviations.items():
        if key.partition(".")[0] in _ONE_FOR_ALL:
            raise SuiteError(
                f"{source}: {key} is the same for every row; write a suite of its own for another"
            )
        _override(content, key, value, source)
    _check_keys(content, Suite, "", source)
    return _validate(content, source)


def _validate(content: dict[str, Any], source: str) -> Suite:
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"{source}: {_first_problem(error)}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except FileNotFoundError:
        raise SuiteError(
            f"{path}: no such suite file; `sobench list suites` shows what is here"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SuiteError(f"{path}: cannot be read: {why}; a suite is a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise SuiteError(f"{path}:{where} {problem}; correct the YAML there") from None
    if not isinstance(content, dict):
        raise SuiteError(f"{path}: a suite is a list of keys and values, such as `name: smoke`")
    return content


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may stand only once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class, but a second key of the same name is an error, not the winner."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float)) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            seen.add(str(key) if not isinstance(key, (str, int, float)) else key)
        return super().construct_mapping(node, deep)


def _anchored(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the relative paths of a suite absolute; what starts with ``$`` or ``~`` waits."""

    def anchor(section: str, key: str, plain: tuple[str, ...] = ()) -> None:
        part = content.get(section)
        if not isinstance(part, dict) or not isinstance(part.get(key), str):
            return
        value = part[key]
        if value not in plain and not value.startswith(("/", "~", "$")):
            content[section] = part | {key: str((folder / value).resolve())}

    content = dict(content)
    anchor("dataset", "root")
    anchor("backbone", "weights", ("none", "imagenet"))
    return content


def _override(content: dict[str, Any], key: str, value: Any, source: str) -> None:
    *parents, last = key.split(".")
    part = content
    for depth, name in enumerate(parents):
        inner = part.setdefault(name, {})
        if not isinstance(inner, dict):
            raise SuiteError(f"{source}: {key}: {'.'.join(parents[: depth + 1])} has no parts")
        part[name] = part = dict(inner)
    part[last] = value


def _method_row(row: Any, number: int, path: Path) -> dict[str, Any]:
    """``fpn`` or ``{name: fpn, label: ..., deviations: {...}, SWITCH: ...}`` -> a MethodEntry."""
    if isinstance(row, str):
        row = {"name": row}
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise SuiteError(
            f"{path}: methods: row {number} is {row!r}; write `- fpn` or `- name: fpn`"
        )
    row = dict(row)
    name = row.pop("name")
    if name not in catalog.METHODS:
        raise SuiteError(
            f"{path}: methods: unknown method {name!r};{did_you_mean(name, catalog.METHODS)}"
        )
    deviations = row.pop("deviations", {})
    if not isinstance(deviations, dict) or (deviations and not deviations.get("reason")):
        raise SuiteError(
            f"{path}: methods: {name}: deviations need a reason; "
            'write {key: value, reason: "..."}'
        )
    deviations = dict(deviations)
    reason = deviations.pop("reason", "")
    entry = {"name": name, "label": row.pop("label", name), "deviations": deviations}
    return entry | {"reason": reason, "switches": _switches(name, row, path)}


def _switches(name: str, given: dict[str, Any], path: Path) -> dict[str, Any]:
    known = catalog.METHODS[name].switches
    for key, value in given.items():
        if key not in known:
            options = (*known, "label", "deviations")
            raise SuiteError(
                f"{path}: methods: {name}: unknown key {key!r};{did_you_mean(key, options)}"
            )
        values = known[key].values
        if not any(value == v and type(value) is type(v) for v in values):
            raise SuiteError(
                f"{path}: methods: {name}: {key}: {_yaml(value)} is not one of "
                f"{', '.join(map(_yaml, values))}"
            )
    return {key: given.get(key, switch.default) for key, switch in known.items()}


def _check_keys(content: Any, model: type[BaseModel], where: str, source: str) -> None:
    """Find an unknown key before pydantic does, to name the nearest known one."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key not in model.model_fields:
            raise SuiteError(
                f"{source}: unknown key {where + str(key)!r};"
                f"{did_you_mean(str(key), model.model_fields)}"
            )
        section = _section_of(model.model_fields[key], value)
        if section is not None:
            _check_keys(value, section, f"{where}{key}.", source)


def _section_of(field: FieldInfo, value: Any) -> type[BaseModel] | None:
    """The Section that a field holds; among several, the one of the given ``format``."""
    choices = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
    sections = [t for t in choices if get_origin(t) is None and issubclass(t, Section)]
    if len(sections) > 1 and isinstance(value, dict):
        sections = [
            t
            for t in sections
            if value.get("format") in get_args(t.model_fields["format"].annotation)
        ]
    return sections[0] if len(sections) == 1 else None


def _first_problem(error: ValidationError) -> str:
    """One line for the first of pydantic's findings: key, value, and what was expected."""
    problem = error.errors()[0]
    keys = [str(part) for part in problem["loc"] if part not in catalog.DATASETS]
    key, given, limits = ".".join(keys), problem["input"], problem.get("ctx", {})
    if problem["type"] == "value_error":
        # Our own checks name their key; pydantic adds the section that holds it.
        message = str(problem["msg"]).removeprefix("Value error, ")
        return f"{key}.{message}" if key else message
    if problem["type"] == "missing":
        if isinstance(problem["loc"][-1], int):
            return f"{'.'.join(keys[:-1])}: {_yaml(given)} has too few values"
        return f"{key} is missing"
    if problem["type"] == "union_tag_invalid":
        tag = str(limits["tag"])
        return f"{key}.format: unknown {tag!r};{did_you_mean(tag, catalog.DATASETS)}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}.format is missing; known: {', '.join(catalog.DATASETS)}"
    if problem["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", limits["expected"])
        return f"{key}: unknown {str(given)!r};{did_you_mean(str(given), known)}"
    wanted = _EXPECTED.get(problem["type"])
    expected = wanted.format(**limits) if wanted else str(problem["msg"])
    return f"{key}: {_yaml(given)} is wrong; {expected}"


_EXPECTED = {
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a finite number",
    "string_type": "write text; quote it if it looks like a number",
    "string_pattern_mismatch": "use letters, digits, '.', '_' and '-', and begin with neither sign",
    "tuple_type": "write a list, such as [1, 2]",
    "too_long": "write at most {max_length} values",
    "too_short": "write at least {min_length}",
    "model_type": "write keys and values below it, such as {{key: value}}",
    "model_attributes_type": "write keys and values below it, such as {{key: value}}",
    "greater_than": "it must be greater than {gt:g}",
    "greater_than_equal": "it must be at least {ge:g}",
    "less_than": "it must be less than {lt:g}",
    "less_than_equal": "it must be at most {le:g}",
    "multiple_of": "it must be a multiple of {multiple_of:g}",
}
"""What pydantic expected, by its type of error, in words that fit a YAML file."""


def _yaml(value: Any) -> str:
    """A value as it stands in the file, on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _known(key: str, name: str, table: dict[str, Any]) -> str:
    if name not in table:
        raise ValueError(f"{key}: unknown {name!r};{did_you_mean(name, table)}")
    return name
