"""Top-k candidates and non-maximum suppression against hand values and torchvision."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import ops

from sobench.models.parts.nms import Detections, flatten_predictions, nms, topk_candidates
from sobench.suite.detect import Detect
from tests.models.parts.random_boxes import Boxes, random_boxes

Candidates = tuple[Tensor, Tensor, Tensor]


def test_predictions_are_flattened_row_by_row_without_a_copy() -> None:
    num_anchors, width, rows, columns = 3, 2, 2, 5
    channel = torch.arange(num_anchors * width).view(1, -1, 1, 1)
    cell = torch.arange(rows * columns).view(1, 1, rows, columns)
    x = (channel + 100 * cell).float().contiguous(memory_format=torch.channels_last)
    flat = flatten_predictions(x, width)
    assert flat.shape == (1, rows * columns * num_anchors, width)
    assert flat[0, 7 * num_anchors + 2].tolist() == [704, 705]
    assert flat.data_ptr() == x.data_ptr()


def test_candidates_are_the_best_pairs_of_anchor_and_class() -> None:
    scores = torch.tensor(
        [[[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [[0.5, 0.1], [0.2, 0.3], [0.4, 0]]]
    )
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]])
    offsets = torch.zeros(2, 3, 4)
    offsets[0, 1, 0] = 0.5
    boxes, score, label = topk_candidates(scores, offsets, anchors, (1, 1, 1, 1), top_k=3)
    assert torch.equal(score, torch.tensor([[0.9, 0.8, 0.7], [0.5, 0.4, 0.3]]))
    assert label.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert boxes[0, :, 0].tolist() == [0, 15, 20]
    assert boxes[1, :, 0].tolist() == [0, 20, 10]
    assert topk_candidates(scores, offsets, anchors, (1, 1, 1, 1), top_k=99)[1].shape == (2, 6)


def scores_and_labels(
    boxes: Boxes, scores: list[float], labels: list[int], settings: Detect
) -> list[tuple[float, int]]:
    """Of the detections of one image of 100 x 100 pixels."""
    level = (torch.tensor([boxes]), torch.tensor([scores]), torch.tensor([labels]))
    detections = nms([level], (100, 100), settings)
    pairs = zip(detections.scores[0].tolist(), detections.labels[0].tolist(), strict=True)
    return [(round(score, 4), label) for score, label in pairs]


def test_nms_is_by_class() -> None:
    boxes: Boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 9.5), (50, 50, 60, 60)]
    detections = scores_and_labels(boxes, [0.6, 0.9, 0.8, 0.3], [0, 0, 1, 0], Detect())
    assert detections == [(0.9, 0), (0.8, 1), (0.3, 0)]


def test_scores_at_the_threshold_go_and_overlaps_at_the_threshold_stay() -> None:
    boxes: Boxes = [(0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 5.5), (50, 50, 60, 60)]
    settings = Detect(score_threshold=0.25, nms=0.5)
    assert scores_and_labels(boxes, [0.9, 0.75, 0.5, 0.25], [0] * 4, settings) == [
        (0.9, 0),
        (0.75, 0),
    ]


def test_only_the_best_are_kept() -> None:
    boxes: Boxes = [(10 * i, 0, 10 * i + 5, 5) for i in range(6)]
    scores = [0.3, 0.8, 0.4, 0.9, 0.5, 0.7]
    detections = scores_and_labels(boxes, scores, [0, 1, 0, 1, 0, 1], Detect(max_detections=3))
    assert detections == [(0.9, 1), (0.8, 1), (0.7, 1)]


def test_boxes_are_clipped_and_those_outside_dropped() -> None:
    level = (
        torch.tensor([[[-5.0, -5, 5, 5], [90, 40, 200, 80], [120, 10, 130, 20], [-9, 2, -1, 9]]]),
        torch.tensor([[0.9, 0.8, 0.7, 0.6]]),
        torch.zeros(1, 4, dtype=torch.int64),
    )
    detections = nms([level], (60, 100), Detect())  # 60 high, 100 wide
    assert detections.boxes[0].tolist() == [[0, 0, 5, 5], [90, 40, 100, 60]]


def test_no_box_above_the_threshold() -> None:
    level = (
        random_boxes(2, 5, seed=0), torch.full((2, 5), 0.01), torch.zeros(2, 5, dtype=torch.int64)
    )  # fmt: skip
    detections = nms([level], (200, 200), Detect())
    assert detections.boxes.shape == (2, 0, 4)
    assert detections.scores.shape == (2, 0)
    assert detections.labels.shape == (2, 0)
    assert detections.labels.dtype == torch.int64


def random_candidates(seed: int, images: int = 3, count: int = 240) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(images, count, generator=generator)
    scores[1, :] *= 0.2  # one image with few detections
    labels = torch.randint(5, (images, count), generator=generator)
    return random_boxes(images, count, seed=seed, extent=120), scores, labels


def test_nms_is_torchvisions_image_by_image() -> None:
    boxes, scores, labels = random_candidates(seed=7)
    levels = [(boxes[:, a:b], scores[:, a:b], labels[:, a:b]) for a, b in ((0, 200), (200, 240))]
    settings = Detect(score_threshold=0.1, nms=0.4, max_detections=60)
    detections = nms(levels, (200, 200), settings)
    for index in range(len(boxes)):
        passed = (scores[index] > 0.1).nonzero().squeeze(1)
        box, score, label = (x[index][passed] for x in (boxes, scores, labels))
        keep = ops.batched_nms(box, score, label, 0.4)[:60]
        count = len(keep)
        assert torch.equal(detections.boxes[index, :count], box[keep])
        assert torch.equal(detections.scores[index, :count], score[keep])
        assert torch.equal(detections.labels[index, :count], label[keep])
        assert (detections.labels[index, count:] == -1).all()
        assert (detections.scores[index, count:] == 0).all()


def test_nms_of_a_batch_is_that_of_its_images() -> None:
    candidates = random_candidates(seed=8)
    together = nms([candidates], (200, 200), Detect())
    for index in range(3):
        boxes, scores, labels = (x[index : index + 1] for x in candidates)
        alone: Detections = nms([(boxes, scores, labels)], (200, 200), Detect())
        count = alone.labels.shape[1]
        assert torch.equal(together.boxes[index, :count], alone.boxes[0])
        assert torch.equal(together.labels[index, :count], alone.labels[0])
        assert (together.labels[index, count:] == -1).all()


def test_many_classes_do_not_blur_small_boxes() -> None:
    generator = torch.Generator().manual_seed(9)
    corner = 3990 + torch.rand(1, 900, 2, generator=generator) * 8
    boxes = torch.cat((corner, corner + 3 + torch.rand(1, 900, 2, generator=generator)), dim=-1)
    scores = torch.rand(1, 900, generator=generator) * 0.9 + 0.1
    labels = torch.randint(70, 80, (1, 900), generator=generator)
    detections = nms([(boxes, scores, labels)], (5000, 5000), Detect(max_detections=900))
    expected_count = 0
    for label in range(70, 80):
        of_label = labels[0] == label
        keep = ops.nms(boxes[0, of_label].double(), scores[0, of_label].double(), 0.5)
        expected_boxes = boxes[0, of_label][keep]
        assert torch.equal(detections.boxes[0, detections.labels[0] == label], expected_boxes)
        expected_count += len(keep)
    assert detections.labels.shape[1] == expected_count
