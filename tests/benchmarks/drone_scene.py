"""A set like VisDrone val, and detections as of a trained network, both drawn from a seed."""

from __future__ import annotations

import numpy as np

from sobench.data.dataset import AnnotatedImage, Dataset, FloatArray, IntArray
from sobench.metrics.detections import DetectionRow

WIDTH, HEIGHT = 1400, 788
CLASSES = {
    "pedestrian": 0.23, "people": 0.13, "bicycle": 0.03, "car": 0.36, "van": 0.05, "truck": 0.02,
    "tricycle": 0.03, "awning-tricycle": 0.01, "bus": 0.01, "motor": 0.13,
}  # fmt: skip
"""Each class with its share of the objects."""


def draw_scene(images: int, boxes: int, seed: int = 0) -> Dataset:
    """Images with ``boxes`` objects in all, most of them small and some images crowded."""
    rng = np.random.default_rng(seed)
    crowding = rng.gamma(1.5, size=images)
    per_image = rng.multinomial(boxes, crowding / crowding.sum())
    annotated = []
    for number, count in enumerate(per_image.tolist(), 1):
        side = np.exp(rng.normal(3.2, 0.7, (count, 1)) + rng.normal(0, 0.25, (count, 2))).round()
        side = side.clip(3, 300)
        corner = (rng.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - side)).round()
        annotated.append(
            AnnotatedImage(
                number, f"{number}.jpg", WIDTH, HEIGHT, np.concatenate([corner, corner + side], 1),
                rng.choice(len(CLASSES), count, p=list(CLASSES.values())), side.prod(axis=1),
                np.empty((0, 4)), np.empty(0, np.int64),
            )
        )  # fmt: skip
    ids = tuple(range(1, len(CLASSES) + 1))
    return Dataset("drone scenes", tuple(CLASSES), ids, tuple(annotated), _no_pixels)


def detect(
    dataset: Dataset, per_image: int, quality: float = 0.7, seed: int = 0
) -> list[DetectionRow]:
    """``per_image`` detections in each image: of objects, doubled and displaced, and of nothing.

    Args:
        quality: 0..1, how well objects are found, placed and scored.
    """
    rng = np.random.default_rng([seed, 1])
    rows: list[DetectionRow] = []
    for image in dataset.images:
        boxes, labels, scores = _guesses(image, per_image, quality, rng)
        for box, label, value in zip(boxes.tolist(), labels.tolist(), scores.tolist(), strict=True):
            rows.append(
                {"image_id": image.id, "category_id": label + 1, "bbox": box, "score": value}
            )
    return rows


def _guesses(
    image: AnnotatedImage, number: int, quality: float, rng: np.random.Generator
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Boxes ``[D, 4]`` ``x, y, w, h``, labels and scores of one image."""
    ease = rng.beta(4 * quality, 4 * (1 - quality), len(image.boxes))  # of each object
    near = np.flatnonzero(np.repeat(rng.random(len(ease)) < 0.4 + 0.6 * ease, 2))[:number] // 2
    extent = image.boxes[near, 2:] - image.boxes[near, :2]
    blur = (0.05 + 0.25 * (1 - ease[near]))[:, None]
    side = extent * np.exp(rng.normal(0, 1, extent.shape) * blur)
    corner = image.boxes[near, :2] + rng.normal(0, 1, extent.shape) * blur * extent
    wrong = rng.random(len(near)) < 0.3 * (1 - quality)
    labels = np.where(wrong, rng.integers(0, len(CLASSES), len(near)), image.labels[near])
    sure = ease[near] * rng.beta(5, 2, len(near))
    # The rest are false ones, which are less sure and of the same classes and sizes.
    count = number - len(near)
    sides = np.exp(rng.normal(3.2, 0.7, (count, 2))).clip(3, 300)
    corners = rng.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sides)
    return (
        np.concatenate([np.hstack([corner, side]), np.hstack([corners, sides])]),
        np.concatenate([labels, rng.choice(len(CLASSES), count, p=list(CLASSES.values()))]),
        np.concatenate([sure, rng.beta(1, 6, count)]),
    )


def _no_pixels(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    raise NotImplementedError(f"image {index} is not drawn: only its annotations are")
