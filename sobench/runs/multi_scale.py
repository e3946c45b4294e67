"""Several looks at every image, at several sizes and mirrored, suppressed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sobench.data.batches import inference_batches
from sobench.data.dataset import Dataset, Images
from sobench.data.resize import ResizeGeometry, resize_geometry
from sobench.device import autocast
from sobench.metrics.detections import DetectionRow
from sobench.models.detector import Detector
from sobench.models.parts.nms import suppress
from sobench.runs.detect import result_rows
from sobench.suite.detect import Detect
from sobench.suite.input import Input

Found = tuple[Tensor, Tensor, Tensor]
"""Candidates of one image: boxes ``[N, 4]`` in pixels of the original, scores and labels."""


@dataclass(frozen=True)
class Look:
    """One look at every image.

    Attributes:
        detector: built for the size of the images.
        images: ``[h, w, 3]`` uint8, the dataset's, resized as ``settings`` say.
        flip: whether the detector sees their mirror images.
    """

    detector: Detector
    images: Images
    settings: Input
    flip: bool = False


@torch.inference_mode()
def detect_together(
    looks: Sequence[Look],
    dataset: Dataset,
    settings: Detect,
    *,
    batch_size: int,
    precision: str,
    on_images: Callable[[int, int], None] | None = None,
) -> list[DetectionRow]:
    """COCO result rows of a whole split, from the candidates of all looks at an image.

    Boxes are cut off at the image and suppressed in its pixels. That gives the detections of a
    stretched input, since stretching a frame changes no overlap; in a padded one ``detect`` cuts
    them off at the end of the padding, which differs from size to size.

    Args:
        settings: of the suppression, and the number of detections.
        precision, on_images: as for ``detect``.
    """
    for look in looks:
        look.detector.eval()
    detection_rows: list[DetectionRow] = []
    count = len(dataset.images)
    for start in range(0, count, batch_size):
        # All looks at the same images, so that their candidates are held for one batch alone.
        chosen = range(start, min(start + batch_size, count))
        part = replace(dataset, images=dataset.images[start : chosen.stop])
        found = [
            _candidates(
                look, [look.images[index] for index in chosen], part, precision,
                settings.score_threshold,
            )
            for look in looks
        ]  # fmt: skip
        for original, of_image in zip(part.images, zip(*found, strict=True), strict=True):
            boxes, scores, labels = (torch.cat(x) for x in zip(*of_image, strict=True))
            boxes, scores, labels = suppress(boxes, scores, labels, settings)
            detection_rows += result_rows(original, dataset, boxes.numpy(), scores, labels)
        if on_images is not None:
            on_images(min(start + batch_size, count), count)
    return detection_rows


def mirrored(batch: Tensor, geometries: Sequence[ResizeGeometry]) -> Tensor:
    """``[B, 3, H, W]`` images, each mirrored within its own width; the padding stays right."""
    flipped = batch.clone()
    for image, geometry in zip(flipped, geometries, strict=True):
        width = geometry.size[1]
        image[..., :width] = image[..., :width].flip(-1)
    return flipped


def mirrored_boxes(boxes: Tensor, geometry: ResizeGeometry) -> Tensor:
    """``[N, 4]`` boxes of a mirrored image in the image itself, and the other way round."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    width = geometry.size[1]
    return torch.stack((width - x2, y1, width - x1, y2), dim=-1)


def _candidates(
    look: Look,
    pixels: Images,
    dataset: Dataset,
    precision: str,
    lowest: float,
) -> list[Found]:
    """Of each of a few images the candidates above a score, on the CPU."""
    device = look.detector.mean.device
    found: dict[int, Found] = {}
    for chosen, batch in inference_batches(dataset, pixels, look.settings, len(pixels)):
        geometries = [resize_geometry(look.settings, dataset.images[i].size) for i in chosen]
        seen = mirrored(batch, geometries) if look.flip else batch
        with autocast(precision, device):
            levels = look.detector.candidates(seen.to(device))
        boxes, scores, labels = (torch.cat(part, dim=1) for part in zip(*levels, strict=True))
        for place, (index, geometry) in enumerate(zip(chosen, geometries, strict=True)):
            passed = scores[place] > lowest
            of_image = boxes[place][passed].double().cpu()
            if look.flip:
                of_image = mirrored_boxes(of_image, geometry)
            in_original = torch.from_numpy(geometry.to_original(of_image.numpy()))
            found[index] = in_original, scores[place][passed].cpu(), labels[place][passed].cpu()
    return [found[index] for index in range(len(pixels))]
