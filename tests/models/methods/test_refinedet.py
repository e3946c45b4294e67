"""RefineDet: its published counts, the transfer connection by hand, planted predictions."""

from __future__ import annotations

from math import ceil, log
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sobench.data.batches import training_batches
from sobench.data.synthetic import scenes as synthetic
from sobench.data.targets import Targets
from sobench.models.build import build_detector
from sobench.models.detector import Detector, DetectorConfig, HeadOutput
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.heads.ssd import SSDHead
from sobench.models.methods.refinedet import model as refinedet
from sobench.models.methods.refinedet.model import RefineDetNeck, TransferConnection, VggSources
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.boxes import encode
from sobench.models.parts.matching import match
from sobench.models.parts.vgg import L2Norm
from sobench.suite import sections
from sobench.suite.catalog import METHODS
from tests.models.small_config import CLASSES, SIZE, make_config, targets
from tests.tiny_suite import tiny_suite

MAPS = ((8, 12), (4, 6), (2, 3), (1, 2))
STDS = (0.1, 0.1, 0.2, 0.2)
SWITCHES = {name: switch.default for name, switch in METHODS["refinedet"].switches.items()}
WITHOUT_TCB: dict[str, Any] = {"tcb": False}


def shapes_only(backbone: str, config: DetectorConfig, **switches: Any) -> Detector:
    """A detector without storage."""
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "frozen"}
    settings = sections.Backbone.model_construct(**content, freeze=())
    with torch.device("meta"):
        return refinedet.build(build_backbone(settings), config, SWITCHES | switches)


# -------------------------------------------------------------------------------------- counts


def count_as_mmcv(detector: Detector) -> list[float]:
    """A growing list of what MMCV counts of every module: biases, norms, ReLUs and poolings too."""
    counted: list[float] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            products = module.weight[0].numel() * output.numel()
            counted.append(products + (output.numel() if module.bias is not None else 0))
        elif isinstance(module, nn.ConvTranspose2d):
            bias = 0 if module.bias is None else module.bias.numel()
            cells = inputs[0].shape[-2] * inputs[0].shape[-1]
            counted.append(cells * (module.weight.numel() + bias))
        elif isinstance(module, nn.BatchNorm2d):
            counted.append(2 * inputs[0].numel())
        elif isinstance(module, nn.ReLU):
            counted.append(output.numel())
        elif isinstance(module, nn.MaxPool2d):
            counted.append(inputs[0].numel())

    for module in detector.modules():
        module.register_forward_hook(hook)
    return counted


@pytest.mark.parametrize(
    ("backbone", "side", "boxes", "total", "gmacs"),
    [
        ("vgg16", 320, 6375, (34.164, 34.441, 36.100), (37.70, 37.85, 38.73)),
        ("vgg16", 512, 16320, (34.164, 34.441, 36.100), (96.51, 96.88, 99.14)),
        ("resnet101", 512, 16320, (60.055, 60.331, 61.991), (57.63, 58.00, 60.26)),
        ("resnet50", 512, 16320, (41.063, 41.339, 42.999), (38.15, 38.53, 40.79)),
    ],
)
def test_counts(
    backbone: str, side: int, boxes: int, total: tuple[float, ...], gmacs: tuple[float, ...]
) -> None:
    for classes, millions, billions in zip((10, 20, 80), total, gmacs, strict=True):
        config = make_config(num_classes=classes, size=(side, side), neck=sections.Neck())
        detector = shapes_only(backbone, config)
        weights = sum(p.numel() for p in detector.parameters())
        assert weights / 1e6 == pytest.approx(millions, abs=6e-4)
        counted = count_as_mmcv(detector)
        with FlopCounterMode(display=False) as products:
            output = detector.predict(torch.zeros(1, 3, side, side, device="meta"))
        assert sum(counted) / 1e9 == pytest.approx(billions, abs=6e-3)
        assert products.get_total_flops() / 2e9 == pytest.approx(billions, rel=5e-3)
        assert isinstance(detector.head, RefineDetHead)
        assert detector.head.anchors(output).shape == (boxes, 4)
        assert sum(x[0].numel() for x in output["logits"]) == boxes * (classes + 1)
        assert sum(x[0].numel() for x in output["arm_logits"]) == boxes * 2
        for name in ("offsets", "arm_offsets"):
            assert sum(x[0].numel() for x in output[name]) == boxes * 4


