"""Whether a baseline is of what is asked for, so that a difference means something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sobench.compare.baseline import Baseline, row_settings
from sobench.errors import RequestError
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.text import plain, quoted
from sobench.yaml_text import as_written

_SHOWN = 3
"""Differing keys that a message names."""


def check_fits(path: Path, baseline: Baseline, runs: Sequence[Run]) -> None:
    """Refuse a baseline of something else than these runs; needs no result yet.

    Raises:
        RequestError: it is of another suite, protocol or state of the data; a row has other
            settings; or it has not one of the rows.
    """
    suite = runs[0].suite
    version = PROTOCOLS[suite.protocol].version
    recorded = f"{baseline.protocol} v{baseline.protocol_version}"
    if baseline.suite != suite.name:
        raise RequestError(
            f"{path}: is the baseline of suite {quoted(baseline.suite)}, not "
            f"{quoted(suite.name)}; name its own with --baseline, or record one with --record"
        )
    if recorded != f"{suite.protocol} v{version}":
        raise RequestError(
            f"{path}: the baseline was scored by protocol {recorded}, and the suite is by "
            f"{suite.protocol} v{version}; record it anew with --record"
        )
    if runs[0].data and baseline.data != runs[0].data:
        raise RequestError(
            f"{path}: the baseline is of other data ({plain(baseline.data)}, and now it is "
            f"{runs[0].data}); bring back the data, or record it anew with --record"
        )
    rows = {run.entry.label: run for run in runs}
    if not rows.keys() & baseline.rows.keys():
        raise RequestError(
            f"{path}: has none of the rows {', '.join(rows)}; it has "
            f"{', '.join(map(plain, baseline.rows))}; record it anew with --record"
        )
    for label, run in rows.items():
        if label in baseline.rows and baseline.rows[label].row_id != run.row_id:
            found = list(differences(baseline.rows[label].settings, row_settings(run)))
            more = f" and {len(found) - _SHOWN} more" if found[_SHOWN:] else ""
            raise RequestError(
                f"{path}: {label}: the baseline has other settings: "
                f"{'; '.join(found[:_SHOWN])}{more}; use the options that it was recorded with "
                f"({' '.join(baseline.options) or 'none'}), or record it anew with --record"
            )


def differences(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys with both values, such as ``limit: 2 there, null here``."""
    for key in sorted({*then, *now}):
        one, other = then.get(key), now.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from differences(one, other, f"{prefix}{key}.")
        else:
            name = plain(f"{prefix}{key}")
            yield f"{name}: {plain(as_written(one))} there, {plain(as_written(other))} here"
