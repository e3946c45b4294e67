"""Anchors, coding, assignment and suppression against hand values and torchvision."""

from __future__ import annotations

from math import log, sqrt
from typing import Literal

import pytest
import torch
from torch import Tensor
from torchvision import ops
from torchvision.models.detection._utils import Matcher

from sobench.data.targets import Targets
from sobench.models.parts import matching
from sobench.models.parts.anchors import AnchorSpec, pyramid_anchors, retinanet_anchors
from sobench.models.parts.boxes import box_ioa, box_iou, decode, encode
from sobench.models.parts.matching import IGNORED, NEGATIVE, match, matched
from sobench.models.parts.nms import Detections, flatten_predictions, nms, topk_candidates
from sobench.suite.sections import Anchors, Detect

CPU = torch.device("cpu")
Rows = list[tuple[float, float, float, float]]
LowQuality = Literal["all", "one", "none"]


def random_boxes(*shape: int, seed: int, extent: float = 200.0, side: float = 40.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(*shape, 2, generator=generator) * (extent - side)
    size = 1 + torch.rand(*shape, 2, generator=generator) * (side - 1)
    return torch.cat((corner, corner + size), dim=-1)


def targets(
    boxes: list[Rows], ignore: list[Rows] | None = None, padding: tuple[float, ...] = (0, 0, 0, 0)
) -> Targets:
    """Rows of each image, padded to the longest and by one more; labels count up from 0."""
    longest = max(len(rows) for rows in boxes) + 1
    regions = ignore or [[] for _ in boxes]
    most = max(len(rows) for rows in regions)
    return Targets(
        torch.tensor([[*rows, *[padding] * (longest - len(rows))] for rows in boxes]).float(),
        torch.tensor([[*range(len(rows)), *[-1] * (longest - len(rows))] for rows in boxes]),
        torch.tensor([[*rows, *[(0.0,) * 4] * (most - len(rows))] for rows in regions])
        .float()
        .reshape(len(boxes), most, 4),
    )


def assigned(target: Targets, anchors: Rows, low_quality: LowQuality = "all") -> list[list[int]]:
    found = match(target, torch.tensor(anchors), pos_iou=0.5, neg_iou=0.4, low_quality=low_quality)
    rows: list[list[int]] = found.tolist()
    return rows


# ------------------------------------------------------------------------------------- anchors


def octave_anchors(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    scale: float,
    octaves: int,
    ratios: tuple[float, ...],
) -> Tensor:
    settings = Anchors(scale=scale, octaves=octaves, ratios=ratios)
    return pyramid_anchors(sizes, strides, retinanet_anchors(settings, strides), CPU)


def test_anchors_may_be_centred_in_the_middle_of_their_cells() -> None:
    shapes = AnchorSpec(((4.0, 8.0), (16.0, 32.0)), (1.0,), offset=0.5)
    assert shapes.num_anchors == 2
    anchors = pyramid_anchors(((1, 2), (1, 1)), (8, 16), shapes, CPU)
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).tolist()
    assert centres == [[4, 4], [4, 4], [12, 4], [12, 4], [8, 8], [8, 8]]
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [4, 8, 4, 8, 16, 32]


def test_anchors_of_one_cell_are_ratio_major_and_octave_minor() -> None:
    anchors = octave_anchors(((1, 1),), (8,), 4.0, 2, (0.25, 1.0, 4.0))
    small, large = 32.0, 32.0 * sqrt(2)
    expected = [
        (2 * small, small / 2),
        (2 * large, large / 2),
        (small, small),
        (large, large),
        (small / 2, 2 * small),
        (large / 2, 2 * large),
    ]
    sizes = (anchors[:, 2:] - anchors[:, :2]).tolist()
    for (width, height), (wide, high) in zip(sizes, expected, strict=True):
        assert (width, height) == pytest.approx((wide, high), rel=1e-6)
    assert torch.allclose(anchors[:, :2], -anchors[:, 2:])  # centred on (0, 0), not half a cell in


