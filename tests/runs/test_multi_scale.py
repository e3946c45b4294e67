"""Several looks at an image: boxes come back to the same place, and are suppressed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.resize import FILL, ResizeGeometry, resize_geometry
from sobench.models.build import build_detector
from sobench.models.parts.nms import Candidates
from sobench.runs.detect import detect
from sobench.runs.multi_scale import Look, detect_together, mirrored, mirrored_boxes
from sobench.suite.detect import Detect
from sobench.suite.input import Input
from tests.tiny_suite import tiny_suite

RED = (255, 0, 0)


class RedFinder(nn.Module):
    """Its one candidate in an image is the box around all red pixels; its score is as told."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score
        self.register_buffer("mean", torch.zeros(1))

    def candidates(self, images: Tensor) -> Candidates:
        assert not self.training
        red = (images == torch.tensor(RED).view(3, 1, 1)).all(dim=1)
        corners = [pixels.nonzero() for pixels in red]
        boxes = [
            [*yx.amin(0).flip(0).tolist(), *(yx.amax(0) + 1).flip(0).tolist()] for yx in corners
        ]
        scores = torch.full((len(images), 1), self.score)
        return [(torch.tensor(boxes).float().unsqueeze(1), scores, scores.long())]


def dataset_of(*sizes: tuple[int, int]) -> Dataset:
    """Images of these widths and heights, without annotations."""
    none = as_boxes([])
    images = tuple(
        AnnotatedImage(i, f"{i}.png", *size, none, as_labels([]), np.zeros(0), none, as_labels([]))
        for i, size in enumerate(sizes, 1)
    )
    return Dataset("test", ("a",), (1,), images, lambda _: np.zeros((1, 1, 3), np.uint8))


def painted(dataset: Dataset, boxes: list[tuple[int, ...]], settings: Input) -> ImageArray:
    """Grey inputs with a red box in each, given in pixels of the original, and padding."""
    inputs = np.empty((len(boxes), *settings.size, 3), np.uint8)
    inputs[:] = FILL
    for pixels, image, box in zip(inputs, dataset.images, boxes, strict=True):
        geometry = resize_geometry(settings, image.size)
        height, width = geometry.size
        pixels[:height, :width] = 50
        x1, y1, x2, y2 = geometry.to_input(np.array([box], float))[0].astype(int)
        pixels[y1:y2, x1:x2] = RED
    return inputs


def letterbox(side: int) -> Input:
    return Input(size=(side, side), resize="letterbox")


def test_every_look_finds_an_object_at_its_place() -> None:
    """An upright image with padding on its right, and a wide one with padding below."""
    dataset = dataset_of((16, 32), (32, 16))
    boxes: list[tuple[int, ...]] = [(1, 5, 7, 20), (20, 3, 31, 9)]
    looks = []
    for side, score in ((32, 0.5), (64, 0.75)):
        images = painted(dataset, boxes, letterbox(side))
        finder: Any = RedFinder(score)
        looks += [Look(finder, images, letterbox(side), flip) for flip in (False, True)]
    expected = [[1, 5, 6, 15], [20, 3, 11, 6]]  # x, y, width, height

    def found(**settings: Any) -> list[Any]:
        options = {"batch_size": 1, "precision": "fp32"}
        return detect_together(looks, dataset, Detect(**settings), **options)  # type: ignore[arg-type]

    once = [{"image_id": i, "category_id": 1, "bbox": expected[i - 1]} for i in (1, 2)]
    assert found() == [row | {"score": 0.75} for row in once]
    scores = (0.75, 0.75, 0.5, 0.5)
    assert found(nms=1) == [row | {"score": score} for row in once for score in scores]
    assert found(score_threshold=0.5, nms=1) == [
        row | {"score": 0.75} for row in once for _ in range(2)
    ]
    assert len(found(nms=1, max_detections=3)) == 6


def test_mirroring_twice_changes_nothing_and_padding_stays() -> None:
    dataset = dataset_of((16, 32), (32, 16))
    images = painted(dataset, [(1, 5, 7, 20), (20, 3, 31, 9)], letterbox(32))
    geometries = [resize_geometry(letterbox(32), image.size) for image in dataset.images]
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    flipped = mirrored(batch, geometries)
    assert torch.equal(mirrored(flipped, geometries), batch)
    assert torch.equal(flipped[0, :, :, 16:], batch[0, :, :, 16:])  # padding
    assert torch.equal(flipped[0, :, :, 0], batch[0, :, :, 15])
    assert torch.equal(flipped[1, :, :16, 0], batch[1, :, :16, 31])


def test_boxes_of_a_mirror_image() -> None:
    geometry = ResizeGeometry((30, 20), (1, 1))
    boxes = torch.tensor([[0.0, 1, 5, 9], [-2, 0, 22, 30], [19.5, 3, 20, 4]])
    expected = [[15, 1, 20, 9], [-2, 0, 22, 30], [0, 3, 0.5, 4]]
    assert mirrored_boxes(boxes, geometry).tolist() == expected
    assert torch.equal(mirrored_boxes(mirrored_boxes(boxes, geometry), geometry), boxes)


def network(detect_settings: dict[str, Any], size: tuple[int, int], row: str = "fpn") -> Any:
    suite = tiny_suite(methods=[row], input={"size": list(size)}, detect=detect_settings)
    return build_detector(suite, suite.methods[0], num_classes=1, seed=3), suite


@pytest.mark.parametrize("row", ["fpn", "refinedet", "ssd"])
def test_one_look_gives_the_detections_of_the_input(row: str) -> None:
    """Suppressed in the frame of the image instead of that of the stretched input."""
    detector, suite = network({"score_threshold": 0, "top_k": 60}, (64, 96), row)
    dataset = dataset_of((50, 80), (200, 40))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    options: dict[str, Any] = {"batch_size": 2, "precision": "fp32"}
    plain = detect(detector, images, dataset, suite.input, **options)
    looks = [Look(detector, images, suite.input)]
    together = detect_together(looks, dataset, suite.detect, **options)
    assert len(plain) == len(together) > 10
    for one, other in zip(plain, together, strict=True):
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert (one["image_id"], one["score"]) == (other["image_id"], other["score"])


def test_a_symmetric_image_has_symmetric_detections() -> None:
    settings = {"score_threshold": 0, "top_k": 40, "nms": 1, "max_detections": 1000}
    detector, suite = network(settings, (64, 64))
    half = np.random.default_rng(1).integers(0, 256, (1, 64, 32, 3), dtype=np.uint8)
    images = np.concatenate((half, half[:, :, ::-1]), axis=2)
    looks = [Look(detector, images, suite.input, flip) for flip in (False, True)]
    rows = detect_together(
        looks, dataset_of((64, 64)), suite.detect, batch_size=1, precision="fp32"
    )
    boxes = np.array([row["bbox"] for row in rows])
    mirror = boxes * 1.0
    mirror[:, 0] = 64 - boxes[:, 0] - boxes[:, 2]
    in_order, mirror_in_order = (x[np.lexsort(x.round(3).T)] for x in (boxes, mirror))
    assert len(boxes) > 100
    assert np.allclose(in_order, mirror_in_order, atol=1e-3)
    assert not np.allclose(boxes, mirror, atol=1)
