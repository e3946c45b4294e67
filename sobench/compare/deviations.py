"""What sets a row apart, in as few words as tell it."""

from __future__ import annotations

from collections.abc import Sequence


def with_one_reason(deviations: Sequence[str], reason: str) -> tuple[str, ...]:
    """The deviations of a row, in which keys that share its reason are one text.

    Args:
        deviations: as ``Run.deviations`` has them.
        reason: that the suite gives for the row's own keys; empty if it has none.
    """
    why = f" ({reason})"
    keys = [text.removesuffix(why) for text in deviations if text.endswith(why)]
    texts = [text for text in deviations if not text.endswith(why)]
    return (*texts, *([", ".join(keys) + why] if keys else []))
