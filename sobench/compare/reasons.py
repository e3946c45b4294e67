"""Things that are left out, reason by reason."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(left_out: Mapping[str, str]) -> list[str]:
    """``reason: name, name`` for each reason of ``left_out``, which has them by name."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return [f"{reason}: {', '.join(of_reason)}" for reason, of_reason in names.items()]
