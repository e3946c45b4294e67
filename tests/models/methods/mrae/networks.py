"""Small MRAE networks and the scenes that they are trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sobench.data.batches import training_batches
from sobench.data.dataset import Dataset, FloatArray
from sobench.data.synthetic import scenes as synthetic
from sobench.data.targets import Batch
from sobench.models import build
from sobench.models.detector import Detector
from sobench.suite.datasets import SyntheticData
from sobench.suite.sections import Suite
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")


def detector(sizes: FloatArray | None = None, **changes: Any) -> Detector:
    """MRAE with switches; ``head``, ``neck`` and ``backbone`` are the suite's, regions are few."""
    of_suite = {key: changes.pop(key) for key in ("head", "neck", "backbone") if key in changes}
    regions = {"pre_nms_top_n": 50, "post_nms_top_n": 8, "batch_size_per_image": 8}
    suite = tiny_suite(methods=[{"name": "mrae"} | changes], regions=regions, **of_suite)
    return build.build_detector(suite, suite.methods[0], 5, 0, sizes)


def training_scenes(suite: Suite) -> Dataset:
    assert isinstance(suite.dataset, SyntheticData)
    return synthetic.read(suite.dataset, "train")


def first_batch(suite: Suite, images: int) -> Batch:
    dataset = training_scenes(suite).first(images)
    pixels = np.stack([dataset.read_image(i) for i in range(images)])
    return next(iter(training_batches(dataset, pixels, suite.input, suite.augment, images, 0, 0)))
