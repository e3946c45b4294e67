"""What ``sobench tune`` tried and chose for the rows of a suite: the file, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from sobench.errors import SuiteError, did_you_mean
from sobench.files import write_atomic
from sobench.suite.paths import expanded
from sobench.suite.problems import first_problem
from sobench.suite.section import Label, Line, Section
from sobench.suite.sections import Seed, Suite
from sobench.text import plain, quoted
from sobench.yaml_text import UnreadableYaml, as_written, read_yaml_file

LEARNING_RATE = "schedule.lr"

SUITES = "the suite's"
"""The origin of a value that no row has for itself."""

_HEAD = """\
# Written by `sobench tune`. A suite takes the chosen values with the key `tuned: {name}`.
# Write the whole grid anew with the same command: trials that are done are not repeated.
"""


@dataclass(frozen=True)
class Choice:
    """Values of a row in place of the suite's: chosen by ``sobench tune``, or to be tried by it.

    Attributes:
        values: by their dotted keys.
        source: the file or option that they are from, for messages.
        trials: number of trials that they were chosen from; 0 for those of a trial itself.
        images: training images that were held out to choose by.
        options: that made the trials other than the suite, such as ``--epochs 3``.
    """

    values: Mapping[str, Any]
    source: str
    trials: int = 0
    images: int = 0
    options: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Where the values are from, such as ``chosen from 4 on 48 held-out training images``."""
        if not self.trials:
            return "a trial"
        images = "image" if self.images == 1 else "images"
        under = f" with {' '.join(self.options)}" if self.options else ""
        return f"chosen from {self.trials} on {self.images} held-out training {images}{under}"

    @property
    def text(self) -> str:
        """The values on one line, such as ``schedule.lr=0.003``."""
        return values_text(self.values)

    def without(self, keys: Mapping[str, Any]) -> Choice | None:
        """The values that these keys say nothing of, or ``None`` if there are none."""
        left = {k: v for k, v in self.values.items() if not overlapping(k, keys)}
        return replace(self, values=left) if left else None


class TrialResult(Section):
    """One trial of a row."""

    values: dict[Line, Any]
    """Dotted keys of the suite, with the values that were tried."""
    scores: tuple[float | None, ...] = Field(min_length=1)
    """The metric on the held-out images, seed by seed; ``null`` if that training diverged."""

    @property
    def score(self) -> float | None:
        """The mean over the seeds; ``None`` if one diverged, which makes the trial lose."""
        known = [score for score in self.scores if score is not None]
        return sum(known) / len(known) if len(known) == len(self.scores) else None


class TunedRow(Section):
    """What was tried for a row, on what, and what was chosen."""

    chosen: dict[Line, Any] = Field(min_length=1)
    """The values of the best trial."""
    metric: Line
    """By which it is the best: the mean over the seeds counts."""
    trials: tuple[TrialResult, ...] = Field(min_length=1)
    """All trials, in the order of the grid."""
    trained_on: int = Field(gt=0)
    """Training images that the trials trained on."""
    held_out: int = Field(gt=0)
    """Training images that were held out, and that the trials were scored on."""
    holdout: float = Field(gt=0, lt=1)
    """The share that was asked for."""
    seeds: tuple[Seed, ...] = Field(min_length=1)
    """Of every trial."""
    options: tuple[Line, ...] = ()
    """That made the trials other than the suite, such as ``--epochs 3``."""
    data: Line
    """Fingerprint of the training images and their annotations."""
    code: Line
    """Version of sobench."""

    @model_validator(mode="after")
    def _chosen_is_a_trial(self) -> Self:
        if self.chosen not in [trial.values for trial in self.trials]:
            raise ValueError("chosen: is none of the trials below it; run `sobench tune` again")
        return self


class TunedFile(Section):
    """The file that ``sobench tune`` writes."""

    suite: Line
    """Name of the suite."""
    rows: dict[Label, TunedRow] = Field(default_factory=dict)
    """By the labels of the suite."""


def read_choices(suite: Suite) -> dict[str, Choice]:
    """The choice for each label that the file of ``tuned`` names; empty without one.

    Raises:
        SuiteError: the file cannot be read, is of another suite, or names a row that is not there.
    """
    if suite.tuned == "none":
        return {}
    path = tuned_path(suite)
    try:
        content = read_tuned(path)
    except FileNotFoundError:
        raise SuiteError(
            f"tuned: no file {path}; write tuned: none until `sobench tune` has written it"
        ) from None
    if content.suite != suite.name:
        raise SuiteError(
            f"{path}: was written for suite {quoted(content.suite)}, not {quoted(suite.name)}; "
            "tune this suite, or write tuned: none"
        )
    labels = [entry.label for entry in suite.methods]
    for label in content.rows:
        if label not in labels:
            raise SuiteError(
                f"{path}: rows: the suite has no row {quoted(label)};{did_you_mean(label, labels)}"
            )
    return {
        label: Choice(row.chosen, f"{path}: rows", len(row.trials), row.held_out, row.options)
        for label, row in content.rows.items()
    }


def tuned_path(suite: Suite) -> Path:
    """The file that the suite's ``tuned`` names.

    Raises:
        SuiteError: the path cannot be one.
    """
    try:
        return expanded(suite.tuned)
    except KeyError as error:
        problem = f"needs the variable {error.args[0]}, which is not set"
    except (ValueError, RuntimeError) as error:  # NUL, half a character, no such home
        problem = str(error)
    raise SuiteError(f"tuned: {plain(suite.tuned)}: {problem}; write a file's path or none")


def read_tuned(path: Path) -> TunedFile:
    """The content of a file of chosen values.

    Raises:
        FileNotFoundError: there is no such file.
        SuiteError: it cannot be read, or is not such a file.
    """
    way_out = "write it anew with `sobench tune`"
    try:
        content = read_yaml_file(path)
    except FileNotFoundError:
        raise
    except UnreadableYaml as error:
        raise SuiteError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise SuiteError(f"{path}: holds no chosen values; {way_out}")
    try:
        return TunedFile.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"{path}: {first_problem(error)}; {way_out}") from None


def write_tuned(path: Path, content: TunedFile) -> None:
    """Write the file, whole or not at all."""
    text = yaml.safe_dump(
        content.model_dump(mode="json"), sort_keys=False, width=100, allow_unicode=True
    )
    write_atomic(path, (_HEAD.format(name=path.name) + text).encode())


def overlapping(key: str, others: Mapping[str, Any]) -> str:
    """The first of some dotted keys that is this one, holds it or lies in it; empty if none."""
    for other in others:
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
            return other
    return ""


def values_text(values: Mapping[str, Any]) -> str:
    """Values by their dotted keys on one line, such as ``schedule.lr=0.003``."""
    return ", ".join(f"{key}={as_written(value)}" for key, value in values.items())


def learning_rate_lines(origins: Mapping[str, str]) -> tuple[str, ...]:
    """Where the learning rate of each row is from, for below a table.

    Args:
        origins: label -> ``Run.learning_rate``.
    """
    if {*origins.values()} == {SUITES}:
        return ("learning rate: the suite's for every row, not tuned for any method",)
    return tuple(f"{label}: learning rate: {origin}" for label, origin in origins.items())
