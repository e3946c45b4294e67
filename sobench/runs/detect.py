"""Model and images -> detections in pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sobench.data.batches import inference_batches
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resize import resize_geometry
from sobench.metrics.detections import DetectionRow
from sobench.models.detector import Detector
from sobench.models.parts.nms import Detections
from sobench.suite.plan import Run
from sobench.training.loop import autocast


@torch.inference_mode()
def detect(
    run: Run,
    detector: Detector,
    dataset: Dataset,
    images: ImageArray,
    device: torch.device,
    watch: Callable[[int, int], None] | None = None,
) -> list[DetectionRow]:
    """COCO result rows of a whole split, image by image, best first.

    Args:
        watch: called with images done and images in all.
    """
    detector.eval()
    rows: list[DetectionRow] = []
    done = 0
    for batch in inference_batches(images, run.suite.schedule.batch_size):
        with autocast(run, device):
            found: Detections = detector(batch.to(device))
        for index in range(len(batch)):
            rows += _rows(run, dataset, done, found, index)
            done += 1
        if watch is not None:
            watch(done, len(images))
    return rows


def _rows(
    run: Run, dataset: Dataset, image: int, found: Detections, index: int
) -> list[DetectionRow]:
    record = dataset.images[image]
    boxes = found.boxes[index].double().cpu().numpy()
    boxes = resize_geometry(run.suite.input, record.size).to_original(boxes)
    boxes = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    labels = found.labels[index].cpu().numpy()
    # What lay wholly in the padding has no area left in the image.
    kept = (labels >= 0) & (boxes[:, 2:] > 0).all(axis=1)
    return [
        {
            "image_id": record.id,
            "category_id": dataset.category_ids[label],
            "bbox": box,
            "score": score,
        }
        for box, score, label in zip(
            boxes[kept].tolist(),
            found.scores[index].cpu().numpy()[kept].tolist(),
            labels[kept].tolist(),
            strict=True,
        )
    ]
