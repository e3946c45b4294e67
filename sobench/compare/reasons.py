"""Things that are left out, reason by reason."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(left_out: Mapping[str, str]) -> list[str]:
    """``reason: name, name`` for each reason of ``left_out``, which has them by name."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return [f"{reason}: {', '.join(of_reason)}" for reason, of_reason in names.items()]


def runs_by_reason(left_out: Mapping[str, str]) -> list[str]:
    """``ssd, fpn seeds 0, 1: reason`` for runs that are left out, by names such as ``fpn seed 0``.

    Rows share a line if the same seeds of them have the same reason.
    """
    seeds: dict[tuple[str, str], list[str]] = {}
    for name, reason in left_out.items():
        label, _, seed = name.rpartition(" seed ")
        seeds.setdefault((reason, label), []).append(seed)
    labels: dict[tuple[str, ...], list[str]] = {}
    for (reason, label), of_row in seeds.items():
        labels.setdefault((reason, *of_row), []).append(label)
    return [
        f"{', '.join(of_reason)} {'seeds' if of_row[1:] else 'seed'} {', '.join(of_row)}: {reason}"
        for (reason, *of_row), of_reason in labels.items()
    ]
