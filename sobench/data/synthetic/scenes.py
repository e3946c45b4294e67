"""Drawn scenes as a dataset.

A scene is a function of the suite's seed, size and number of objects, of the split and the index
alone: the first images of a split do not depend on the length of the split, and a picture does not
depend on the ones read before it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from sobench.data.annotations import Split
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.synthetic.layout import CLASSES, Scene, draw_scene, visible_shares
from sobench.data.synthetic.painting import paint
from sobench.suite.datasets import SyntheticData

VERSION = 1
"""Counts the changes that alter a picture or a box."""

VISIBLE = 0.5
"""An object that shows less of itself than this becomes an ignore region of its class."""

_LAYOUT, _PAINTING = 0, 1
"""Stages with separate random generators, so that annotations do not depend on the pixels."""


def read(spec: SyntheticData, split: Split) -> Dataset:
    """The annotated scenes of a split; ``read_image`` paints one when it is asked for."""
    count = _count(spec, split)
    images = tuple(_annotate(spec, split, index) for index in range(count))
    hidden = sum(len(image.ignore) for image in images)
    return Dataset(
        title=f"synthetic {split}",
        classes=CLASSES,
        category_ids=tuple(range(1, len(CLASSES) + 1)),
        images=images,
        read_image=partial(_paint, spec, split),
        notes=Counter({"objects mostly hidden, now ignore regions": hidden}),
    )


def fingerprint(spec: SyntheticData, splits: Sequence[Split] = ("train", "val")) -> str:
    """12 hexadecimal digits that change with ``VERSION`` and with what the spec says of splits.

    Nothing is drawn.
    """
    others = {"train", "val"} - {*splits}
    content = json.dumps([VERSION, spec.model_dump(mode="json", exclude=others)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _count(spec: SyntheticData, split: Split) -> int:
    return spec.train if split == "train" else spec.val


def _annotate(spec: SyntheticData, split: Split, index: int) -> AnnotatedImage:
    height, width = spec.size
    scene = _scene(spec, split, index)
    visible = np.array(visible_shares(scene, spec.size)) >= VISIBLE
    labels = as_labels([CLASSES.index(shape.kind) for shape in scene.objects])
    bounds = as_boxes([shape.bounds for shape in scene.objects])
    boxes = bounds[visible]
    return AnnotatedImage(
        id=index + 1,
        name=f"synthetic/{split}/{index:05d}",
        width=width,
        height=height,
        boxes=boxes,
        labels=labels[visible],
        areas=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        ignore=bounds[~visible],
        ignore_labels=labels[~visible],
    )


def _paint(spec: SyntheticData, split: Split, index: int) -> ImageArray:
    """The picture ``[H, W, 3]`` uint8 of scene ``index``."""
    if not 0 <= index < _count(spec, split):
        raise IndexError(
            f"synthetic {split} has {_count(spec, split)} images; there is no index {index}"
        )
    rng = _generator(spec, split, index, _PAINTING)
    return paint(rng, _scene(spec, split, index), spec.size)


def _scene(spec: SyntheticData, split: Split, index: int) -> Scene:
    return draw_scene(_generator(spec, split, index, _LAYOUT), spec.size, spec.objects)


def _generator(spec: SyntheticData, split: Split, index: int, stage: int) -> np.random.Generator:
    key = (("train", "val").index(split), index, stage)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(spec.seed, spawn_key=key)))
