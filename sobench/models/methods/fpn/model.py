"""FPN: the top-down feature pyramid, arXiv:1612.03144, under the suite's head.

The switch ``fuse: false`` leaves the top-down sum out; MMDetection-based comparisons on VisDrone
have called that form SSD. ``first_level: 2`` moves RetinaNet's levels one down, for comparison with
methods that detect from finer maps than the suite's head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid, and the head of the suite."""
    levels = head_levels(config.head)
    if switches["first_level"] < levels.first:
        levels = replace(levels, first=levels.first - 1, last=levels.last - 1)
    neck = FeaturePyramid(backbone, config.neck, levels, fuse=switches["fuse"])
    return Detector(backbone, neck, build_head(config, levels.strides))