def test_anchors_run_row_by_row_and_level_by_level() -> None:
    anchors = octave_anchors(((2, 3), (1, 2)), (8, 16), 4.0, 1, (1.0,))
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).tolist()
    fine = [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    assert centres == [*fine, [0, 0], [16, 0]]
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [32.0] * 6 + [64.0] * 2
    assert anchors.dtype == torch.float32


def test_all_shapes_of_an_octave_cover_the_same_area() -> None:
    anchors = octave_anchors(((1, 1),), (16,), 3.0, 3, (0.5, 1.0, 2.0)).double()
    area = (anchors[:, 2:] - anchors[:, :2]).prod(dim=1).reshape(3, 3)
    expected = (48 * 2 ** (torch.arange(3).double() / 3)) ** 2
    assert torch.allclose(area, expected.expand(3, 3), rtol=1e-5)
    ratio = ((anchors[:, 3] - anchors[:, 1]) / (anchors[:, 2] - anchors[:, 0])).reshape(3, 3)
    assert torch.allclose(ratio, torch.tensor([[0.5], [1], [2]]).double().expand(3, 3), rtol=1e-5)


def test_anchors_cached_by_detection_can_be_trained_with() -> None:
    pyramid_anchors.cache_clear()
    arguments = (((2, 2),), (8,), AnchorSpec(((32.0,),), (1.0,)), CPU)
    with torch.inference_mode():
        first = pyramid_anchors(*arguments)
    again = pyramid_anchors(*arguments)
    assert again is first
    weight = torch.ones(4, 4, requires_grad=True)
    (weight * again).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(weight.grad, again)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------- coding


def test_encode_by_hand() -> None:
    anchor, box = torch.tensor([0.0, 0, 10, 20]), torch.tensor([5.0, 5, 25, 15])
    expected = torch.tensor([1.0, 0.0, log(2), -log(2)])
    assert torch.allclose(encode(box, anchor, (1, 1, 1, 1)), expected)
    scaled = expected / torch.tensor([0.1, 0.1, 0.2, 0.2])
    assert torch.allclose(encode(box, anchor, (0.1, 0.1, 0.2, 0.2)), scaled)


def test_decode_by_hand() -> None:
    anchor = torch.tensor([10.0, 20, 20, 40])
    offsets = torch.tensor([0.5, -0.25, log(2), log(0.5)])
    assert decode(offsets, anchor, (1, 1, 1, 1)).tolist() == pytest.approx([10, 20, 30, 30])


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)])
def test_decode_undoes_encode(stds: tuple[float, ...]) -> None:
    boxes, anchors = random_boxes(2, 50, seed=0), random_boxes(50, seed=1)
    assert torch.allclose(decode(encode(boxes, anchors, stds), anchors, stds), boxes, atol=1e-3)


def test_growth_is_limited() -> None:
    anchor = torch.tensor([0.0, 0, 16, 16])
    box = decode(torch.tensor([0.0, 0, 1e4, 1e4]), anchor, (1, 1, 1, 1))
    assert (box[2:] - box[:2]).tolist() == pytest.approx([1000, 1000], rel=1e-5)


def test_padding_encodes_to_finite_numbers() -> None:
    assert (
        encode(torch.zeros(4), torch.tensor([0.0, 0, 8, 8]), (0.1, 0.1, 0.2, 0.2)).isfinite().all()
    )


# ------------------------------------------------------------------------------------- overlap


def test_overlap_by_hand() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 0, 0]]])
    anchors = torch.tensor([[5.0, 5, 15, 15], [0, 0, 10, 10], [10, 0, 20, 10], [0, 0, 5, 20]])
    union = [[1 / 7, 1.0, 0.0, 50 / 150], [0.0] * 4, [0.0] * 4]
    over_anchor = [[0.25, 1.0, 0.0, 0.5], [0.0] * 4, [0.0] * 4]
    assert torch.allclose(box_iou(boxes, anchors), torch.tensor([union]))
    assert torch.allclose(box_ioa(boxes, anchors), torch.tensor([over_anchor]))


def test_overlap_is_torchvisions_for_shared_and_for_own_anchors() -> None:
    boxes, anchors = random_boxes(3, 20, seed=0), random_boxes(3, 30, seed=1)
    own = box_iou(boxes, anchors)
    for index in range(3):
        expected = ops.box_iou(boxes[index], anchors[index])
        assert torch.allclose(own[index], expected)
        shared = box_iou(boxes, anchors[index])
        assert torch.allclose(shared[index], expected)


# ---------------------------------------------------------------------------------- assignment


def test_thresholds() -> None:
    target = targets([[(0, 0, 10, 10)]])
    # IoU 1, .5 (is an object), .49, .4 (is not yet background), .39, 0.
    anchors: Rows = [
        (0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9),
        (0, 0, 10, 4), (0, 0, 10, 3.9), (50, 50, 60, 60),
    ]  # fmt: skip
    expected = [0, 0, IGNORED, IGNORED, NEGATIVE, NEGATIVE]
    assert assigned(target, anchors, low_quality="none") == [expected]
    assert assigned(target, anchors) == [expected]


