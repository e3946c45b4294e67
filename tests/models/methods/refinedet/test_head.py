"""The head of RefineDet: anchors, losses and detections of planted predictions."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
import torch

from sobench.models.detector import HeadOutput
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.heads.ssd import SSDHead
from sobench.models.parts.boxes import encode
from sobench.suite.detect import Detect
from tests.models.methods.refinedet.predictions import (
    ANCHORS,
    MAPS,
    SQUARE,
    STDS,
    WITHOUT_TCB,
    anchors_with_gradient,
    as_maps,
    backward,
    index_of,
    make_head,
    make_output,
    make_targets,
    matched_anchors,
    one_class,
    perfect_arm,
    shapes_only,
    tiled,
)
from tests.models.small_config import CLASSES, SIZE, make_config


def test_anchors() -> None:
    anchors = tiled()
    assert anchors.shape == (ANCHORS, 4)
    assert anchors[0].tolist() == [-12, -12, 20, 20]
    sizes = (anchors[:, 2:] - anchors[:, :2]).tolist()
    tall, wide = 32 * 2**0.5, 32 / 2**0.5
    assert sizes[1] == pytest.approx([wide, tall])
    assert sizes[2] == pytest.approx([tall, wide])
    assert anchors[index_of(0, 3, 4, 0)].tolist() == list(SQUARE)
    assert anchors[index_of(3, 0, 1, 0)].tolist() == [96 - 128, 32 - 128, 96 + 128, 32 + 128]


def test_clipped_anchors() -> None:
    output = make_output()
    plain, clipped = (make_head(clip_anchors=c).anchors(output) for c in (False, True))
    expected = plain.clone()
    for corner, limit in enumerate((96, 64, 96, 64)):
        expected[:, corner] = expected[:, corner].clamp(0, limit)
    assert torch.equal(clipped, expected)
    assert clipped[0].tolist() == [0, 0, 20, 20]
    assert clipped[index_of(3, 0, 1, 0)].tolist() == [0, 0, 96, 64]


def test_a_perfect_prediction_has_no_loss() -> None:
    every = torch.ones(ANCHORS, dtype=torch.bool)
    logits = one_class(every, CLASSES + 1, 2)
    output = make_output(**perfect_arm(), logits=logits)
    losses = make_head().loss(output, make_targets([SQUARE]))
    assert set(losses) == {"arm_class", "arm_box", "class", "box"}
    for value in losses.values():
        assert value.item() == pytest.approx(0, abs=1e-5)
    # All anchors were moved onto the object, so all are the ODM's positives: smooth L1 of .5.
    offsets = torch.zeros(1, ANCHORS, 4)
    offsets[..., 3] = 0.5
    output = make_output(**perfect_arm(), logits=logits, offsets=offsets)
    assert make_head().loss(output, make_targets([SQUARE]))["box"].item() == pytest.approx(0.125)


def test_both_modules_have_their_own_losses() -> None:
    truth = make_targets([SQUARE], label=0)
    losses = make_head().loss(make_output(), truth)
    # Equal logits: log of the classes for every positive and three negatives.
    assert losses["arm_class"].item() == pytest.approx(4 * log(2))
    assert losses["class"].item() == pytest.approx(4 * log(CLASSES + 1))
    # The ARM moves nothing, so both have the same box loss: in units of the stds, smooth L1.
    rows = matched_anchors()
    target = encode(torch.tensor([SQUARE]), tiled()[rows], STDS).abs()
    expected = torch.where(target < 1, target.square() / 2, target - 0.5).sum() / rows.sum()
    assert rows.sum() > 3
    assert losses["arm_box"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses["box"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_cascade_the_tiled_anchors_are_matched_and_encoded() -> None:
    rows, offsets = matched_anchors(), encode(torch.tensor([SQUARE]), tiled(), STDS)[None]
    logits = one_class(rows, CLASSES + 1, 2)
    output = make_output(**perfect_arm(), logits=logits, offsets=offsets)
    truth = make_targets([SQUARE])
    for value in make_head(cascade=False).loss(output, truth).values():
        assert value.item() == pytest.approx(0, abs=1e-5)
    cascaded = make_head().loss(output, truth)
    assert cascaded["box"] > 1
    assert cascaded["class"] > 1


def test_the_arm_learns_nothing_from_the_odm() -> None:
    torch.manual_seed(0)
    head = make_head()
    assert head.arm is not None
    losses = head.loss(head([torch.rand(1, 8, *s) for s in (*MAPS, *MAPS)]), make_targets([SQUARE]))
    backward(losses["class"], losses["box"])
    assert all(p.grad is None for p in head.arm.parameters())
    assert all(p.grad is not None for p in head.odm.parameters())
    backward(losses["arm_class"], losses["arm_box"])
    grads = [p.grad for p in head.arm.parameters()]
    assert all(g is not None for g in grads)
    assert head.arm.box_offsets[0].weight.grad.abs().sum() > 0  # type: ignore[operator, union-attr]


def test_sure_negatives_are_dropped_and_positives_stay() -> None:
    """With objectness below .01 everywhere but in one anchor that has no object."""
    doubtful = index_of(0, 0, 11, 1)
    sure = torch.zeros(1, ANCHORS, 2)
    sure[..., 0] = 10
    sure[0, doubtful, 0] = 4
    positive = set(matched_anchors().nonzero().flatten().tolist())
    assert doubtful not in positive

    output = make_output(arm_logits=sure)
    losses = make_head().loss(output, make_targets([SQUARE]))
    backward(losses["class"], losses["box"])
    assert anchors_with_gradient(output["logits"], CLASSES + 1) == positive | {doubtful}
    assert anchors_with_gradient(output["offsets"], 4) <= positive

    output = make_output(arm_logits=sure)
    losses = make_head(filter_negatives=False).loss(output, make_targets([SQUARE]))
    backward(losses["class"])
    reached = anchors_with_gradient(output["logits"], CLASSES + 1)
    assert positive < reached
    assert len(reached) == 4 * len(positive)


def test_threshold() -> None:
    values = torch.zeros(1, ANCHORS, 2)
    values[0, :3, 0] = torch.tensor([log(99) - 1e-3, log(99) + 1e-3, 200.0])
    output, anchors = make_output(arm_logits=values), tiled()
    moved, sure = make_head().refine(output, anchors)
    assert sure[0].nonzero().flatten().tolist() == [1, 2]
    assert torch.allclose(moved[0], anchors, atol=1e-4)
    assert not make_head(filter_negatives=False).refine(output, anchors)[1].any()
    same, sure = make_head(cascade=False).refine(output, anchors)
    assert same is anchors
    assert sure.sum() == 2


@pytest.mark.parametrize("switches", [{}, WITHOUT_TCB])
def test_no_objects_no_loss(switches: dict[str, Any]) -> None:
    output = make_output(2)
    losses = make_head(**switches).loss(output, make_targets([], []))
    assert all(value.item() == 0 for value in losses.values())
    backward(*losses.values())
    for maps in output.values():
        for x in maps:
            assert x.grad is None or not x.grad.any()


def test_the_positives_of_the_batch_divide() -> None:
    torch.manual_seed(1)
    parts: dict[str, Any] = {
        name: torch.randn(2, ANCHORS, width)
        for name, width in (("logits", CLASSES + 1), ("arm_logits", 2), ("offsets", 4))
    }
    first = {name: x[:1] for name, x in parts.items()}
    head = make_head()
    alone = head.loss(make_output(**first), make_targets([SQUARE]))
    with_empty = head.loss(make_output(2, **parts), make_targets([SQUARE], []))
    at_double_size = {name: x.repeat(2, 1, 1) for name, x in first.items()}
    twice = head.loss(make_output(2, **at_double_size), make_targets([SQUARE], [SQUARE]))
    for name, value in alone.items():
        assert with_empty[name].item() == pytest.approx(value.item(), rel=1e-5)
        assert twice[name].item() == pytest.approx(value.item(), rel=1e-5)


def planted() -> tuple[HeadOutput, int]:
    """Two images, one object each from the same anchor; only in the first is the anchor moved."""
    # Level 1 (stride 16), row 1, column 2: centre (40, 24), 64 x 64.
    anchor = index_of(1, 1, 2, 0)
    logits = torch.zeros(2, ANCHORS, CLASSES + 1)
    logits[..., 0] = 14
    logits[0, anchor, 3] = logits[1, anchor, 1] = 18
    offsets, arm = torch.zeros(2, ANCHORS, 4), torch.zeros(2, ANCHORS, 4)
    offsets[:, anchor, 0] = 1
    # To (46.4, 24), half as wide; the ODM then moves it by a tenth of that width.
    arm[0, anchor] = torch.tensor([1, 0, log(0.5) / 0.2, 0])
    return make_output(2, logits=logits, offsets=offsets, arm_offsets=arm), anchor


def test_detection_starts_from_the_moved_anchors() -> None:
    output, _ = planted()
    detections = make_head().detect(output)
    assert detections.labels.tolist() == [[2], [0]]
    assert detections.scores.flatten().tolist() == pytest.approx(
        [1 / (1 + np.exp(-4.0))] * 2, rel=1e-4
    )
    assert detections.boxes[0, 0].tolist() == pytest.approx([33.6, 0, 65.6, 56])
    assert detections.boxes[1, 0].tolist() == pytest.approx([14.4, 0, 78.4, 56])
    variants: list[dict[str, Any]] = [{"cascade": False}, WITHOUT_TCB]
    for switches in variants:
        detections = make_head(**switches).detect(output)
        assert detections.labels.tolist() == [[2], [0]]
        for image in range(2):
            assert detections.boxes[image, 0].tolist() == pytest.approx([14.4, 0, 78.4, 56])


def test_detection_leaves_out_what_the_arm_is_sure_of() -> None:
    output, anchor = planted()
    sure = torch.zeros(2, ANCHORS, 2)
    sure[1, anchor, 0] = 5
    output["arm_logits"] = as_maps(sure)
    assert make_head().detect(output).labels.tolist() == [[2], [-1]]
    assert make_head(filter_negatives=False).detect(output).labels.tolist() == [[2], [0]]


def test_candidates_are_those_of_the_whole_image() -> None:
    logits = torch.zeros(1, ANCHORS, CLASSES + 1)
    logits[..., 0] = 14
    logits[0, index_of(0, 1, 1, 0), 1] = 16
    logits[0, index_of(2, 1, 2, 0), 2] = 18
    output = make_output(logits=logits)
    assert make_head().detect(output).labels.tolist() == [[1, 0]]
    assert make_head(Detect(top_k=1)).detect(output).labels.tolist() == [[1]]


def test_without_tcb_it_is_an_ssd() -> None:
    detector = shapes_only("resnet18", make_config(), **WITHOUT_TCB)
    assert isinstance(detector.head, RefineDetHead)
    assert detector.head.arm is None
    sources = detector.neck(detector.backbone(torch.zeros(1, 3, *SIZE, device="meta")))
    assert [tuple(x.shape[1:]) for x in sources] == [
        (channels, *size) for channels, size in zip((128, 256, 512, 512), MAPS, strict=True)
    ]
    assert set(detector.head(sources)) == {"logits", "offsets"}

    torch.manual_seed(2)
    logits, offsets = torch.randn(1, ANCHORS, CLASSES + 1), torch.randn(1, ANCHORS, 4)
    output = make_output(logits=logits, offsets=offsets)
    losses = make_head(**WITHOUT_TCB).loss(output, make_targets([SQUARE]))
    like = SSDHead(make_config(), (8, 16, 32, 64), (8, 8, 8, 8), make_head().anchor_spec)
    expected = like.loss(output, make_targets([SQUARE]))
    assert set(losses) == {"class", "box"}
    for name, value in losses.items():
        assert value.item() == pytest.approx(expected[name].item())
