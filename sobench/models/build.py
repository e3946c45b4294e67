"""From what a suite pins and a row names to a network."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch

from sobench.data.dataset import FloatArray
from sobench.data.resize import input_shape
from sobench.errors import RequestError
from sobench.models.detector import Detector, DetectorConfig
from sobench.models.parts.backbone import build_backbone
from sobench.suite import plugins
from sobench.suite.sections import MethodEntry, Suite


def build_detector(
    suite: Suite,
    entry: MethodEntry,
    num_classes: int,
    seed: int,
    box_wh: FloatArray | None = None,
) -> Detector:
    """The detector of one row, initialised from ``seed`` without touching the global generator.

    The backbone draws first and from the seed alone, so every method of a suite starts from the
    same backbone weights.

    Args:
        box_wh: ``[N, 2]`` width and height of the training boxes in pixels of the input.

    Raises:
        RequestError: the method cannot be built under this suite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(suite.backbone)
        torch.default_generator.manual_seed(seed + 1)
        config = detector_config(suite, num_classes, box_wh)
        return builder(entry.name)(backbone, config, entry.switches)


def build_without_storage(suite: Suite, entry: MethodEntry) -> Detector:
    """The detector of one row for one class, on torch's ``meta`` device: shapes and no values."""
    plain = suite.backbone.model_copy(update={"weights": "none"})
    with torch.device("meta"):
        config = detector_config(suite, num_classes=1)
        return builder(entry.name)(build_backbone(plain), config, entry.switches)


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
            f"{where} has no function build(backbone, config, switches); write one, or name "
            f"the module that has it in the row of {name}"
        )
    return found


def detector_config(
    suite: Suite, num_classes: int, box_wh: FloatArray | None = None
) -> DetectorConfig:
    """What the suite pins for every network."""
    return DetectorConfig(
        num_classes,
        input_shape(suite.input),
        suite.neck,
        suite.head,
        suite.anchors,
        suite.detect,
        suite.regions,
        box_wh,
    )
