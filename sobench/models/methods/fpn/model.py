"""FPN: the top-down feature pyramid, arXiv:1612.03144, under the suite's head.

The switch ``fuse: false`` leaves the top-down sum out; MMDetection-based comparisons on VisDrone
have called that form SSD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid, and the head of the suite."""
    levels = head_levels(config.head)
    neck = FeaturePyramid(backbone, config.neck, levels, fuse=switches["fuse"])
    return Detector(backbone, neck, build_head(config, levels.strides))
