"""A suite as a command line asks for it: with overrides, and why its result is then partial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sobench.errors import RequestError, SuiteError
from sobench.suite.limit import Limit, Representative
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from sobench.suite.sections import MAX_SEEDS, Suite
from sobench.suite.smoke import smoke_overrides, with_short_rows
from sobench.text import quoted, shortened
from sobench.yaml_text import UnreadableYaml, read_yaml

_DIGITS = 10
"""Of the largest seed."""


@dataclass(frozen=True)
class Request:
    """A suite with overrides laid over, and the part of it that is asked for.

    Attributes:
        suite: with the overrides.
        limit: the images used of each split, or ``None`` for all.
        partial: the options that make a result another one than the suite's; empty if none does.
        methods: rows to keep, by label, or by method if no row has that label; empty keeps all.
        seeds: instead of the suite's; empty keeps these.
    """

    suite: Suite
    limit: Limit = None
    partial: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def runs(self, data: str) -> list[Run]:
        """The runs of the request on a dataset of this fingerprint."""
        return plan(self.suite, data, self.limit, self.partial, self.methods, self.seeds)


def read_request(
    suite: Path,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    limit: int | None = None,
    methods: str = "",
    seeds: str = "",
    smoke: int | None = None,
) -> Request:
    """Read a suite file and lay the options of a command line over it.

    Args:
        settings: ``KEY=VALUE`` of ``--set``; the key is dotted, the value is YAML.
        epochs: ``--epochs``; milestones that are not set as well move in proportion.
        limit: ``--limit``, the number of first images of each split.
        methods, seeds: of ``--methods`` and ``--seeds``, separated by commas.
        smoke: ``--smoke``, the number of images of each split that stand for all; the schedule is
            short, see ``smoke_overrides``.

    Raises:
        SuiteError: the file, or the suite with its overrides, is wrong.
        RequestError: an option is wrong.
    """
    if smoke is not None and limit is not None:
        raise RequestError(
            "--smoke: chooses the images itself, so --limit has no meaning beside it; leave one out"
        )
    overrides = dict(_key_and_value(text) for text in settings)
    plain = _as_written(suite, overrides)
    # Shorter trainings keep the form of their schedule.
    if epochs is not None:
        schedule = (plain or load(suite, overrides)).schedule
        share = epochs / schedule.epochs
        overrides["schedule.epochs"] = epochs
        milestones = [milestone * share for milestone in schedule.milestones]
        overrides.setdefault("schedule.milestones", milestones)
    changed = load(suite, overrides) if overrides or plain is None else plain
    if smoke is not None:
        full = changed if plain is None else plain
        overrides |= smoke_overrides(changed, smoke, overrides, has_seeds=bool(_seeds(seeds)))
        changed = with_short_rows(load(suite, overrides), full, smoke)
    options = [f"--set {text}" for text in settings]
    options += [f"--epochs {epochs}"] if epochs is not None else []
    options += [f"--limit {limit}"] if limit is not None else []
    options += [f"--smoke {smoke}"] if smoke is not None else []
    is_whole = limit is None and smoke is None and (not overrides or _same_results(plain, changed))
    request = Request(
        changed,
        limit if smoke is None else Representative(smoke),
        () if is_whole else tuple(options),
        tuple(name.strip() for name in methods.split(",") if name.strip()),
        _seeds(seeds),
    )
    return request if smoke is not None or plain is None else _as_part_of(plain, request)


def _as_part_of(plain: Suite, request: Request) -> Request:
    """The same request, where ``--set`` chose rows or seeds as ``--methods`` and ``--seeds`` do.

    The suite keeps all that it has as written, so that tables say that they show a part of it.
    """
    suite, methods, seeds = request.suite, request.methods, request.seeds
    is_part = len(suite.methods) < len(plain.methods)
    if not methods and is_part and all(row in plain.methods for row in suite.methods):
        methods = tuple(row.label for row in suite.methods)
        suite = suite.model_copy(update={"methods": plain.methods})
    if not seeds and suite.seeds != plain.seeds:
        seeds = suite.seeds
        suite = suite.model_copy(update={"seeds": plain.seeds})
    return replace(request, suite=suite, methods=methods, seeds=seeds)


def _as_written(suite: Path, overrides: Mapping[str, Any]) -> Suite | None:
    """The suite without its overrides, or ``None`` if only these can make it valid."""
    try:
        return load(suite)
    except SuiteError:
        if not overrides:
            raise
        return None


def _same_results(plain: Suite | None, changed: Suite) -> bool:
    """Whether a changed suite asks for runs of the plain one only.

    A change that no result depends on, such as the folder of the data, leaves the result whole.
    """
    if plain is None:
        return False
    try:
        plain_ids = {run.settings_id for run in plan(plain, "", seeds=changed.seeds)}
    except RequestError:  # the suite needs the override, or it cannot be planned at all
        return False
    return all(run.settings_id in plain_ids for run in plan(changed, ""))


def _key_and_value(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise RequestError(f"--set {shortened(text)}: write KEY=VALUE, such as schedule.lr=0.02")
    try:
        return key.strip(), read_yaml(value)
    except UnreadableYaml as error:
        raise RequestError(f"--set {shortened(text)}: the value: {error}") from None


def _seeds(text: str) -> tuple[int, ...]:
    seeds = tuple(_seed(part) for part in text.split(",") if part.strip())
    if len(seeds) > MAX_SEEDS:
        raise RequestError(f"--seeds: {len(seeds)} are too many; write at most {MAX_SEEDS}")
    return seeds


def _seed(text: str) -> int:
    text = text.strip()
    if not text.isdecimal() or len(text) > _DIGITS or int(text) >= 2**31:
        raise RequestError(
            f"--seeds: {quoted(text)} is not a seed; write numbers below 2^31, such as 0,1,2"
        )
    return int(text)
