"""The RetinaNet head: its towers and options, and losses and detections of planted predictions."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch
from torch import Tensor, nn

from sobench.models.detector import HeadOptions
from sobench.models.heads import build_head, head_levels
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.pyramid import Levels
from sobench.suite.network import Anchors, Neck
from tests.models.heads.dense_heads import (
    anchors_with_gradient,
    retinanet_head,
    retinanet_output,
    set_values,
)
from tests.models.small_config import CLASSES, make_config, targets

ANCHORS = Anchors(smallest=16, octaves=2, ratios=(0.25, 1, 4))


def test_levels_and_strides() -> None:
    assert head_levels("retinanet") == Levels(3, 7, "convolution")
    assert head_levels("retinanet").strides == (8, 16, 32, 64, 128)
    head = build_head(make_config(anchors=ANCHORS), (8, 16, 32, 64, 128))
    assert isinstance(head, RetinaNetHead)
    assert head.strides == (8, 16, 32, 64, 128)


def test_towers_with_the_suites_norm() -> None:
    group = Neck(channels=16, norm="group")
    head = RetinaNetHead(make_config(neck=group, anchors=ANCHORS), (8, 16), HeadOptions())
    norms = [m for m in head.modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 4 + 4
    assert {(m.num_groups, m.num_channels) for m in norms} == {(2, 16)}
    assert head.class_logits.bias is not None


def test_towers_with_a_norm_for_every_level() -> None:
    head = RetinaNetHead(make_config(anchors=ANCHORS), (8, 16), HeadOptions(level_norm=True))
    norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in head.modules() if isinstance(m, nn.Conv2d)]
    assert len(norms) == 2 * (4 + 4)
    assert len(convs) == 4 + 4 + 2
    head.train()
    head([torch.randn(2, 8, 8, 12), 5 + 3 * torch.randn(2, 8, 4, 6)])
    first, second = (norm.running_mean for norm in norms[:2])  # of the first convolution
    assert first is not None
    assert second is not None
    assert not torch.allclose(first, second)
    # In evaluation each level must be normalised by its own statistics.
    head.eval()
    x = torch.randn(1, 8, 4, 6)
    output = head([x, x])["logits"]
    assert not torch.allclose(output[0], output[1])


def test_options_replace_anchors_loss_and_width() -> None:
    anchor_spec = AnchorSpec(((8.0, 10.0), (12.0, 14.0)), (1.0,), 0.5)

    def seven_per_positive(prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
        assert prediction.shape == target.shape == (*positive.shape, 4)
        return 7.0 * positive.sum()

    options = HeadOptions(channels=24, anchors=anchor_spec, box_loss=seven_per_positive)
    head = RetinaNetHead(make_config(anchors=ANCHORS), (8, 16), options)
    output = head([torch.zeros(1, 24, 8, 12), torch.zeros(1, 24, 4, 6)])
    assert output["offsets"][0].shape == (1, 2 * 4, 8, 12)
    anchors = head.anchors(output)
    assert anchors[0].tolist() == [0, 0, 8, 8]
    losses = head.loss(output, targets([[(0, 0, 8, 8)]], [[0]]))
    assert losses["box"].item() == pytest.approx(7.0)


def test_towers_of_another_depth() -> None:
    config = make_config(neck=Neck(channels=8, tower_convs=3), anchors=ANCHORS)
    for tower_convs, depth in ((None, 3), (1, 1), (0, 0)):
        head = RetinaNetHead(config, (8, 16), HeadOptions(tower_convs=tower_convs))
        assert len(head.class_tower.convs) == len(head.box_tower.convs) == depth


def test_predictions_are_made_from_the_towers() -> None:
    head = retinanet_head()
    pyramid = [torch.randn(1, 8, 8, 12), torch.randn(1, 8, 4, 6)]
    output = head(pyramid)
    for tower, name, predict in (
        (head.class_tower, "class_tower", head.class_logits),
        (head.box_tower, "box_tower", head.box_offsets),
    ):
        for expected, x in zip(tower(pyramid), output[name], strict=True):
            assert torch.equal(x, expected)
        predictions = output["logits" if name == "class_tower" else "offsets"]
        for x, prediction in zip(output[name], predictions, strict=True):
            assert torch.equal(predict(x), prediction)
    assert len(head.flops_outputs(output)) == 4  # without the towers' maps


def test_towers_are_enlarged_before_the_prediction() -> None:
    """An input of 60x92 has no cells beyond row 15 and column 23 at stride 4."""
    plain = RetinaNetHead(make_config(anchors=ANCHORS), (8, 16), HeadOptions())
    anchors_of_head = Anchors(smallest=8, octaves=2, ratios=(0.25, 1, 4))
    config = make_config(size=(60, 92), anchors=anchors_of_head)
    head = RetinaNetHead(config, (4, 8), HeadOptions(upsample=True))
    head.load_state_dict(plain.state_dict())
    pyramid = [torch.randn(1, 8, 8, 12), torch.randn(1, 8, 4, 6)]
    before, after = plain(pyramid), head(pyramid)
    assert [tuple(x.shape[-2:]) for x in after["logits"]] == [(15, 23), (8, 12)]
    for name, predict in (("class_tower", head.class_logits), ("box_tower", head.box_offsets)):
        predictions = after["logits" if name == "class_tower" else "offsets"]
        for x, enlarged, prediction in zip(before[name], after[name], predictions, strict=True):
            height, width = enlarged.shape[-2:]
            rows, columns = torch.arange(height) // 2, torch.arange(width) // 2
            assert torch.equal(enlarged, x[:, :, rows][..., columns])
            assert torch.equal(prediction, predict(enlarged))
    anchors = head.anchors(after)
    assert len(anchors) == 6 * (15 * 23 + 8 * 12)
    last = (anchors[-6, :2] + anchors[-6, 2:]) / 2
    assert last.tolist() == pytest.approx([11 * 8, 7 * 8])
    finest = anchors[2]  # the square of 8 px
    assert finest.tolist() == pytest.approx([-4, -4, 4, 4])


def test_retinanet_starts_with_rare_objects() -> None:
    head = retinanet_head()
    output = head([torch.zeros(1, 8, 8, 12), torch.zeros(1, 8, 4, 6)])
    for logits in output["logits"]:
        assert torch.allclose(logits.sigmoid(), torch.tensor(0.01))
    assert [tuple(x.shape) for x in output["logits"]] == [(1, 18, 8, 12), (1, 18, 4, 6)]
    assert [tuple(x.shape) for x in output["offsets"]] == [(1, 24, 8, 12), (1, 24, 4, 6)]


def test_retinanet_gives_a_perfect_prediction_no_loss() -> None:
    head, output = retinanet_head(octaves=1), retinanet_output(octaves=1)
    # Level 1 (stride 16), row 2, column 3: centre (48, 32). Anchor 1 of a cell is the square of 32,
    # which is a third wider than the object; no other anchor is matched to it.
    truth = targets([[(36.0, 16.0, 60.0, 48.0)]], [[1]])
    missed = head.loss(output, truth)
    assert missed["class"].item() == pytest.approx(0.25 * 12, rel=1e-3)
    assert missed["box"].item() == pytest.approx(log(32 / 24))
    set_values(output, "logits", 1, [((0, 1 * CLASSES + 1, 2, 3), 12.0)])
    set_values(output, "offsets", 1, [((0, 1 * 4 + 2, 2, 3), log(24 / 32))])
    loss = head.loss(output, truth)
    assert loss["class"].item() < 1e-6
    assert loss["box"].item() < 1e-6


def test_retinanet_trains_offsets_of_matched_anchors_and_ignores_those_between() -> None:
    head, output = retinanet_head(), retinanet_output(logit=0.0)
    truth = targets([[(33.0, 17.0, 63.0, 47.0)]], [[1]])
    torch.stack([*head.loss(output, truth).values()]).sum().backward()  # type: ignore[no-untyped-call]
    # Squares at its centre: of 22.6 on level 0 (IoU .57), of 32 on level 1 (.88).
    assert anchors_with_gradient(output["offsets"], (6, 6)) == {(0, 0, 3, 4, 6), (1, 0, 2, 2, 3)}
    # The square of 45.3 has .44; those of 22.6 in the four cells around have .42.
    around = {(0, 0, 3, 3, 6), (0, 0, 3, 5, 6), (0, 0, 3, 4, 5), (0, 0, 3, 4, 7)}
    every_anchor = {
        (level, 0, anchor, row, column)
        for level, (rows, columns) in enumerate(((8, 12), (4, 6)))
        for anchor in range(6)
        for row in range(rows)
        for column in range(columns)
    }
    assert (
        every_anchor - anchors_with_gradient(output["logits"], (6, 6)) == {(1, 0, 3, 2, 3)} | around
    )


def test_retinanet_detects_planted_boxes() -> None:
    head, output = retinanet_head(), retinanet_output(batch=2)
    # Image 0, level 0 (stride 8), row 5, column 2, anchor 0: ratio 1/4, so 32 x 8 at (16, 40).
    set_values(output, "logits", 0, [((0, 0 * CLASSES + 2, 5, 2), 3.0)])
    # Image 0, level 1: the 32 x 32 square at (48, 32), moved by a quarter and half as high.
    offsets = [((0, 2 * 4 + k, 2, 3), v) for k, v in enumerate((0.25, 0.0, 0.0, -log(2)))]
    set_values(output, "logits", 1, [((0, 2 * CLASSES + 0, 2, 3), 2.0)])
    set_values(output, "offsets", 1, offsets)
    # Image 1, level 1, row 3, column 5, anchor 5: ratio 4, octave 1; extends beyond the input.
    set_values(output, "logits", 1, [((1, 5 * CLASSES + 1, 3, 5), 1.0)])
    detections = head.detect(output)
    assert detections.labels.tolist() == [[2, 0], [1, -1]]
    expected = torch.tensor([3.0, 2.0, 1.0]).sigmoid()
    assert torch.allclose(detections.scores.flatten()[:3], expected)
    assert detections.boxes[0, 0].tolist() == pytest.approx([0, 36, 32, 44])
    assert detections.boxes[0, 1].tolist() == pytest.approx([40, 24, 72, 40])
    side = 2 * 16 * sqrt(2)  # so it is half as wide and twice as high
    expected_box = [80 - side / 4, 48 - side, 80 + side / 4, 64]
    assert detections.boxes[1, 0].tolist() == pytest.approx(expected_box, rel=1e-5)
