"""Heads, necks and default boxes: losses and detections of planted predictions."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.build import detector_config
from sobench.models.detector import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Detector,
    Head,
    HeadOptions,
    HeadOutput,
)
from sobench.models.heads import build_head, head_levels
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.heads.ssd import SsdHead
from sobench.models.methods.ssd import model as ssd
from sobench.models.methods.ssd.model import default_boxes
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.pyramid import Levels
from sobench.models.parts.vgg import L2Norm
from sobench.suite import sections
from tests.models.small_config import CLASSES, make_config, targets
from tests.tiny_suite import tiny_suite

ANCHORS = sections.Anchors(scale=2, octaves=2, ratios=(0.25, 1, 4))


# ----------------------------------------------------------------------------------- RetinaNet


def retinanet(octaves: int = 2) -> RetinaNetHead:
    anchors = sections.Anchors(scale=2, octaves=octaves, ratios=(0.25, 1, 4))
    return RetinaNetHead(make_config(anchors=anchors), (8, 16), HeadOptions())


def retinanet_output(batch: int = 1, low: float = -12.0, octaves: int = 2) -> HeadOutput:
    """Background everywhere and no offsets; maps of strides 8 and 16."""
    sizes, count = ((8, 12), (4, 6)), 3 * octaves
    return {
        "logits": [torch.full((batch, count * CLASSES, *s), low).requires_grad_() for s in sizes],
        "offsets": [torch.zeros(batch, count * 4, *s).requires_grad_() for s in sizes],
    }


def set_values(output: HeadOutput, name: str, level: int, values: list[Any]) -> None:
    """Write ``(index, value)`` pairs into a map that gradients will reach."""
    with torch.no_grad():
        for index, value in values:
            output[name][level][index] = value


def test_levels_and_strides() -> None:
    assert head_levels("retinanet") == Levels(3, 7, "convolution")
    assert head_levels("retinanet").strides == (8, 16, 32, 64, 128)
    head = build_head(make_config(anchors=ANCHORS), (8, 16, 32, 64, 128))
    assert isinstance(head, RetinaNetHead)
    assert head.strides == (8, 16, 32, 64, 128)


def test_towers_with_the_suites_norm() -> None:
    group = sections.Neck(channels=16, norm="group")
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
    # In evaluation a level must be normed by its own statistics.
    head.eval()
    x = torch.randn(1, 8, 4, 6)
    output = head([x, x])["logits"]
    assert not torch.allclose(output[0], output[1])


def test_options_replace_anchors_loss_and_width() -> None:
    shapes = AnchorSpec(((8.0, 10.0), (12.0, 14.0)), (1.0,), 0.5)

    def no_loss(prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
        assert prediction.shape == target.shape == (*positive.shape, 4)
        return 7.0 * positive.sum()

    options = HeadOptions(channels=24, anchors=shapes, box_loss=no_loss)
    head = RetinaNetHead(make_config(anchors=ANCHORS), (8, 16), options)
    output = head([torch.zeros(1, 24, 8, 12), torch.zeros(1, 24, 4, 6)])
    assert output["offsets"][0].shape == (1, 2 * 4, 8, 12)
    anchors = head.anchors(output)
    assert anchors[0].tolist() == [0, 0, 8, 8]
    found = head.loss(output, targets([[(0, 0, 8, 8)]], [[0]]))
    assert found["box"].item() == pytest.approx(7.0)


def test_towers_of_another_depth() -> None:
    narrow = make_config(neck=sections.Neck(channels=8, tower_convs=3), anchors=ANCHORS)
    for chosen, depth in ((None, 3), (1, 1), (0, 0)):
        head = RetinaNetHead(narrow, (8, 16), HeadOptions(tower_convs=chosen))
        assert len(head.class_tower.convs) == len(head.box_tower.convs) == depth


def test_predictions_are_read_from_the_towers() -> None:
    head = retinanet()
    pyramid = [torch.randn(1, 8, 8, 12), torch.randn(1, 8, 4, 6)]
    output = head(pyramid)
    for tower, name, predict in (
        (head.class_tower, "class_tower", head.class_logits),
        (head.box_tower, "box_tower", head.box_offsets),
    ):
        for x, found in zip(tower(pyramid), output[name], strict=True):
            assert torch.equal(x, found)
        read = output["logits" if name == "class_tower" else "offsets"]
        for x, found in zip(output[name], read, strict=True):
            assert torch.equal(predict(x), found)
    assert len(head.flops_outputs(output)) == 4  # not the towers again


def test_towers_are_enlarged_before_the_prediction() -> None:
    """An input of 60x92 has no cells beyond row 15 and column 23 at stride 4."""
    plain = RetinaNetHead(make_config(anchors=ANCHORS), (8, 16), HeadOptions())
    enlarged = make_config(size=(60, 92), anchors=ANCHORS)
    head = RetinaNetHead(enlarged, (4, 8), HeadOptions(upsample=True))
    head.load_state_dict(plain.state_dict())
    pyramid = [torch.randn(1, 8, 8, 12), torch.randn(1, 8, 4, 6)]
    before, after = plain(pyramid), head(pyramid)
    assert [tuple(x.shape[-2:]) for x in after["logits"]] == [(15, 23), (8, 12)]
    for name, predict in (("class_tower", head.class_logits), ("box_tower", head.box_offsets)):
        read = after["logits" if name == "class_tower" else "offsets"]
        for small, large, found in zip(before[name], after[name], read, strict=True):
            height, width = large.shape[-2:]
            rows, columns = torch.arange(height) // 2, torch.arange(width) // 2
            assert torch.equal(large, small[:, :, rows][..., columns])
            assert torch.equal(found, predict(large))
    anchors = head.anchors(after)
    assert len(anchors) == 6 * (15 * 23 + 8 * 12)
    last = (anchors[-6, :2] + anchors[-6, 2:]) / 2
    assert last.tolist() == pytest.approx([11 * 8, 7 * 8])
    finest = anchors[2]  # the square: two strides of 4
    assert finest.tolist() == pytest.approx([-4, -4, 4, 4])


def test_retinanet_starts_with_rare_objects() -> None:
    head = retinanet()
    output = head([torch.zeros(1, 8, 8, 12), torch.zeros(1, 8, 4, 6)])
    for logits in output["logits"]:
        assert torch.allclose(logits.sigmoid(), torch.tensor(0.01))
    assert [tuple(x.shape) for x in output["logits"]] == [(1, 18, 8, 12), (1, 18, 4, 6)]
    assert [tuple(x.shape) for x in output["offsets"]] == [(1, 24, 8, 12), (1, 24, 4, 6)]


def test_retinanet_gives_a_perfect_prediction_no_loss() -> None:
    head, output = retinanet(octaves=1), retinanet_output(octaves=1)
    # Level 1 (stride 16), row 2, column 3: centre (48, 32). Anchor 1 of a cell is the square of 32,
    # here half as wide again as it should be; no other anchor comes near.
    truth = targets([[(36.0, 16.0, 60.0, 48.0)]], [[1]])
    missed = head.loss(output, truth)
    assert missed["class"].item() == pytest.approx(0.25 * 12, rel=1e-3)
    assert missed["box"].item() == pytest.approx(log(32 / 24))
    set_values(output, "logits", 1, [((0, 1 * CLASSES + 1, 2, 3), 12.0)])
    set_values(output, "offsets", 1, [((0, 1 * 4 + 2, 2, 3), log(24 / 32))])
    loss = head.loss(output, truth)
    assert loss["class"].item() < 1e-6
    assert loss["box"].item() < 1e-6


def teacher_features(maps: list[Tensor], anchors: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Level, image, anchor, row and column of every anchor whose values get a gradient."""
    found: set[tuple[int, ...]] = set()
    for level, (x, count) in enumerate(zip(maps, anchors, strict=True)):
        assert x.grad is not None
        batch, channels, height, width = x.shape
        reached = x.grad.reshape(batch, count, channels // count, height, width) != 0
        found |= {(level, *index) for index in reached.any(dim=2).nonzero().tolist()}
    return found


def test_retinanet_teaches_offsets_to_matched_anchors_and_nothing_to_those_between() -> None:
    head, output = retinanet(), retinanet_output(low=0.0)
    truth = targets([[(33.0, 17.0, 63.0, 47.0)]], [[1]])
    torch.stack([*head.loss(output, truth).values()]).sum().backward()  # type: ignore[no-untyped-call]
    # Squares at its centre: of 22.6 on level 0 (IoU .57), of 32 on level 1 (.88).
    assert teacher_features(output["offsets"], (6, 6)) == {(0, 0, 3, 4, 6), (1, 0, 2, 2, 3)}
    # The square of 45.3 has .44; those of 22.6 in the four cells around have .42.
    around = {(0, 0, 3, 3, 6), (0, 0, 3, 5, 6), (0, 0, 3, 4, 5), (0, 0, 3, 4, 7)}
    every = {
        (level, 0, anchor, row, column)
        for level, (rows, columns) in enumerate(((8, 12), (4, 6)))
        for anchor in range(6)
        for row in range(rows)
        for column in range(columns)
    }
    assert every - teacher_features(output["logits"], (6, 6)) == {(1, 0, 3, 2, 3)} | around


def test_retinanet_finds_planted_boxes() -> None:
    head, output = retinanet(), retinanet_output(batch=2)
    # Image 0, level 0 (stride 8), row 5, column 2, anchor 0: ratio 1/4, so 32 x 8 at (16, 40).
    set_values(output, "logits", 0, [((0, 0 * CLASSES + 2, 5, 2), 3.0)])
    # Image 0, level 1: the 32 x 32 square at (48, 32), moved by a quarter and half as high.
    offsets = [((0, 2 * 4 + k, 2, 3), v) for k, v in enumerate((0.25, 0.0, 0.0, -log(2)))]
    set_values(output, "logits", 1, [((0, 2 * CLASSES + 0, 2, 3), 2.0)])
    set_values(output, "offsets", 1, offsets)
    # Image 1, level 1, row 3, column 5, anchor 5: ratio 4, octave 1; reaches out of the input.
    set_values(output, "logits", 1, [((1, 5 * CLASSES + 1, 3, 5), 1.0)])
    found = head.detect(output)
    assert found.labels.tolist() == [[2, 0], [1, -1]]
    expected = torch.tensor([3.0, 2.0, 1.0]).sigmoid()
    assert torch.allclose(found.scores.flatten()[:3], expected)
    assert found.boxes[0, 0].tolist() == pytest.approx([0, 36, 32, 44])
    assert found.boxes[0, 1].tolist() == pytest.approx([40, 24, 72, 40])
    side = 2 * 16 * sqrt(2)  # so it is half as wide and twice as high
    expected_box = [80 - side / 4, 48 - side, 80 + side / 4, 64]
    assert found.boxes[1, 0].tolist() == pytest.approx(expected_box, rel=1e-5)


# ----------------------------------------------------------------------------------------- SSD


def ssd_head() -> SsdHead:
    boxes = default_boxes([(2, 3), (1, 2)], [(32, 32), (64, 48)], [16, 40, 90], (4, 6))
    return SsdHead(make_config(), (8, 8), (4, 6), boxes)


def ssd_output(batch: int = 1, background: float = 14.0) -> HeadOutput:
    shapes = ((4, 2, 3), (6, 1, 2))
    logits = [torch.zeros(batch, a * (CLASSES + 1), h, w) for a, h, w in shapes]
    for maps in logits:
        maps[:, :: CLASSES + 1] = background
    offsets = [torch.zeros(batch, a * 4, h, w) for a, h, w in shapes]
    return {
        "logits": [x.requires_grad_() for x in logits],
        "offsets": [x.requires_grad_() for x in offsets],
    }


def test_ssd_gives_a_perfect_prediction_no_loss() -> None:
    head, output = ssd_head(), ssd_output()
    # Level 0, row 1, column 2: centre (80, 48); default box 0 is the square of 16.
    truth = targets([[(72.0, 40.0, 88.0, 56.0)]], [[1]])
    missed = head.loss(output, truth)
    assert missed["class"] > 10
    ratios = [((0, a * 4 + k, 1, 2), v) for a in (2, 3) for k, v in _to_square(a)]
    set_values(output, "offsets", 0, ratios)
    for anchor in (0, 2, 3):  # IoU 1, .55 and .55
        set_values(output, "logits", 0, [((0, anchor * (CLASSES + 1) + 2, 1, 2), 30.0)])
    loss = head.loss(output, truth)
    assert loss["class"].item() < 1e-4
    assert loss["box"].item() < 1e-10


def _to_square(anchor: int) -> list[tuple[int, float]]:
    """Offsets from the default boxes of ratio 2 and 1/2 to the square of their area."""
    growth = log(sqrt(2)) / 0.2
    return [(2, -growth), (3, growth)] if anchor == 2 else [(2, growth), (3, -growth)]


def test_ssd_teaches_offsets_to_positives_and_mines_three_to_one() -> None:
    head, output = ssd_head(), ssd_output(background=0.0)
    truth = targets([[(73.0, 41.0, 87.0, 55.0)]], [[1]])
    torch.stack([*head.loss(output, truth).values()]).sum().backward()  # type: ignore[no-untyped-call]
    positive = {(0, 0, anchor, 1, 2) for anchor in (0, 2, 3)}
    assert teacher_features(output["offsets"], (4, 6)) == positive
    learnt = teacher_features(output["logits"], (4, 6))
    assert positive < learnt
    assert len(learnt) == 3 + 3 * 3


def test_ssd_finds_planted_boxes() -> None:
    head, output = ssd_head(), ssd_output(batch=2)
    width = CLASSES + 1
    # Image 0, level 0, row 0, column 1: centre (48, 16); default box 1 is the square of
    # sqrt(16 * 40), moved right by a tenth of itself.
    set_values(output, "logits", 0, [((0, 1 * width + 3, 0, 1), 16.0)])
    set_values(output, "offsets", 0, [((0, 1 * 4, 0, 1), 1.0)])
    # Image 1, level 1, column 1: centre (72, 32); default box 5 has ratio 1/3 of size 40.
    set_values(output, "logits", 1, [((1, 5 * width + 1, 0, 1), 18.0)])
    found = head.detect(output)
    assert found.labels.tolist() == [[2], [0]]
    side = sqrt(16 * 40)
    left, right = 48 + 0.1 * side - side / 2, 48 + 0.1 * side + side / 2
    assert found.boxes[0, 0].tolist() == pytest.approx([left, 16 - side / 2, right, 16 + side / 2])
    wide, high = 40 / sqrt(3), 40 * sqrt(3)
    assert high > 64  # so it is clipped above and below
    assert found.boxes[1, 0].tolist() == pytest.approx([72 - wide / 2, 0, 72 + wide / 2, 64])
    rest = 14 + log(1 + 2 * torch.tensor(-14.0).exp().item())
    assert found.scores[0, 0].item() == pytest.approx(
        torch.tensor([16.0 - rest]).sigmoid().item(), rel=1e-4
    )


# ----------------------------------------------------------------------- both heads in a batch


@pytest.mark.parametrize("kind", ["retinanet", "ssd"])
def test_the_loss_of_a_batch_is_made_of_its_images(kind: str) -> None:
    """Padding of the image with fewer objects, and of the one without, leaks nothing."""
    head: Any = retinanet() if kind == "retinanet" else ssd_head()
    output = retinanet_output(3) if kind == "retinanet" else ssd_output(3)
    generator = torch.Generator().manual_seed(0)
    for maps in output.values():
        for x in maps:
            x.data = torch.randn(x.shape, generator=generator)
    rows: list[list[tuple[float, ...]]] = [
        [(30.0, 20.0, 60.0, 45.0), (2.0, 3.0, 18.0, 20.0), (70.0, 40.0, 88.0, 56.0)],
        [],
        [(33.0, 17.0, 63.0, 47.0)],
    ]
    labels = [[0, 1, 2], [], [1]]
    together = head.loss(output, targets(rows, labels))
    parts: dict[str, float] = {"class": 0.0, "box": 0.0}
    positives = 0
    for index in range(3):
        alone = {name: [x[index : index + 1] for x in maps] for name, maps in output.items()}
        truth = targets([rows[index] or [(0.0,) * 4]], [labels[index] or [-1]])
        count = _matched_anchors(head, alone, truth)
        positives += count
        for name, value in head.loss(alone, truth).items():
            parts[name] += value.item() * max(1, count)
    for name, value in together.items():
        assert value.item() == pytest.approx(parts[name] / positives, rel=1e-5)


def _matched_anchors(head: Head, output: HeadOutput, truth: Targets) -> int:
    """Anchors to whose offsets a gradient flows."""
    offsets = [x.detach().clone().requires_grad_() for x in output["offsets"]]
    head.loss({**output, "offsets": offsets}, truth)["box"].backward()  # type: ignore[no-untyped-call]
    return len(teacher_features(offsets, tuple(x.shape[1] // 4 for x in offsets)))


def test_images_are_normalised_as_imagenet_is() -> None:
    class Keep(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x

    detector = Detector(Keep(), Keep(), Keep())  # type: ignore[arg-type]
    pixels = torch.tensor([[0, 255], [124, 7]], dtype=torch.uint8).expand(1, 3, 2, 2)
    found: Any = detector.predict(pixels.contiguous(memory_format=torch.channels_last))
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    assert torch.allclose(found[0], (pixels[0].float() - mean) / std)
    assert found.is_contiguous(memory_format=torch.channels_last)


# ------------------------------------------------------------------------- SSD's default boxes


def method(size: tuple[int, int], backbone: str = "resnet18", boxes: str = "coco") -> Detector:
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "train"}
    settings = sections.Backbone.model_construct(**content, freeze=())
    with torch.device("meta"):
        return ssd.build(build_backbone(settings), make_config(size=size), {"boxes": boxes})


def sizes(boxes: Tensor) -> list[tuple[float, float]]:
    return [(round(w, 2), round(h, 2)) for w, h in (boxes[:, 2:] - boxes[:, :2]).tolist()]


def test_first_cells_of_ssd300() -> None:
    head = method((300, 300), "vgg16").head
    assert isinstance(head, SsdHead)
    boxes = head.boxes
    # 21 px: a square, one of sqrt(21 * 45), and ratios 2 and 1/2; centred half a step of 8 in.
    assert sizes(boxes[:4]) == [(21, 21), (30.74, 30.74), (29.7, 14.85), (14.85, 29.7)]
    assert boxes[0].tolist() == [-6.5, -6.5, 14.5, 14.5]
    assert ((boxes[4, :2] + boxes[4, 2:]) / 2).tolist() == [12, 4]
    assert ((boxes[4 * 38, :2] + boxes[4 * 38, 2:]) / 2).tolist() == [4, 12]
    second = 4 * 38 * 38
    assert sizes(boxes[second : second + 6]) == [
        (45, 45),
        (66.75, 66.75),
        (63.64, 31.82),
        (31.82, 63.64),
        (77.94, 25.98),
        (25.98, 77.94),
    ]
    assert boxes[second].tolist() == [-14.5, -14.5, 30.5, 30.5]
    # The last cell is the whole image: 261, widened to 315.
    assert sizes(boxes[-4:])[:2] == [(261, 261), (286.73, 286.73)]
    assert ((boxes[-1, :2] + boxes[-1, 2:]) / 2).tolist() == [150, 150]


def test_voc_boxes_are_larger() -> None:
    head = method((300, 300), "vgg16", "voc").head
    assert isinstance(head, SsdHead)
    assert sizes(head.boxes[:2]) == [(30, 30), (42.43, 42.43)]


@pytest.mark.parametrize(
    "size", [(128, 128), (256, 256), (320, 320), (512, 512), (160, 320), (300, 200), (33, 600)]
)
def test_uniform_ssd_has_a_default_box_for_every_prediction(size: tuple[int, int]) -> None:
    detector = method(size)
    head = detector.head
    assert isinstance(head, SsdHead)
    output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
    boxes = head.boxes
    assert len(boxes) == sum(x[0].numel() // 4 for x in output["offsets"])
    assert output["offsets"][-1].shape[-2:] == (1, 1)
    start = 0
    for level, (offsets, logits) in enumerate(zip(*output.values(), strict=True)):
        height, width = offsets.shape[-2:]
        count = offsets.shape[1] // 4
        assert logits.shape[1] == count * (CLASSES + 1)
        own = boxes[start : start + height * width * count]
        centres = ((own[:, :2] + own[:, 2:]) / 2).reshape(height, width, count, 2)
        stride = 8 * 2**level
        assert torch.allclose(centres[0, 0], torch.full((count, 2), stride / 2.0), atol=1e-3)
        last = torch.tensor([(width - 0.5) * stride, (height - 0.5) * stride])
        assert torch.allclose(centres[-1, -1], last.expand(count, 2), atol=1e-3)
        start += len(own)


def test_uniform_sizes_follow_the_papers_rule() -> None:
    head = method((256, 256)).head
    assert isinstance(head, SsdHead)
    # .07, then .15 to .9 in even steps over the remaining levels, and one more to widen the last.
    assert sizes(head.boxes[:1]) == [(17.92, 17.92)]
    assert sizes(head.boxes[-4:])[0] == (230.4, 230.4)


def test_l2norm_scales_every_channel() -> None:
    norm = L2Norm(2, 20.0)
    assert norm.scale.tolist() == [20, 20]
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert torch.allclose(norm(x)[0, :, 1, 0], torch.tensor([12.0, 16.0]))
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 10.0]))
    assert torch.allclose(norm(x.bfloat16())[0, :, 0, 1], torch.tensor([0.6, 8.0]))
    assert norm(torch.zeros(1, 2, 1, 1)).isfinite().all()


def test_the_suite_reaches_the_network() -> None:
    small = tiny_suite(input={"size": [64, 96]}, neck={"channels": 24}, anchors={"scale": 3})
    found = detector_config(small, 7)
    assert (found.num_classes, found.size, found.neck.channels) == (7, (64, 96), 24)
    assert found.anchors.scale == 3
    assert found.detect == small.detect
