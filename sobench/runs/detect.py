"""Detector and images -> detections in pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sobench.data.batches import inference_batches
from sobench.data.dataset import AnnotatedImage, Dataset, FloatArray, Images
from sobench.data.resize import resize_geometry
from sobench.device import autocast, loader_workers
from sobench.metrics.detections import DetectionRow
from sobench.models.detector import Detector
from sobench.models.parts.nms import Detections
from sobench.suite.input import Input


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
        images: ``[h, w, 3]`` uint8, the images of ``dataset`` resized as ``settings`` say.
        precision: ``fp32`` or ``bf16``.
        on_images: called with images done and images in all.
    """
    detector.eval()
    device = detector.mean.device
    rows_by_image: dict[int, list[DetectionRow]] = {}
    workers = loader_workers(device)
    for chosen, batch in inference_batches(dataset, images, settings, batch_size, workers):
        with autocast(precision, device):
            detections: Detections = detector(batch.to(device))
        for index, image in enumerate(chosen):
            original = dataset.images[image]
            boxes = detections.boxes[index].double().cpu().numpy()
            boxes = resize_geometry(settings, original.size).to_original(boxes)
            rows_by_image[image] = result_rows(
                original, dataset, boxes, detections.scores[index], detections.labels[index]
            )
        if on_images is not None:
            on_images(len(rows_by_image), len(images))
    return [row for image in range(len(images)) for row in rows_by_image[image]]


def result_rows(
    image: AnnotatedImage, dataset: Dataset, boxes: FloatArray, scores: Tensor, labels: Tensor
) -> list[DetectionRow]:
    """The detections of one image in their order, as rows of COCO results.

    Args:
        boxes: ``[D, 4]`` ``x1, y1, x2, y2`` in pixels of the original image.
        scores: ``[D]``; labels: ``[D]``, -1 for padding.
    """
    boxes = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    classes = labels.cpu().numpy()
    # A box that was wholly in the padding has no area left in the image.
    real = (classes >= 0) & (boxes[:, 2:] > 0).all(axis=1)
    return [
        {
            "image_id": image.id,
            "category_id": dataset.category_ids[label],
            "bbox": box,
            "score": score,
        }
        for box, score, label in zip(
            boxes[real].tolist(),
            scores.cpu().numpy()[real].tolist(),
            classes[real].tolist(),
            strict=True,
        )
    ]
