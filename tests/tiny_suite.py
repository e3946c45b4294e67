"""A suite that trains in seconds: a few small drawn scenes, ResNet-18 from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sobench.suite.plan import Run
from sobench.suite.reader import parse
from sobench.suite.sections import Suite

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "dataset": {
        "format": "synthetic", "train": 7, "val": 3, "size": [64, 64], "objects": [3, 6],
    },
    "input": {"size": [64, 64]},
    "backbone": {"name": "resnet18", "weights": "none", "norm": "train"},
    "neck": {"channels": 16},
    "anchors": {"smallest": 12},
    "schedule": {
        "epochs": 3, "batch_size": 2, "lr": 0.005, "clip_norm": 10,
        "warmup": {"steps": 2, "start": 0.1}, "milestones": [2],
    },
    "device": "cpu",
    "methods": ["fpn"],
}  # fmt: skip


def tiny_suite(**changes: Any) -> Suite:
    """The tiny suite with sections laid over."""
    content = CONTENT | {
        key: CONTENT[key] | value if isinstance(value, dict) and key in CONTENT else value
        for key, value in changes.items()
    }
    return parse(content, Path("tiny.yaml"))


def tiny_run(seed: int = 0, **changes: Any) -> Run:
    """The first row of the tiny suite."""
    suite = tiny_suite(**changes)
    return Run(suite, suite.methods[0], seed, "0123456789ab")


def write_tiny(folder: Path, **changes: Any) -> Path:
    """The tiny suite as a file."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT | changes))
    return path
