"""What a suite's trainings came to when they were recorded, as a file that later ones are held to.

A file has every seed, not only their mean: the spread is estimated from them, and a training with a
seed of the baseline must begin as it did then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sobench.environment import Environment
from sobench.errors import RequestError
from sobench.files import write_atomic
from sobench.runs.record import Record, nan_to_none
from sobench.runs.state import States
from sobench.suite.plan import Run, short_digest
from sobench.suite.protocols import PROTOCOLS
from sobench.text import plain, quoted

SCHEMA = 1
MIN_SEEDS = 2
"""Without a second seed nobody knows how much a training differs from the next one."""

_RECORD = "sobench check SUITE --record"
_RECORD_ANEW = f"record it anew with `{_RECORD}`"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Machine(_Part):
    """Where a training ran, and on what code.

    Attributes:
        code, python, packages, system, device, threads, processor, processes, backend, kernels: as
            in ``Environment``.
    """

    code: str
    python: str
    packages: dict[str, str]
    system: str
    device: str
    threads: int
    processor: str = ""
    processes: int = 1
    backend: str = ""
    kernels: dict[str, bool] = {}

    @classmethod
    def of(cls, environment: Environment) -> Machine:
        """Without the network name, which is nobody's business and changes no number."""
        return cls(**environment.model_dump(exclude={"host"}))

    def kind(self) -> tuple[str, str, int]:
        """Equal for machines that take the same time for a training."""
        return self.device, self.processor, self.threads

    def calculates_as(self, other: Machine) -> bool:
        """Whether one training gives the same numbers on both, to the last digits.

        A GPU adds numbers in an order that differs from one training to the next.
        """
        is_cpu = self.device.endswith(("core", "cores"))  # as ``cpu_name`` writes it
        return is_cpu and (self.kind(), self.packages) == (other.kind(), other.packages)


class SeedResult(_Part):
    """One training of a row.

    Attributes:
        settings_id: of the run.
        metrics: by name, under the baseline's protocol; ``None`` where one is not defined.
        losses: the mean of each part over the last epoch, with their sum as ``total``.
        first_losses: the total loss of each of the first 20 steps.
        detections: their number on the whole split.
        parameters, gflops, train_images_s: as in ``Cost``.
        machine: position in the baseline's ``machines``.
    """

    seed: int
    settings_id: str
    metrics: dict[str, float | None]
    losses: dict[str, float]
    first_losses: tuple[float, ...]
    detections: int = Field(ge=0)
    parameters: int = Field(ge=0)
    gflops: float | None
    train_images_s: float | None
    machine: int = Field(ge=0)


