"""The outcome of a run: frozen, with a schema version, JSON in and out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sobench.environment import Environment
from sobench.errors import DataError
from sobench.files import write_atomic
from sobench.metrics.scores import Scores
from sobench.runs.folder import RunFolder
from sobench.suite.plan import Run

SCHEMA = 1


class Cost(BaseModel):
    """The costs of a detector.

    Attributes:
        parameters, trainable: numbers of weights.
        gflops: multiply-adds of convolutions and matrix products at the suite's input, in 1e9.
        latency_ms: median of single images, with suppression, in milliseconds; CPU or GPU as run.
        train_images_s: images a second while training, data loading included.
        train_s: seconds of training, all sessions of a resumed run added.
        required_s: of training the runs that this one required, and those that they required.
        extra_s: of all that, the share beyond one training: teachers and further stages.
        peak_memory_mb: of the device on CUDA, of the process on a CPU, in MiB.
    """

    model_config = ConfigDict(frozen=True)

    parameters: int
    trainable: int
    gflops: float | None = None
    latency_ms: float | None = None
    train_images_s: float | None = None
    train_s: float | None = None
    required_s: float | None = None
    extra_s: float | None = None
    peak_memory_mb: float | None = None


class Epoch(BaseModel):
    """One line of the learning curve."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    stage: str = "train"
    step: int
    losses: dict[str, float]
    ap: float | None = None
    ap50: float | None = None


class Record(BaseModel):
    """All that is known of a finished run.

    ``requires`` holds the ids of the runs that it built on, by their roles, and ``sizes`` the
    metrics at the suite's further input sizes, by ``<height>x<width>``.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    run_id: str
    settings_id: str
    suite: str
    method: str
    label: str
    seed: int
    data: str
    settings: dict[str, Any]
    requires: dict[str, str] = {}
    deviations: tuple[str, ...] = ()
    status: Literal["ok", "diverged", "failed", "partial"]
    reason: str = ""
    images: dict[str, int] = {}
    skipped: dict[str, int] = {}
    detections: int = 0
    last_loss: dict[str, float] = {}
    history: tuple[Epoch, ...] = ()
    scored: Scores | None = None
    sizes: dict[str, Scores] = {}
    cost: Cost | None = None
    environment: Environment | None = None
    finished: str = ""

    @field_validator("schema_version")  # the first field, so the first thing that is told
    @classmethod
    def _version(cls, value: int) -> int:
        if value != SCHEMA:
            raise ValueError(f"{value}, but this sobench reads {SCHEMA}")
        return value

    @property
    def last_step(self) -> int | None:
        """The last step of the training, or ``None`` if no epoch was finished."""
        return self.history[-1].step if self.history else None


def identity(run: Run) -> dict[str, Any]:
    """The fields of a record that say which run it is of."""
    return {
        "run_id": run.id,
        "settings_id": run.settings_id,
        "suite": run.suite.name,
        "method": run.entry.name,
        "label": run.entry.label,
        "seed": run.seed,
        "data": run.data,
        "settings": run.settings,
        "requires": {role: required.id for role, required in run.requires},
        "deviations": run.deviations,
    }


def write_settings(run: Run, folder: Path) -> None:
    """Write ``run.json``, the resolved settings, before the training begins."""
    content = {
        "run_id": run.id,
        "settings_id": run.settings_id,
        "data": run.data,
        "label": run.entry.label,
        **run.settings,
    }
    write_atomic(RunFolder(folder).settings, json.dumps(content, indent=1).encode())


def write(record: Record, folder: Path) -> None:
    """Write ``record.json``, whole or not at all."""
    text = json.dumps(nan_to_none(record.model_dump(mode="python")), indent=1, allow_nan=False)
    write_atomic(RunFolder(folder).record, text.encode())


def read(folder: Path) -> Record | None:
    """The record in a run's folder, or ``None`` if there is none yet.

    Raises:
        DataError: the file is damaged or of another schema.
    """
    path = RunFolder(folder).record
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "content"
        why = problem["msg"].removeprefix("Value error, ")
        raise DataError(
            f"{path}: not a record of this version: {where}: {why}; "
            "delete it and run the suite again, the training is kept"
        ) from None


def nan_to_none(value: Any) -> Any:
    """The same structure with ``None`` for every NaN or infinity, as JSON wants it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: nan_to_none(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [nan_to_none(inner) for inner in value]
    return value
