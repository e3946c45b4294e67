"""Checks, on shapes alone, that a row can be built and run under its suite."""

from __future__ import annotations

import torch

from sobench.data.resize import input_shape
from sobench.errors import RequestError
from sobench.models.build import build_without_storage
from sobench.suite.sections import MethodEntry, Suite


def check_detector(suite: Suite, entry: MethodEntry, tested: str = "") -> None:
    """Build one row without storage and send one batch through it, as training would.

    Args:
        tested: if the row is only tested at this input size, the key of the suite that asks for
            it, with its value; then the batch is a single image, as in detection.

    Raises:
        RequestError: the row cannot be built or run under this suite.
    """
    count = 1 if tested else suite.schedule.batch_size
    images = torch.empty(count, 3, *input_shape(suite.input), device="meta")
    try:
        build_without_storage(suite, entry).train(not tested).predict(images)
    except (ValueError, RuntimeError) as error:
        if _wants_values(error):
            return
        why = str(error).partition("\n")[0]
        where = tested or (
            f"input.size {list(input_shape(suite.input))} and schedule.batch_size {len(images)}"
        )
        raise RequestError(
            f"{suite.name}: methods: {entry.label} does not run with {where}:\n"
            f"{why}; change these, or leave the row out"
        ) from error


def check_fits(
    suite: Suite, entry: MethodEntry, other: Suite, origin: MethodEntry, why: str
) -> None:
    """Check that the weights of ``origin`` under another suite fit the network of ``entry``.

    Args:
        why: the key of the suite that asks for these weights, with its value, for the message.

    Raises:
        RequestError: they do not fit; names the first that does not.
    """
    try:
        networks = build_without_storage(suite, entry), build_without_storage(other, origin)
    except (ValueError, RuntimeError) as error:
        if _wants_values(error):
            return
        raise
    here, there = ({k: list(v.shape) for k, v in n.state_dict().items()} for n in networks)
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise RequestError(
                f"{suite.name}: methods: {entry.label}: {why}: the weights of {origin.label} do "
                f"not fit:\n{name} is {there.get(name, 'not')} there and {here.get(name, 'not')} "
                "here; change the one or leave the other out"
            )


def _wants_values(error: Exception) -> bool:
    """Whether an operation reads values, which tensors without storage do not have."""
    return isinstance(error, NotImplementedError) or "meta tensors" in str(error)
