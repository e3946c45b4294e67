"""The outcome of a run: frozen, with a schema version, JSON in and out."""

from __future__ import annotations

import json
import math
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sobench.environment import Environment
from sobench.errors import RecordError
from sobench.files import write_atomic
from sobench.lease import check_held
from sobench.metrics.scores import Scores
from sobench.runs.folder import RunFolder
from sobench.suite.further_tests import FurtherTest
from sobench.suite.plan import Run, run_id, short_digest
from sobench.suite.protocols import PROTOCOLS, engine_name
from sobench.suite.sections import Suite

SCHEMA = 2
_READS = f"and this sobench reads {SCHEMA}"
# The digest is of all bytes behind this, so that not one can change in silence.
_HEAD = re.compile(rb'\{\n "digest": "([0-9a-f]{64})",')


class Cost(BaseModel):
    """The costs of a detector.

    Attributes:
        parameters, trainable: numbers of weights.
        gflops: multiply-adds of convolutions and matrix products, in 1e9, at ``typical_shape``.
        latency_ms: median of single images of that size, with suppression, in milliseconds; CPU or
            GPU as run.
        train_images_s: images a second while training, data loading included.
        train_s: seconds of training, all sessions of a resumed run added.
        required_s: of training the runs that this one required, and those that they required; not
            known if the record of one is gone or damaged.
        extra_s: of all that, the share beyond one training: teachers and further stages.
        peak_memory_mb: of the device on CUDA, without training images that are kept there for
            speed; of the process on a CPU; in MiB.
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
    """One line of the learning curve.

    Attributes:
        ap: the metric of the suite's protocol that ranks, such as AP.
        ap50: ``AP50``; ``None`` if the protocol does not have it.
        grad_norm, grad_norm_max: mean and greatest L2 norm of the gradient over all weights before
            it was clipped; not known of trainings by earlier versions, or if it overflowed.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    stage: str = "train"
    step: int
    losses: dict[str, float]
    grad_norm: float | None = None
    grad_norm_max: float | None = None
    ap: float | None = None
    ap50: float | None = None


class Source(BaseModel):
    """Where detections that were made elsewhere are from.

    Attributes:
        name: of the file or folder, without the folders above it.
        layout: of ``metrics.foreign.LAYOUTS``.
        sha256: of the file, or of the names and contents of the folder's files.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    layout: str
    sha256: str


class Record(BaseModel):
    """All that is known of a finished run.

    Attributes:
        requires: the ids of the runs that it built on, by their roles.
        start: what became of the classes of weights from outside of the suite, if it has any.
        scores: by ``Scores.name``, for each protocol and engine that was asked for; empty if the
            training did not end.
        sizes: the same of further tests, by their names.
        first_losses: the total loss of each of the first 20 steps; empty in records of earlier
            versions.
        digests: SHA-256 of the detections that were scored, by the file's name.
        source: of an external run, whose detections were made elsewhere.
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
    start: str = ""
    images: dict[str, int] = {}
    skipped: dict[str, int] = {}
    detections: int = 0
    last_loss: dict[str, float] = {}
    first_losses: tuple[float, ...] = ()
    history: tuple[Epoch, ...] = ()
    scores: dict[str, Scores] = {}
    sizes: dict[str, dict[str, Scores]] = {}
    digests: dict[str, str] = {}
    source: Source | None = None
    cost: Cost | None = None
    environment: Environment | None = None
    finished: str = ""

    @field_validator("schema_version")  # the first field, so the first thing that is told
    @classmethod
    def _version(cls, value: int) -> int:
        if value != SCHEMA:
            raise ValueError(f"{value}, {_READS}")
        return value

    def scored_by(self, suite: Suite) -> Scores | None:
        """The scores by the suite's present protocol and engine, if there are any."""
        return self.scores.get(scoring_name(suite))

    def tested_by(self, suite: Suite, test: FurtherTest) -> Scores | None:
        """The same of a further test."""
        return self.sizes.get(test.name, {}).get(scoring_name(suite))

    @property
    def last_step(self) -> int | None:
        """The last step of the training, 0 of a run without one, ``None`` if no epoch is done."""
        if self.history:
            return self.history[-1].step
        return 0 if self.scores else None


def scoring_name(suite: Suite) -> str:
    """``Scores.name`` of the suite's present protocol and engine."""
    protocol = PROTOCOLS[suite.protocol]
    return f"{protocol.name} v{protocol.version} {engine_name(protocol, suite.engine)}"


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


def write_settings(run: Run, folder: Path, steps: int) -> None:
    """Write ``run.json``, the resolved settings, before the training begins.

    Args:
        steps: of the whole training, so that other processes can tell how far it is.
    """
    content = {
        "run_id": run.id,
        "settings_id": run.settings_id,
        "data": run.data,
        "label": run.entry.label,
        "steps": steps,
        **run.settings,
    }
    write_atomic(RunFolder(folder).settings, json.dumps(content, indent=1).encode())


def write(record: Record, folder: Path) -> None:
    """Write ``record.json``, whole or not at all; its second line is the digest of what follows.

    Raises:
        LeaseLost: another process holds the folder, because this one was stopped for long.
    """
    check_held(folder)
    content = nan_to_none(record.model_dump(mode="python"))
    body = json.dumps(content, indent=1, allow_nan=False).encode().removeprefix(b"{")
    head = b'{\n "digest": "%s",' % sha256(body).hexdigest().encode()
    write_atomic(RunFolder(folder).record, head + body)


def read(folder: Path) -> Record | None:
    """The record in a run's folder, or ``None`` if there is none yet.

    Raises:
        RecordError: the file cannot be read, is damaged, of another version or of another run.
    """
    path = RunFolder(folder).record
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: the record cannot be read ({error.strerror})") from None
    record = _checked(text, path)
    place = (folder.parent.parent.name, folder.parent.name, folder.name)
    if (record.suite, record.method, record.run_id) != place:
        other = f"{record.suite}/{record.method}/{record.run_id}"
        raise RecordError(f"{path}: the record is that of another run, {other}; it was copied here")
    settings_id = short_digest(record.settings)
    if (record.settings_id, record.run_id) != (
        settings_id,
        run_id(record.seed, settings_id, record.data),
    ):
        raise RecordError(f"{path}: the record contradicts itself: its id is not of its settings")
    return record


def read_sound(folder: Path) -> Record | None:
    """The record in a run's folder, or ``None`` where there is none that counts."""
    try:
        return read(folder)
    except RecordError:
        return None


def _checked(text: bytes, path: Path) -> Record:
    """The record in a file's content, if it is as it was written."""
    head = _HEAD.match(text)
    if head is None or sha256(text[head.end() :]).hexdigest().encode() != head[1]:
        version = _schema_version(text)
        if version not in (SCHEMA, None):
            raise RecordError(f"{path}: the record is of schema version {version}, {_READS}")
        raise RecordError(f"{path}: the record is damaged: its content does not fit its digest")
    try:
        return Record.model_validate_json(b"{" + text[head.end() :])
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        why = problem["msg"].removeprefix("Value error, ")
        raise RecordError(f"{path}: not a record of this version: {where}: {why}") from None


def _schema_version(text: bytes) -> int | None:
    """The version that a file names which is not as this version writes it."""
    try:
        version = json.loads(text)["schema_version"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return version if isinstance(version, int) else None


def nan_to_none(value: Any) -> Any:
    """The same structure with ``None`` for every NaN or infinity, as JSON wants it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: nan_to_none(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [nan_to_none(inner) for inner in value]
    return value
