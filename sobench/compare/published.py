"""The tables of papers, as typed data: what was printed, and under which conditions.

A file holds one paper. Conditions are written in the keys of a suite, so that those of a suite can
be held against them; what a paper does not state is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from sobench.errors import RequestError, did_you_mean
from sobench.suite.methods import get_method, method_names
from sobench.suite.protocols import PROTOCOLS
from sobench.text import plain, quoted
from sobench.yaml_text import UnreadableYaml, read_yaml_file, shown

FOLDER = Path("baselines/published")

MISSING = "-"
"""A cell in which a paper prints no value, by whatever sign."""

CONDITIONS = (
    "dataset.train", "dataset.val", "input.size", "input.resize", "augment.hflip",
    "augment.scale_jitter", "augment.photometric", "backbone.name", "backbone.weights", "init_from",
    "head", "schedule.epochs", "schedule.batch_size", "schedule.optimizer", "schedule.lr",
    "schedule.momentum", "schedule.weight_decay", "schedule.milestones", "schedule.gamma",
    "schedule.warmup.steps", "schedule.warmup.start", "schedule.clip_norm", "precision", "seeds",
    "detect.max_detections", "protocol",
)  # fmt: skip
"""Keys of a suite that decide whether two numbers can be compared, in the order of a suite file."""

_BACKBONES = {
    "ResNet-50": "resnet50",
    "ResNet-101": "resnet101",
    "VGG-16": "vgg16",
}
"""Backbones as papers print them -> as suites name them; others are in no suite."""

_NUMBER = re.compile(r"\d+(\.\d+)?")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _cells(values: Any) -> Any:
    """Cells of a row, which a file may have as one text with spaces between them."""
    if isinstance(values, str):
        return tuple(values.split())
    return tuple(values) if isinstance(values, list) else values


def _check_conditions(settings: Iterable[str]) -> None:
    for key in settings:
        if key not in CONDITIONS:
            raise ValueError(f"settings: unknown {quoted(key)};{did_you_mean(key, CONDITIONS)}")


class Column(_Part):
    """A column of a table.

    Attributes:
        heading: as printed, with that of a group of columns before it.
        metric: the name that the same quantity has on leaderboards; empty if none is the same.
        protocol: the only one under which it is the same; empty for those with COCO's definition.
        unit: of its numbers, where it is not that of the table's scores.
        meaning: of a quantity that has no such name, or what is uncertain about it.
        sets: key of a suite whose value for each row the column prints.
        settings: conditions that hold for this column alone.
    """

    heading: str = Field(min_length=1)
    metric: str = ""
    protocol: str = ""
    unit: str = ""
    meaning: str = ""
    sets: Literal["", "backbone.name", "input.size", "dataset.train"] = ""
    settings: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        _check_conditions(self.settings)
        if self.protocol and self.protocol not in PROTOCOLS:
            near = did_you_mean(self.protocol, PROTOCOLS)
            raise ValueError(f"protocol: unknown {quoted(self.protocol)};{near}")
        return self


class Counterpart(_Part):
    """A row of a suite that a published row corresponds to.

    Attributes:
        name: of the method.
        switches: values that the row's switches must have; others are free.
        test: title of the further test that the numbers are of; empty for the suite's own input.
    """

    name: str
    switches: dict[str, str | int | float | bool] = Field(default_factory=dict)
    test: str = ""

    @model_validator(mode="after")
    def _of_a_method(self) -> Self:
        if self.name not in method_names():
            raise ValueError(f"name: {quoted(self.name)};{did_you_mean(self.name, method_names())}")
        switches = get_method(self.name).switches
        for key, value in self.switches.items():
            if key not in switches:
                raise ValueError(f"switches: {quoted(key)};{did_you_mean(key, switches)}")
            if not any(value == v and type(value) is type(v) for v in switches[key].values):
                raise ValueError(f"switches: {key}: {shown(value)} is not one of its values")
        return self


class Row(_Part):
    """A row of a table.

    Attributes:
        label: the paper's name for it.
        values: cells as printed, one for each column; ``-`` where the paper has none.
        methods: what it corresponds to in a suite, the closest first; empty if it has no method
            here.
        settings: its own conditions, in place of the table's.
        cited: whether the paper took it over from elsewhere, so that the conditions of the table
            do not hold for it.
        note: what else sets it apart.
    """

    label: str = Field(min_length=1)
    values: Annotated[tuple[str, ...], BeforeValidator(_cells)]
    methods: tuple[Counterpart, ...] = ()
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    cited: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _conditions(self) -> Self:
        _check_conditions(self.settings)
        return self


class Table(_Part):
    """A table of a paper.

    Attributes:
        number: as the paper counts.
        shows: what it is about.
        data: name of the data set, as in ``published_fit``.
        test: further test that a suite must ask for to have anything like it, by its key.
        kind: ``results`` of detectors, or a ``survey`` that counts something else.
        unit: of the columns that are scores.
        settings: conditions of all rows that are the paper's own trainings, by their keys in a
            suite. A value that no suite can have is a text.
        notes: what is wrong, or easily misread.
    """

    number: str
    shows: str
    data: Literal["visdrone", "voc", "coco", "coco_small", "tt100k"]
    test: Literal["", "eval_sizes", "keep_background"] = ""
    kind: Literal["results", "survey"] = "results"
    unit: Literal["percent", "fraction"]
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_conditions(self.settings)
        headings = [column.heading for column in self.columns]
        if len(set(headings)) < len(headings):
            raise ValueError("two columns have the same heading")
        for row in self.rows:
            if len(row.values) != len(headings):
                raise ValueError(
                    f"row {quoted(row.label)} has {len(row.values)} values for {len(headings)} "
                    "columns"
                )
        for index, column in enumerate(self.columns):
            for row in self.rows if column.metric else ():
                if row.values[index] != MISSING and not _NUMBER.fullmatch(row.values[index]):
                    raise ValueError(
                        f"row {quoted(row.label)}: {column.heading}: {quoted(row.values[index])} "
                        "is not a number"
                    )
        return self

    def row_settings(self, row: Row) -> dict[str, Any]:
        """The conditions in which a row differs from the others, from its columns and its own."""
        printed = {
            column.sets: _setting(column.sets, value)
            for column, value in zip(self.columns, row.values, strict=True)
            if column.sets and value != MISSING
        }
        return printed | row.settings


class Paper(_Part):
    """A paper and its tables.

    Attributes:
        name: short, as in the names of files.
        title, authors, year: of the paper.
        source: where it appeared, with its DOI or arXiv number.
        notes: what holds for several of its tables.
    """

    name: str
    title: str
    authors: str
    year: int
    source: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        numbers = [table.number for table in self.tables]
        if len(set(numbers)) < len(numbers):
            raise ValueError("tables: two have the same number")
        return self

    @cached_property
    def reference(self) -> str:
        """The paper in a few words, such as ``ZoomInNet (Liu et al., 2021)``."""
        return f"{self.name} ({self.authors}, {self.year})"


def read_papers(folder: Path | None = None) -> tuple[Paper, ...]:
    """The papers of a folder, in the order of their files; none where there are no files.

    Args:
        folder: by default ``baselines/published`` of the working folder, else that of the checkout
            that the code runs from.

    Raises:
        RequestError: a file is wrong.
    """
    for place in (folder,) if folder else (FOLDER, Path(__file__).resolve().parents[2] / FOLDER):
        if files := sorted(place.glob("*.yaml")):
            return tuple(map(read_paper, files))
    return ()


def read_paper(path: Path) -> Paper:
    """The paper in a file.

    Raises:
        RequestError: the file cannot be read or is not valid; says which key has which value.
    """
    try:
        content = json.dumps(read_yaml_file(path))
        return Paper.model_validate_json(content)
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file; name one of published tables") from None
    except UnreadableYaml as error:
        raise RequestError(f"{path}: {error}") from None
    except ValidationError as error:
        raise RequestError(f"{path}: {_problem(error)}; correct it there") from None


def _problem(error: ValidationError) -> str:
    """The key, what is wrong, and the value if it is a single one."""
    first = error.errors()[0]
    where = ".".join(plain(part) for part in first["loc"]) or "the file"
    why = first["msg"].removeprefix("Value error, ")
    is_single = isinstance(first["input"], str | int | float)
    return f"{where}: {shown(first['input'])}: {why}" if is_single else f"{where}: {why}"


def _setting(key: str, cell: str) -> Any:
    """A printed cell as a suite would have it: ``1000×600`` -> ``[600, 1000]``."""
    if key == "backbone.name":
        return _BACKBONES.get(cell, cell)
    if key == "input.size" and (sides := re.fullmatch(r"~?(\d+)(?:×(\d+))?", cell)):
        width = int(sides[1])
        return [int(sides[2] or width), width]
    return cell