def test_an_anchor_takes_the_object_that_it_overlaps_most() -> None:
    target = targets([[(0, 0, 10, 6), (0, 0, 10, 9), (0, 0, 10, 7)]])
    assert assigned(target, [(0, 0, 10, 10)], low_quality="none") == [[1]]


def test_of_equal_objects_the_first_is_taken() -> None:
    target = targets([[(0, 0, 10, 9), (0, 1, 10, 10)]])
    assert assigned(target, [(0, 0, 10, 10)], low_quality="none") == [[0]]


def test_an_object_below_the_threshold_is_rescued_by_all_its_best_anchors() -> None:
    target = targets([[(100, 100, 104, 104)]])
    anchors: Rows = [(98, 98, 108, 108), (96, 96, 106, 106), (99, 99, 119, 119), (0, 0, 10, 10)]
    # Overlaps .16, .16, .04 and 0.
    assert assigned(target, anchors) == [[0, 0, NEGATIVE, NEGATIVE]]
    assert assigned(target, anchors, low_quality="none") == [[NEGATIVE] * 4]


def test_of_two_objects_that_want_one_anchor_the_last_gets_it() -> None:
    anchor: Rows = [(0, 0, 10, 10)]
    assert assigned(targets([[(0, 0, 4, 4), (6, 6, 10, 10)]]), anchor) == [[1]]
    assert assigned(targets([[(0, 0, 10, 9), (0, 0, 3, 3)]]), anchor) == [[1]]  # IoU .9 and .09
    assert assigned(targets([[(0, 0, 3, 3), (0, 0, 10, 9)]]), anchor) == [[1]]


def test_an_object_may_be_rescued_by_one_of_its_best_anchors_only() -> None:
    # Both objects lie inside of all three anchors; the second prefers none over the others either.
    target = targets([[(10, 10, 14, 14), (20, 20, 22, 22)]])
    anchors: Rows = [(100, 100, 130, 130), (0, 0, 30, 30), (1, 1, 31, 31), (2, 2, 32, 32)]
    assert assigned(target, anchors) == [[NEGATIVE, 1, 1, 1]]
    assert assigned(target, anchors, low_quality="one") == [[NEGATIVE, 1, NEGATIVE, NEGATIVE]]
    # The first has its own best anchor.
    anchors[3] = (8, 8, 18, 18)
    assert assigned(target, anchors, low_quality="one") == [[NEGATIVE, 1, NEGATIVE, 0]]
    nothing = targets([[(300, 300, 310, 310)]])
    assert assigned(nothing, anchors, low_quality="one") == [[NEGATIVE] * 4]


def test_an_object_that_no_anchor_touches_is_not_rescued() -> None:
    anchors: Rows = [(0, 0, 10, 10), (10, 0, 20, 10)]
    assert assigned(targets([[(50, 50, 60, 60)]]), anchors) == [[NEGATIVE, NEGATIVE]]


def test_padding_is_never_matched() -> None:
    target = targets([[(0, 0, 10, 10)], []], padding=(20, 20, 30, 30))
    anchors: Rows = [(0, 0, 10, 10), (20, 20, 30, 30)]
    assert assigned(target, anchors) == [[0, NEGATIVE], [NEGATIVE, NEGATIVE]]


def test_no_objects_at_all() -> None:
    anchors: Rows = [(0, 0, 10, 10), (-5, -5, 5, 5)]
    assert assigned(targets([[], []]), anchors) == [[NEGATIVE] * 2] * 2
    boxes, labels = matched(targets([[], []]), torch.full((2, 2), NEGATIVE))
    assert boxes.shape == (2, 2, 4)
    assert (labels >= 0).all()


def test_ignore_regions_take_only_background_and_only_by_more_than_half() -> None:
    target = targets([[(0, 0, 10, 10)], []], ignore=[[(0, 0, 30, 10)], []])
    anchors: Rows = [
        (0, 0, 10, 10),  # an object in the region stays one
        (12, 0, 22, 10),  # wholly in
        (25, 0, 35, 10),  # half in
        (24, 0, 34, 10),  # six tenths in
        (50, 50, 60, 60),
    ]
    assert assigned(target, anchors) == [
        [0, IGNORED, NEGATIVE, IGNORED, NEGATIVE],
        [NEGATIVE] * 5,
    ]


def test_every_image_may_have_its_own_anchors() -> None:
    target = targets([[(0, 0, 10, 10)], [(0, 0, 10, 10)]])
    anchors = torch.tensor([[[0.0, 0, 10, 10]], [[50, 50, 60, 60]]])
    assert match(target, anchors, 0.5, 0.4).tolist() == [[0], [NEGATIVE]]


