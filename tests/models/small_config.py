"""What tests of heads pin: a small config, and ground truth as tensors."""

from __future__ import annotations

from typing import Any

import torch

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig
from sobench.suite import sections

CLASSES = 3
SIZE = (64, 96)


def make_config(**changes: Any) -> DetectorConfig:
    """Three classes, 64x96 pixels, eight channels, the settings' defaults."""
    content: dict[str, Any] = {
        "num_classes": CLASSES,
        "size": SIZE,
        "neck": sections.Neck(channels=8),
        "head": "retinanet",
        "anchors": sections.Anchors(),
        "detect": sections.Detect(),
    }
    return DetectorConfig(**(content | changes))


def targets(
    rows: list[list[tuple[float, ...]]],
    labels: list[list[int]],
    ignore: list[list[tuple[float, ...]]] | None = None,
) -> Targets:
    """Padded to the longest row, and at least to one, with label -1."""
    longest = max(1, *(len(row) for row in rows))
    return Targets(
        torch.tensor([[*row, *[(0.0,) * 4] * (longest - len(row))] for row in rows]),
        torch.tensor([[*row, *[-1] * (longest - len(row))] for row in labels]),
        torch.tensor(ignore) if ignore else torch.zeros(len(rows), 0, 4),
    )
