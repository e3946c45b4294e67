"""Whether a row can be built and run under its suite, tried on shapes alone."""

from __future__ import annotations

import torch

from sobench.data.resize import input_shape
from sobench.errors import RequestError
from sobench.models.build import build_without_storage
from sobench.suite.sections import MethodEntry, Suite


def check_detector(suite: Suite, entry: MethodEntry, tested: str = "") -> None:
    """Build one row without storage and send one batch through it, as training would.

    Args:
        tested: the key of the suite that wants the row only tested at this input, with its value;
            then it is one image, and nothing trains.

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
    """See whether the weights of ``origin`` under another suite fit the network of ``entry``.

    Args:
        why: the key of the suite that asks for it, with its value.

    Raises:
        RequestError: they do not; names the first that does not.
    """
    try:
        networks = build_without_storage(suite, entry), build_without_storage(other, origin)
    except (ValueError, RuntimeError) as error:
        if _wants_values(error):
            return
        raise
    own, theirs = ({k: list(v.shape) for k, v in n.state_dict().items()} for n in networks)
    for name in sorted(own.keys() | theirs.keys()):
        if own.get(name) != theirs.get(name):
            raise RequestError(
                f"{suite.name}: methods: {entry.label}: {why}: the weights of {origin.label} do "
                f"not fit:\n{name} is {theirs.get(name, 'not')} there and {own.get(name, 'not')} "
                "here; change the one or leave the other out"
            )


def _wants_values(error: Exception) -> bool:
    """Whether torch has no form of an operation without storage, since it looks at values."""
    return isinstance(error, NotImplementedError) or "meta tensors" in str(error)
