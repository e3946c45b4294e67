"""Detector and images -> detections in pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sobench.data.batches import inference_batches
from sobench.data.dataset import Dataset, Images
from sobench.data.resize import resize_geometry
from sobench.device import autocast
from sobench.metrics.detections import DetectionRow
from sobench.models.detector import Detector
from sobench.models.parts.nms import Detections
from sobench.suite.sections import Input


@torch.inference_mode()
def detect(
    detector: Detector,
    images: Images,
    dataset: Dataset,
    settings: Input,
    *,
    batch_size: int,
    precision: str,
    on_images: Callable[[int, int], None] | None = None,
) -> list[DetectionRow]:
    """COCO result rows of a whole split, image by image, best first.

    Args:
        images: ``[N, H, W, 3]`` uint8, the images of ``dataset`` resized as ``settings`` say.
        precision: ``fp32`` or ``bf16``.
        on_images: called with images done and images in all.
    """
    detector.eval()
    device = detector.mean.device
    rows_by_image: dict[int, list[DetectionRow]] = {}
    for chosen, batch in inference_batches(dataset, images, settings, batch_size):
        with autocast(precision, device):
            detections: Detections = detector(batch.to(device))
        for index, image in enumerate(chosen):
            rows_by_image[image] = _result_rows(detections, index, dataset, image, settings)
        if on_images is not None:
            on_images(len(rows_by_image), len(images))
    return [row for image in range(len(images)) for row in rows_by_image[image]]


def _result_rows(
    detections: Detections, index: int, dataset: Dataset, image: int, settings: Input
) -> list[DetectionRow]:
    """The detections at ``index`` of a batch, which are those of an image of the dataset."""
    original = dataset.images[image]
    boxes = detections.boxes[index].double().cpu().numpy()
    geometry = resize_geometry(settings, original.size)
    boxes = geometry.to_original(boxes)
    boxes = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    labels = detections.labels[index].cpu().numpy()
    # A box that was wholly in the padding has no area left in the image.
    real = (labels >= 0) & (boxes[:, 2:] > 0).all(axis=1)
    return [
        {
            "image_id": original.id,
            "category_id": dataset.category_ids[label],
            "bbox": box,
            "score": score,
        }
        for box, score, label in zip(
            boxes[real].tolist(),
            detections.scores[index].cpu().numpy()[real].tolist(),
            labels[real].tolist(),
            strict=True,
        )
    ]