@pytest.mark.parametrize("backbone", ["vgg16", "resnet18"])
@pytest.mark.parametrize("size", [(96, 160), (100, 150), (65, 33)])
def test_any_input_size(backbone: str, size: tuple[int, int]) -> None:
    detector = shapes_only(backbone, make_config(size=size))
    output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
    sides = [(ceil(size[0] / s), ceil(size[1] / s)) for s in (8, 16, 32, 64)]
    for maps in output.values():
        assert [tuple(x.shape[-2:]) for x in maps] == sides


# ---------------------------------------------------------------------------------------- neck


def set_centre(conv: nn.Module, weight: float, bias: float) -> None:
    """A 3x3 convolution that multiplies every cell and adds to it."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = weight
        conv.bias.fill_(bias)


def test_transfer_connection_by_hand() -> None:
    top = TransferConnection(1, 1, "none", top=True)
    assert top.enlarge is None
    set_centre(top.transfer[0], 2, -1)
    set_centre(top.transfer[2], 3, 1)
    set_centre(top.output[1], 1, -2)
    # relu(2x - 1) = 1, 0; 3x + 1 = 4, 1; relu(x - 2) = 2, 0.
    above = top(torch.tensor([[1.0, -2]])[None, None], None)
    assert above[0, 0].tolist() == [[2, 0]]

    block = TransferConnection(1, 1, "none", top=False)
    set_centre(block.transfer[0], 2, -1)
    set_centre(block.transfer[2], -1, 1)
    set_centre(block.output[1], -1, 5)
    assert isinstance(block.enlarge, nn.ConvTranspose2d)
    assert block.enlarge.bias is not None
    with torch.no_grad():
        block.enlarge.weight.copy_(torch.tensor([[1.0, 2], [3, 4]]))
        block.enlarge.bias.fill_(0.5)
    source = torch.tensor([[1.0, 0, 2], [-1, 3, 0.5]])[None, None]
    # The source becomes [[0, 1, -2], [1, -4, 1]]; the map above [[2.5, 4.5, .5], [6.5, 8.5, .5]],
    # a column more cut away; their sum behind a ReLU [[2.5, 5.5, 0], [7.5, 4.5, 1.5]].
    assert block(source, above)[0, 0].tolist() == [[2.5, 0, 5], [0, 0.5, 3.5]]


class FourSources(nn.Module):
    """Hands on four maps of one channel."""

    channels = (1, 1, 1, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features


def test_context_flows_from_the_coarsest_level_down() -> None:
    neck = RefineDetNeck(FourSources(), 8, "group", tcb=True)  # type: ignore[arg-type]
    torch.manual_seed(0)
    for parameter in neck.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    sources = [torch.rand(1, 1, *size, requires_grad=True) for size in MAPS]
    found = neck(sources)
    assert all(a is b for a, b in zip(found[:4], sources, strict=True))
    assert [tuple(x.shape[1:]) for x in found[4:]] == [(8, *size) for size in MAPS]
    for level in range(4):
        grads = torch.autograd.grad(
            found[4 + level].square().sum(), sources, retain_graph=True, allow_unused=True
        )
        assert [g is not None for g in grads] == [coarse >= level for coarse in range(4)]


def kinds(module: nn.Module) -> dict[type, int]:
    """How many there are of each norm."""
    every = (nn.BatchNorm2d, nn.GroupNorm, L2Norm)
    found = {kind: sum(isinstance(m, kind) for m in module.modules()) for kind in every}
    return {kind: count for kind, count in found.items() if count}


@pytest.mark.parametrize(
    ("backbone", "norm", "expected"),
    [
        # Four blocks of three convolutions, three deconvolutions; res6 has four convolutions.
        ("resnet18", "none", {nn.BatchNorm2d: 19}),
        ("resnet18", "group", {nn.GroupNorm: 19}),
        ("vgg16", "none", {L2Norm: 2}),
        ("vgg16", "group", {L2Norm: 2, nn.GroupNorm: 15}),
    ],
)
def test_norms(backbone: str, norm: Any, expected: dict[type, int]) -> None:
    neck = sections.Neck(channels=16, norm=norm)
    assert kinds(shapes_only(backbone, make_config(neck=neck)).neck) == expected


def test_vgg_sources() -> None:
    sources = VggSources()
    features = [torch.rand(1, c, s, s) for c, s in ((256, 16), (512, 8), (512, 4), (512, 2))]
    found = sources(features)
    assert [tuple(x.shape[1:]) for x in found] == [
        (512, 8, 8), (512, 4, 4), (1024, 2, 2), (512, 1, 1)
    ]  # fmt: skip
    assert torch.allclose(found[0].norm(dim=1), torch.tensor(10.0))
    assert torch.allclose(found[1].norm(dim=1), torch.tensor(8.0))
    assert torch.allclose(found[0] / 10, nn.functional.normalize(features[1], dim=1))


def test_signals_do_not_vanish_from_scratch() -> None:
    suite = tiny_suite(neck={"channels": 64}, methods=["refinedet"])
    detector = build_detector(suite, suite.methods[0], CLASSES, 0).train()
    output = detector.predict(torch.rand(4, 3, 64, 64) * 255)
    for maps in output.values():
        for x in maps:
            assert 0.2 < x.std() < 4
    res6 = detector.neck.get_submodule("sources.res6.conv2")
    assert isinstance(res6, nn.Conv2d)
    assert res6.weight.std().item() == pytest.approx(0.01, rel=0.02)


# ---------------------------------------------------------------------------------------- head


def make_head(detect: sections.Detect | None = None, **switches: Any) -> RefineDetHead:
    config = make_config(detect=detect or sections.Detect())
    return RefineDetHead(config, (8, 16, 32, 64), (8, 8, 8, 8), **(SWITCHES | switches))


def tiled() -> Tensor:
    """``[A, 4]`` anchors of the input."""
    return make_head().anchors({"logits": [torch.zeros(1, 1, *size) for size in MAPS]})


ANCHORS = 3 * sum(height * width for height, width in MAPS)


def as_maps(values: Tensor) -> list[Tensor]:
    """``[B, A, width]`` -> a map for each level, in which a gradient is kept."""
    width = values.shape[-1]
    levels = torch.split(values, [3 * height * w for height, w in MAPS], dim=1)
    return [
        x.reshape(len(x), *size, 3 * width).permute(0, 3, 1, 2).clone().requires_grad_()
        for x, size in zip(levels, MAPS, strict=True)
    ]


def as_rows(maps: list[Tensor], width: int) -> Tensor:
    """The inverse."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, width) for x in maps], dim=1)