def crowded() -> tuple[Targets, Tensor]:
    """Two images of up to 900 objects, each of them there twice, with ignore regions."""
    labels = torch.arange(900).repeat(2, 1) % 10
    labels[1, 600:] = -1
    target = Targets(
        random_boxes(2, 450, seed=3, extent=256).repeat(1, 2, 1),
        labels,
        random_boxes(2, 40, seed=4, extent=256, side=25),
    )
    return target, octave_anchors(((8, 8), (4, 4)), (32, 64), 1.0, 1, (0.5, 1.0, 2.0))


@pytest.mark.parametrize(("pairs", "count"), [(1, 60), (2000, 900), (12_345, 900)])
def test_chunks_change_nothing(pairs: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target, anchors = crowded()
    target = Targets(target.boxes[:, :count], target.labels[:, :count], target.ignore)
    whole = match(target, anchors, 0.5, 0.4)
    assert {NEGATIVE, IGNORED} < set(whole.flatten().tolist())
    largest = 0
    original = box_iou

    def measured(boxes: Tensor, anchors: Tensor) -> Tensor:
        nonlocal largest
        found = original(boxes, anchors)
        largest = max(largest, found.numel())
        return found

    monkeypatch.setattr(matching, "MAX_PAIRS", pairs)
    monkeypatch.setattr(matching, "box_iou", measured)
    assert torch.equal(match(target, anchors, 0.5, 0.4), whole)
    assert largest <= max(pairs, 2 * len(anchors))  # at least one object of each image at once


def test_a_batch_is_assigned_like_its_images() -> None:
    target, anchors = crowded()
    whole = match(target, anchors, 0.5, 0.4)
    for index in range(2):
        part = slice(index, index + 1)
        alone = Targets(target.boxes[part], target.labels[part], target.ignore[part])
        assert torch.equal(match(alone, anchors, 0.5, 0.4)[0], whole[index])


@pytest.mark.parametrize("low_quality", ["all", "none"])
def test_assignment_is_torchvisions_matcher(low_quality: LowQuality) -> None:
    """They agree on all but the owner of a rescued anchor.

    torchvision leaves it with the object that the anchor overlaps most, so that the object in need
    may still go without; here, as in MMDetection, it goes to an object that has no better anchor.
    """
    anchors = octave_anchors(((16, 16), (8, 8)), (16, 32), 1.5, 2, (0.5, 1.0, 2.0))
    boxes = random_boxes(1, 60, seed=5, extent=250, side=60)
    target = Targets(boxes, torch.zeros(1, 60, dtype=torch.int64), torch.zeros(1, 0, 4))
    iou = box_iou(boxes, anchors)[0]
    theirs = Matcher(0.5, 0.4, allow_low_quality_matches=low_quality == "all")(iou)
    ours = match(target, anchors, 0.5, 0.4, low_quality)[0]
    rescued = (iou == iou.amax(dim=1, keepdim=True)).any(dim=0) & (low_quality == "all")
    assert torch.equal(ours[~rescued], theirs[~rescued])
    assert torch.equal(ours >= 0, theirs >= 0)
    assert (ours >= 0).sum() > 60
    for anchor in rescued.nonzero().flatten().tolist():
        assert iou[ours[anchor], anchor] == iou[ours[anchor]].max()


def test_matched_gives_box_and_label_of_each_owner() -> None:
    target = targets([[(0, 0, 1, 1), (2, 2, 3, 3)], [(4, 4, 5, 5)]])
    boxes, labels = matched(target, torch.tensor([[1, 0], [NEGATIVE, 0]]))
    assert boxes[0].tolist() == [[2, 2, 3, 3], [0, 0, 1, 1]]
    assert boxes[1, 1].tolist() == [4, 4, 5, 5]
    assert labels[0].tolist() == [1, 0]
    assert labels[1, 1] == 0


# ----------------------------------------------------------------------------------- detection


def test_flat_takes_cells_row_by_row_without_a_copy() -> None:
    anchors, width, height, wide = 3, 2, 2, 5
    channel = torch.arange(anchors * width).view(1, -1, 1, 1)
    cell = torch.arange(height * wide).view(1, 1, height, wide)
    x = (channel + 100 * cell).float().contiguous(memory_format=torch.channels_last)
    rows = flatten_predictions(x, width)
    assert rows.shape == (1, height * wide * anchors, width)
    assert rows[0, 7 * anchors + 2].tolist() == [704, 705]
    assert rows.data_ptr() == x.data_ptr()


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


def level(boxes: Tensor, scores: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(boxes, scores, labels)]


def suppressed(
    rows: Rows, scores: list[float], labels: list[int], settings: Detect
) -> list[tuple[float, int]]:
    parts = level(torch.tensor([rows]), torch.tensor([scores]), torch.tensor([labels]))
    found = nms(parts, (100, 100), settings)
    return [
        (round(s, 4), k) for s, k in zip(found.scores[0].tolist(), found.labels[0], strict=True)
    ]


def test_suppression_is_by_class() -> None:
    rows: Rows = [(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 9.5), (50, 50, 60, 60)]
    kept = suppressed(rows, [0.6, 0.9, 0.8, 0.3], [0, 0, 1, 0], Detect())
    assert kept == [(0.9, 0), (0.8, 1), (0.3, 0)]


def test_scores_at_the_threshold_go_and_overlaps_at_the_threshold_stay() -> None:
    rows: Rows = [(0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 5.5), (50, 50, 60, 60)]
    settings = Detect(score_threshold=0.25, nms=0.5)
    assert suppressed(rows, [0.9, 0.75, 0.5, 0.25], [0] * 4, settings) == [(0.9, 0), (0.75, 0)]


def test_only_the_best_are_kept() -> None:
    rows: Rows = [(10 * i, 0, 10 * i + 5, 5) for i in range(6)]
    scores = [0.3, 0.8, 0.4, 0.9, 0.5, 0.7]
    kept = suppressed(rows, scores, [0, 1, 0, 1, 0, 1], Detect(max_detections=3))
    assert kept == [(0.9, 1), (0.8, 1), (0.7, 1)]


def test_boxes_are_clipped_and_those_outside_dropped() -> None:
    parts = level(
        torch.tensor([[[-5.0, -5, 5, 5], [90, 40, 200, 80], [120, 10, 130, 20], [-9, 2, -1, 9]]]),
        torch.tensor([[0.9, 0.8, 0.7, 0.6]]),
        torch.zeros(1, 4, dtype=torch.int64),
    )
    found = nms(parts, (60, 100), Detect())  # 60 high, 100 wide
    assert found.boxes[0].tolist() == [[0, 0, 5, 5], [90, 40, 100, 60]]


def test_nothing_found() -> None:
    parts = level(
        random_boxes(2, 5, seed=0), torch.full((2, 5), 0.01), torch.zeros(2, 5, dtype=torch.int64)
    )
    found = nms(parts, (200, 200), Detect())
    assert found.boxes.shape == (2, 0, 4)
    assert found.scores.shape == (2, 0)
    assert found.labels.shape == (2, 0)
    assert found.labels.dtype == torch.int64


def random_candidates(seed: int, images: int = 3, count: int = 240) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(images, count, generator=generator)
    scores[1, :] *= 0.2  # one image with few detections
    labels = torch.randint(5, (images, count), generator=generator)
    return random_boxes(images, count, seed=seed, extent=120), scores, labels


def test_suppression_is_torchvisions_image_by_image() -> None:
    boxes, scores, labels = random_candidates(seed=7)
    parts = [(boxes[:, a:b], scores[:, a:b], labels[:, a:b]) for a, b in ((0, 200), (200, 240))]
    settings = Detect(score_threshold=0.1, nms=0.4, max_detections=60)
    found = nms(parts, (200, 200), settings)
    for index in range(len(boxes)):
        passed = (scores[index] > 0.1).nonzero().squeeze(1)
        box, score, label = (x[index][passed] for x in (boxes, scores, labels))
        kept = ops.batched_nms(box, score, label, 0.4)[:60]
        count = len(kept)
        assert torch.equal(found.boxes[index, :count], box[kept])
        assert torch.equal(found.scores[index, :count], score[kept])
        assert torch.equal(found.labels[index, :count], label[kept])
        assert (found.labels[index, count:] == -1).all()
        assert (found.scores[index, count:] == 0).all()


def test_a_batch_is_suppressed_like_its_images() -> None:
    parts = random_candidates(seed=8)
    together = nms([parts], (200, 200), Detect())  # type: ignore[list-item]
    for index in range(3):
        boxes, scores, labels = (part[index : index + 1] for part in parts)
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
    found = nms(level(boxes, scores, labels), (5000, 5000), Detect(max_detections=900))
    expected = 0
    for label in range(70, 80):
        own = labels[0] == label
        kept = ops.nms(boxes[0, own].double(), scores[0, own].double(), 0.5)
        assert torch.equal(found.boxes[0, found.labels[0] == label], boxes[0, own][kept])
        expected += len(kept)
    assert found.labels.shape[1] == expected
