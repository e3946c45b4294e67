"""The network of a row, from its suite and its switches."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch

from sobench.data.dataset import FloatArray
from sobench.data.resize import input_shape
from sobench.errors import RequestError, reason_of
from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads import head_levels
from sobench.models.parts.anchors import fitted_anchors
from sobench.models.parts.backbone import build_backbone
from sobench.suite.foreign import foreign_code
from sobench.suite.methods import get_method
from sobench.suite.sections import MethodEntry, Suite


def build_detector(
    suite: Suite,
    entry: MethodEntry,
    num_classes: int,
    seed: int,
    box_wh: FloatArray | None = None,
    weights: str = "",
) -> Detector:
    """The detector of one row, initialised from ``seed`` without touching the global generator.

    The backbone draws first and from the seed alone, so every method of a suite starts from the
    same backbone weights.

    Args:
        box_wh: ``[N, 2]`` width and height of the training boxes in pixels of the input.
        weights: digest of the backbone's weights when the run was planned; empty if any will do.

    Raises:
        RequestError: the method cannot be built under this suite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(suite.backbone, weights)
        torch.default_generator.manual_seed(seed + 1)
        config = detector_config(suite, num_classes, box_wh)
        return builder(entry.name)(backbone, config, entry.switches)


def build_without_storage(
    suite: Suite, entry: MethodEntry, box_wh: FloatArray | None = None
) -> Detector:
    """The detector of one row for one class, on torch's ``meta`` device: shapes and no values.

    Args:
        box_wh: as of ``build_detector``.
    """
    plain = suite.backbone.model_copy(update={"weights": "none"})
    with torch.device("meta"):
        config = detector_config(suite, 1, box_wh)
        return builder(entry.name)(build_backbone(plain), config, entry.switches)


def builder(name: str) -> Callable[..., Detector]:
    """The function ``build`` of a method, from the module ``model`` of its package.

    Raises:
        RequestError: the package cannot be used, or its module has no ``build``.
    """
    method = get_method(name)
    if method.broken:
        raise RequestError(f"methods: {name}: {method.broken}")
    module_name = f"{method.package}.model"
    where = f"methods: {name} of {method.source or 'sobench itself'}: module {module_name}"
    try:
        with foreign_code():
            module = import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever another package does while it is imported
        raise RequestError(
            f"{where} cannot be imported ({reason_of(error)});\n"
            "fix the package or leave the method out"
        ) from error
    build: Callable[..., Detector] | None = getattr(module, "build", None)
    if not callable(build):
        raise RequestError(
            f"{where} has no function build(backbone, config, switches); write one there, or let "
            f"the entry point of {name} name the package that has it in its model.py"
        )
    return build


def detector_config(
    suite: Suite, num_classes: int, box_wh: FloatArray | None = None
) -> DetectorConfig:
    """The part of the suite that is the same for every network."""
    return DetectorConfig(
        num_classes,
        input_shape(suite.input),
        suite.neck,
        suite.head,
        fitted_anchors(suite.anchors, box_wh, head_levels(suite.head).strides[0]),
        suite.detect,
        suite.regions,
        box_wh,
    )
