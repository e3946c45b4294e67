"""Checks, without data, that a row can be built and run under its suite."""

from __future__ import annotations

import torch

from sobench.data.resize import input_shape
from sobench.errors import RequestError, reason_of
from sobench.models.build import build_without_storage
from sobench.models.parts.backbone import build_backbone
from sobench.models.start import misfit, read_weights
from sobench.suite.foreign import foreign_code
from sobench.suite.methods import get_method
from sobench.suite.origin import Origin
from sobench.suite.sections import MethodEntry, Suite


def check_pretrained(suite: Suite, planned: str) -> None:
    """Load the backbone's weights once, downloading them if need be.

    Args:
        planned: digest of the weights' file when the runs were planned.

    Raises:
        RequestError: they cannot be used; says why.
    """
    if suite.backbone.weights != "none":
        build_backbone(suite.backbone, planned)


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
        with foreign_code():
            build_without_storage(suite, entry).train(not tested).predict(images)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a method of another package does
        if _wants_values(error):
            return
        if _names_package(error, entry):
            raise
        where = tested or (
            f"input.size {list(input_shape(suite.input))} and schedule.batch_size {len(images)}"
        )
        raise RequestError(
            f"{suite.name}: methods: {_described(entry)} does not run with {where}:\n"
            f"{_reason(entry, error)}; change these, or leave the row out"
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
        here, there = ({k: list(v.shape) for k, v in n.state_dict().items()} for n in networks)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _wants_values(error):
            return
        if _names_package(error, entry):
            raise
        raise RequestError(
            f"{suite.name}: methods: {_described(entry)}: {why}: {_described(origin)} cannot be "
            f"built:\n{_reason(origin, error)}; change the one or leave the other out"
        ) from error
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise RequestError(
                f"{suite.name}: methods: {entry.label}: {why}: the weights of {origin.label} do "
                f"not fit:\n{name} is {there.get(name, 'not')} there and {here.get(name, 'not')} "
                "here; change the one or leave the other out"
            )


def check_start(suite: Suite, entry: MethodEntry, origin: Origin) -> None:
    """Check that the weights that a row starts from are there and fit its network.

    Raises:
        RequestError: they cannot be read or do not fit; names the first that does not.
    """
    weights = read_weights(origin)
    try:
        with foreign_code():
            problem = misfit(build_without_storage(suite, entry), weights)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what is wrong with the row is told by ``check_detector``
        if _wants_values(error):
            return
        raise
    if problem:
        raise RequestError(
            f"{suite.name}: methods: {entry.label}: init_from: the weights of {origin.place} do "
            f"not fit:\n{problem}; start from a run of the same method and switches"
        )


def _described(entry: MethodEntry) -> str:
    """The label of a row, with the package that its method comes from."""
    source = get_method(entry.name).source
    return f"{entry.label} of {source}" if source else entry.label


def _names_package(error: BaseException, entry: MethodEntry) -> bool:
    """Whether an error is a user's mistake, told with the package that the method comes from."""
    return isinstance(error, RequestError) and get_method(entry.name).source in str(error)


def _reason(entry: MethodEntry, error: BaseException) -> str:
    """The first line of an error; with its kind, unless our own networks have worded it."""
    is_worded = isinstance(error, (ValueError, RuntimeError)) and not get_method(entry.name).source
    return str(error).partition("\n")[0] if is_worded else reason_of(error)


def _wants_values(error: BaseException) -> bool:
    """Whether an operation reads values, which tensors without storage do not have."""
    return isinstance(error, NotImplementedError) or "meta tensors" in reason_of(error)
