"""Letters that stand in a table for long texts beneath it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase


def labels_by_text(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Every text once, in the order of the rows, with the labels of the rows that it is of.

    Args:
        texts: label of a row -> what is to be told of it.
    """
    labels: dict[str, list[str]] = {}
    for label, of_row in texts.items():
        for text in of_row:
            labels.setdefault(text, []).append(label)
    return labels


def letter(number: int) -> str:
    """a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    more, last = divmod(number, len(ascii_lowercase))
    return (letter(more - 1) if more else "") + ascii_lowercase[last]


def letters(numbers: Sequence[int]) -> str:
    """The letters of numbers in rising order, three and more in a row as ``a-c``."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return " ".join(
        f"{letter(group[0])}-{letter(group[-1])}"
        if len(group) > 2
        else " ".join(map(letter, group))
        for group in groups
    )
