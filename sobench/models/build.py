"""From what a suite pins and a row names to a network."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch

from sobench.data.dataset import FloatArray
from sobench.data.resize import canvas
from sobench.errors import RequestError
from sobench.models.detector import Blueprint, Detector
from sobench.models.parts.backbone import build_backbone
from sobench.suite import plugins
from sobench.suite.sections import MethodEntry, Suite


def build_detector(
    suite: Suite,
    entry: MethodEntry,
    classes: int,
    seed: int,
    box_sizes: FloatArray | None = None,
) -> Detector:
    """The detector of one row, initialised from ``seed`` without touching the global generator.

    The backbone draws first and from the seed alone, so every method of a suite starts from the
    same backbone weights.

    Args:
        box_sizes: ``[N, 2]`` width and height of the training boxes in pixels of the input.

    Raises:
        RequestError: the method cannot be built under this suite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(suite.backbone)
        torch.default_generator.manual_seed(seed + 1)
        pinned = blueprint(suite, classes, box_sizes)
        return builder(entry.name)(backbone, pinned, entry.switches)


def check_detector(suite: Suite, entry: MethodEntry, tested: str = "") -> None:
    """Build one row without storage and send one batch through it, as training would.

    Args:
        tested: the key of the suite that wants the row only tested at this input, with its value;
            then it is one image, and nothing trains.

    Raises:
        RequestError: the row cannot be built or run under this suite.
    """
    count = 1 if tested else suite.schedule.batch_size
    images = torch.empty(count, 3, *canvas(suite.input), device="meta")
    try:
        _without_storage(suite, entry).train(not tested).predict(images)
    except (ValueError, RuntimeError) as error:
        if _wants_values(error):
            return
        why = str(error).partition("\n")[0]
        where = tested or (
            f"input.size {list(canvas(suite.input))} and schedule.batch_size {len(images)}"
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
        networks = _without_storage(suite, entry), _without_storage(other, origin)
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


def _without_storage(suite: Suite, entry: MethodEntry) -> Detector:
    plain = suite.backbone.model_copy(update={"weights": "none"})
    with torch.device("meta"):
        pinned = blueprint(suite, classes=1)
        return builder(entry.name)(build_backbone(plain), pinned, entry.switches)


def _wants_values(error: Exception) -> bool:
    """Whether torch has no form of an operation without storage, since it looks at values."""
    return isinstance(error, NotImplementedError) or "meta tensors" in str(error)


def builder(name: str) -> Callable[..., Detector]:
    """The ``build`` of a method: of our own file, or of the module that its package names.

    Raises:
        RequestError: the module of another package cannot be imported or has no ``build``.
    """
    method = plugins.methods()[name]
    if not method.module:
        build: Callable[..., Detector] = import_module(f"sobench.models.methods.{name}.model").build
        return build
    where = f"methods: {name} of {method.source}: module {method.module}"
    try:
        module = import_module(method.module)
    except Exception as error:  # whatever another package does while it is imported
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RequestError(
            f"{where} cannot be imported ({why});\nmend the package or leave the method out"
        ) from error
    found: Callable[..., Detector] | None = getattr(module, "build", None)
    if not callable(found):
        raise RequestError(
            f"{where} has no function build(backbone, blueprint, switches); write one, or name "
            f"the module that has it in the row of {name}"
        )
    return found


def blueprint(suite: Suite, classes: int, box_sizes: FloatArray | None = None) -> Blueprint:
    """What the suite pins for every network."""
    return Blueprint(
        classes,
        canvas(suite.input),
        suite.neck,
        suite.head,
        suite.anchors,
        suite.detect,
        suite.regions,
        box_sizes,
    )