def make_output(batch: int = 1, **parts: Any) -> HeadOutput:
    """Zeros but for the ``[B, A, width]`` values given."""
    widths = {"logits": CLASSES + 1, "offsets": 4, "arm_logits": 2, "arm_offsets": 4}
    return {
        name: as_maps(parts.get(name, torch.zeros(batch, ANCHORS, width)))
        for name, width in widths.items()
    }


def index_of(level: int, row: int, column: int, anchor: int) -> int:
    before = sum(height * width for height, width in MAPS[:level])
    return 3 * (before + row * MAPS[level][1] + column) + anchor


def make_targets(*rows: list[tuple[float, ...]], label: int = 1) -> Targets:
    """One list of boxes for each image, all of one class."""
    return targets(list(rows), [[label] * len(row) for row in rows])


# The square of level 0, row 3, column 4, whose cells are 8 and whose anchors 32 pixels wide.
SQUARE = (20.0, 12.0, 52.0, 44.0)


def matched_anchors() -> Tensor:
    """``[A]`` bool, the tiled anchors that take ``SQUARE``."""
    return match(make_targets([SQUARE]), tiled(), 0.5, 0.5)[0] >= 0


def one_class(rows: Tensor, width: int, label: int) -> Tensor:
    """``[1, A, width]`` logits, sure of ``label`` in ``rows`` and of background elsewhere."""
    logits = torch.zeros(1, ANCHORS, width)
    logits[..., 0] = 30
    logits[0, rows, label] = 60
    return logits


