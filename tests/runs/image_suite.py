"""A suite on image files of several shapes, and its finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sobench.suite.reader import parse
from sobench.suite.sections import Suite
from tests.runs.matrices import matrix
from tests.tiny_suite import CONTENT


def write_dataset(folder: Path, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """COCO JSON with an image of noise for each (height, width), and its section in a suite."""
    rng, images, boxes = np.random.default_rng(0), [], []
    (folder / "images").mkdir(parents=True)
    for number, (height, width) in enumerate(sizes, 1):
        name = f"{number}.png"
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        box = {"bbox": [3, 4, 12 + number, 10], "area": 120, "iscrowd": 0}
        boxes.append({"id": number, "image_id": number, "category_id": 7 + number % 2} | box)
    categories = [{"id": 7, "name": "bolt"}, {"id": 8, "name": "nut"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "all.json").write_text(json.dumps(content))
    return {"format": "coco", "root": str(folder), "train": "all.json", "val": "all.json"}


def image_suite(tmp_path: Path, method: Any = "fpn", **changes: Any) -> Suite:
    """A suite on images of several shapes."""
    data = write_dataset(tmp_path / "data", [(40, 64), (64, 48), (50, 50)])
    content = CONTENT | {
        "dataset": data,
        "schedule": CONTENT["schedule"] | {"epochs": 1, "milestones": []},
        "detect": {"score_threshold": 0.001},
        "methods": [method],
    }
    return parse(content | changes, tmp_path / "tiny.yaml")


def trained(tmp_path: Path, method: Any = "fpn", **changes: Any) -> tuple[Suite, Path]:
    """Such a suite, and the folder of its finished run."""
    suite = image_suite(tmp_path, method, **changes)
    _, outcomes = matrix(suite, tmp_path / "results")
    outcome = list(outcomes.values())[-1]
    assert outcome.status == "ok", outcome.reason
    return suite, tmp_path / "results" / "tiny" / outcome.method / outcome.run_id