class BaselineRow(_Part):
    """A row of the suite.

    Attributes:
        settings: all that can change its results, with ``None`` for the seed; runs that it
            requires stand there by their ``row_id``.
        row_id: the digest of the settings.
        seeds: its trainings, each with another seed.
    """

    method: str
    row_id: str
    settings: dict[str, Any]
    seeds: tuple[SeedResult, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if short_digest(self.settings) != self.row_id:
            raise ValueError("row_id is not that of the settings")
        if len({result.seed for result in self.seeds}) != len(self.seeds):
            raise ValueError("a seed is there twice")
        return self


class Baseline(_Part):
    """The recorded results of a suite.

    Attributes:
        protocol, protocol_version, engine: that made the metrics.
        data: fingerprint of the dataset.
        options: of the command line that made the results partial, such as ``--limit 2``.
        code: version that wrote the file.
        recorded: when, UTC.
        machines: where the trainings ran.
        rows: by their labels.
    """

    schema_version: int = SCHEMA
    suite: str
    protocol: str
    protocol_version: int
    engine: str
    data: str
    options: tuple[str, ...]
    code: str
    recorded: str
    machines: tuple[Machine, ...] = Field(min_length=1)
    rows: dict[str, BaselineRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        results = [result for row in self.rows.values() for result in row.seeds]
        if max(result.machine for result in results) >= len(self.machines):
            raise ValueError("a training is of a machine that is not listed")
        return self

    @property
    def most_seeds(self) -> int:
        """The number of seeds of the row with the most of them."""
        return max(len(row.seeds) for row in self.rows.values())


def row_settings(run: Run) -> dict[str, Any]:
    """The settings that ``Run.row_id`` is the digest of."""
    required = {role: other.row_id for role, other in run.requires}
    return json_like(run.settings | {"seed": None, "requires": required})


def json_like(content: dict[str, Any]) -> dict[str, Any]:
    """The same content as reading it from a file gives it."""
    read: dict[str, Any] = json.loads(json.dumps(content))
    return read


def baseline_of(runs: Sequence[Run], states: States, code: str) -> Baseline:
    """The baseline of runs that are all done.

    Raises:
        RequestError: a row has fewer than two seeds.
    """
    machines: list[Machine] = []
    rows: dict[str, dict[str, Any]] = {}
    records = []
    for run in runs:
        outcome = states[run.settings_id].record
        assert outcome is not None
        records.append(outcome)
        row = rows.setdefault(
            run.entry.label,
            {"method": run.entry.name, "row_id": run.row_id, "settings": row_settings(run),
             "seeds": ()},
        )  # fmt: skip
        row["seeds"] += (_seed_result(run, outcome, machines),)
    if min(len(row["seeds"]) for row in rows.values()) < MIN_SEEDS:
        raise RequestError(
            f"--record: {runs[0].suite.name}: one seed does not tell how much trainings differ; "
            "give several, such as --seeds 0,1,2"
        )
    suite = runs[0].suite
    scores = records[0].scored_by(suite)
    assert scores is not None
    return Baseline(
        suite=suite.name, protocol=suite.protocol,
        protocol_version=PROTOCOLS[suite.protocol].version, engine=scores.engine,
        data=records[0].data, options=runs[0].partial, code=code,
        recorded=datetime.now(UTC).isoformat(timespec="seconds"), machines=tuple(machines),
        rows={label: BaselineRow(**row) for label, row in rows.items()},
    )  # fmt: skip


def result_of(run: Run, outcome: Record, machine: int = 0) -> SeedResult:
    """What a finished run came to."""
    scores = outcome.scored_by(run.suite)
    assert scores is not None
    cost = outcome.cost
    losses = outcome.history[-1].losses if outcome.history else outcome.last_loss
    return SeedResult(
        seed=run.seed, settings_id=run.settings_id, metrics=nan_to_none(scores.metrics),
        losses=losses, first_losses=outcome.first_losses, detections=outcome.detections,
        parameters=cost.parameters if cost else 0, gflops=cost.gflops if cost else None,
        train_images_s=cost.train_images_s if cost else None, machine=machine,
    )  # fmt: skip


def _seed_result(run: Run, outcome: Record, machines: list[Machine]) -> SeedResult:
    assert outcome.environment is not None
    machine = Machine.of(outcome.environment)
    if machine not in machines:
        machines.append(machine)
    return result_of(run, outcome, machines.index(machine))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file, whole or not at all."""
    content = baseline.model_dump(mode="json")
    write_atomic(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        RequestError: the file is not there, is no baseline, of another schema version, or
            contradicts itself.
    """
    text = _text_of_this_version(path)
    try:
        baseline = Baseline.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(plain(part) for part in problem["loc"]) or "the file"
        why = problem["msg"].removeprefix("Value error, ")
        raise RequestError(
            f"{path}: is not a baseline of this version: {where}: {why}; {_RECORD_ANEW}"
        ) from None
    if baseline.most_seeds < MIN_SEEDS:
        raise RequestError(
            f"{path}: the baseline has one seed for every row, so nobody knows how much trainings "
            f"of {quoted(baseline.suite)} differ; record it anew with `{_RECORD} --seeds 0,1,2`"
        )
    return baseline


def _text_of_this_version(path: Path) -> bytes:
    """The content of a file that says it is a baseline of this schema version."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise RequestError(
            f"{path}: no such baseline; record one with `sobench check SUITE --record`, or name "
            "the file with --baseline"
        ) from None
    except OSError as error:
        raise RequestError(f"{path}: the baseline cannot be read ({error.strerror})") from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(f"{path}: is not JSON, so not a baseline; {_RECORD_ANEW}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int:  # neither "1" nor true is a version
        raise RequestError(f"{path}: is not a baseline; {_RECORD_ANEW}")
    if version != SCHEMA:
        raise RequestError(
            f"{path}: the baseline is of schema version {plain(version)}, and this sobench reads "
            f"{SCHEMA}; {_RECORD_ANEW}"
        )
    return text