def teacher_features(maps: list[Tensor], width: int) -> set[int]:
    """The anchors whose values got a gradient."""
    reached = as_rows([x.grad for x in maps if x.grad is not None], width)[0]
    return set(reached.any(dim=-1).nonzero().flatten().tolist())


def backward(*losses: Tensor) -> None:
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]


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


def perfect_arm() -> dict[str, Any]:
    """The ARM moves every anchor onto ``SQUARE``, and knows which had to be."""
    return {
        "arm_logits": one_class(matched_anchors(), 2, 1),
        "arm_offsets": encode(torch.tensor([SQUARE]), tiled(), STDS)[None],
    }


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
    assert teacher_features(output["logits"], CLASSES + 1) == positive | {doubtful}
    assert teacher_features(output["offsets"], 4) <= positive

    output = make_output(arm_logits=sure)
    losses = make_head(filter_negatives=False).loss(output, make_targets([SQUARE]))
    backward(losses["class"])
    reached = teacher_features(output["logits"], CLASSES + 1)
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


# ----------------------------------------------------------------------------------- detection


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
    found = make_head().detect(output)
    assert found.labels.tolist() == [[2], [0]]
    assert found.scores.flatten().tolist() == pytest.approx([1 / (1 + np.exp(-4.0))] * 2, rel=1e-4)
    assert found.boxes[0, 0].tolist() == pytest.approx([33.6, 0, 65.6, 56])
    assert found.boxes[1, 0].tolist() == pytest.approx([14.4, 0, 78.4, 56])
    variants: list[dict[str, Any]] = [{"cascade": False}, WITHOUT_TCB]
    for switches in variants:
        found = make_head(**switches).detect(output)
        assert found.labels.tolist() == [[2], [0]]
        for image in range(2):
            assert found.boxes[image, 0].tolist() == pytest.approx([14.4, 0, 78.4, 56])


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
    assert make_head(sections.Detect(top_k=1)).detect(output).labels.tolist() == [[1]]


# --------------------------------------------------------------------------- without refinement


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
    like = SSDHead(make_config(), (8, 8, 8, 8), (3, 3, 3, 3), tiled())
    expected = like.loss(output, make_targets([SQUARE]))
    assert set(losses) == {"class", "box"}
    for name, value in losses.items():
        assert value.item() == pytest.approx(expected[name].item())


# ------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("switches", [{}, WITHOUT_TCB])
def test_it_begins_to_learn(switches: dict[str, Any]) -> None:
    suite = tiny_suite(
        dataset={"train": 4},
        augment={"hflip": 0},
        neck={"channels": 32},
        methods=[{"name": "refinedet", **switches}],
    )
    assert isinstance(suite.dataset, sections.SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    pixels = np.stack([dataset.read_image(i) for i in range(4)])
    detector = build_detector(suite, suite.methods[0], 5, 0).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=0.002)
    totals: list[float] = []
    (batch,) = training_batches(dataset, pixels, suite.input, suite.augment, 4, 0, 0)
    for _ in range(8):
        total = torch.stack([*detector(batch.images, batch.targets).values()]).sum()
        optimizer.zero_grad()
        backward(total)
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.5 * totals[0]
    assert detector.eval()(batch.images).boxes.isfinite().all()
