"""From what a suite pins and a row names to a network."""

from __future__ import annotations

from importlib import import_module

import torch

from sobench.data.resize import canvas
from sobench.models.backbone import build_backbone
from sobench.models.detector import Blueprint, Detector
from sobench.settings import MethodEntry, Suite


def build_detector(suite: Suite, entry: MethodEntry, classes: int, seed: int) -> Detector:
    """The detector of one row, initialised from ``seed`` without touching the global generator.

    The backbone draws first and from the seed alone, so every method of a suite starts from the
    same backbone weights.

    Raises:
        RequestError: the method cannot be built under this suite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(suite.backbone)
        torch.default_generator.manual_seed(seed + 1)
        method = import_module(f"sobench.models.methods.{entry.name}")
        detector: Detector = method.build(backbone, blueprint(suite, classes), entry.switches)
    return detector


def blueprint(suite: Suite, classes: int) -> Blueprint:
    """What the suite pins for every network."""
    return Blueprint(
        classes, canvas(suite.input), suite.neck, suite.head, suite.anchors, suite.detect
    )
