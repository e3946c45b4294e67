"""EFPN: the extension by hand, what each stage trains, and which head finds what."""

from __future__ import annotations

from math import exp, log, sqrt, tanh
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from sobench.data.targets import Targets
from sobench.errors import SuiteError
from sobench.models.build import build_detector
from sobench.models.check import check_detector
from sobench.models.detector import Detector, HeadOptions, HeadOutput, Stage
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.methods.efpn.extension import (
    AuthorsTransfer,
    Espcn,
    Extension,
    FeatureTextureTransfer,
    Nearest,
    ResidualBlock,
    SubPixel,
)
from sobench.models.methods.efpn.heads import (
    ExtendedFasterRcnn,
    ExtendedRetinaNet,
    extended_head,
    hard_examples,
)
from sobench.models.methods.efpn.model import Distillation, Efpn
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.roi import Proposals
from sobench.suite import sections
from sobench.suite.sections import Neck, Suite
from tests.models import small_config as planted
from tests.models.small_config import CLASSES
from tests.tiny_suite import tiny_suite

HEADS = ("faster_rcnn", "retinanet")
REGIONS = {"pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16}


def suite_of(*rows: Any, **changes: Any) -> Suite:
    return tiny_suite(methods=list(rows), **({"regions": REGIONS} | changes))


def network(head: str = "faster_rcnn", **changes: Any) -> Efpn:
    """EFPN with switches; ``neck``, ``backbone`` and ``anchors`` are the suite's."""
    of_suite = {k: changes.pop(k) for k in ("neck", "backbone", "anchors") if k in changes}
    suite = suite_of({"name": "efpn", **changes}, head=head, **of_suite)
    found = build_detector(suite, suite.methods[0], 5, 0)
    assert isinstance(found, Efpn)
    return found


def baseline(head: str = "faster_rcnn", seed: int = 7, **of_suite: Any) -> Detector:
    """The plain pyramid, with statistics that are not those of the beginning."""
    suite = suite_of("fpn", head=head, **of_suite)
    found = build_detector(suite, suite.methods[0], 5, seed).train()
    with torch.no_grad():
        found.predict(torch.rand(4, 3, 64, 64) * 255)
    return found


def batch(size: tuple[int, int] = (64, 64), empty: bool = False) -> tuple[Tensor, Targets, Tensor]:
    """Two images of random patches, with the same at twice the size."""
    generator = torch.Generator().manual_seed(3)
    shape = (2, 3, -(-size[0] // 4), -(-size[1] // 4))
    patches = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    images_2x = patches.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    images_2x = images_2x[..., : 2 * size[0], : 2 * size[1]].contiguous()
    rows: list[list[tuple[float, ...]]] = [[(4, 4, 14, 14), (30, 20, 42, 36)], [(8, 40, 20, 50)]]
    found = planted.targets([[], []] if empty else rows, [[], []] if empty else [[0, 1], [2]])
    return images_2x[..., ::2, ::2].contiguous(), found, images_2x


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([*losses.values()]).sum()


def fill(conv: nn.Module, rows: list[list[float]]) -> None:
    """Make a convolution work cell by cell: ``rows[output][input]``, without bias."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = torch.tensor(rows)
        if conv.bias is not None:
            conv.bias.zero_()


def plane(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None, None]


def pass_on(block: nn.Module) -> None:
    """Leave of a residual block its ReLU."""
    assert isinstance(block, ResidualBlock)
    nn.init.zeros_(block.second.weight)
    nn.init.zeros_(block.second.bias)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------- extension


def test_sub_pixels_come_from_four_channels() -> None:
    module = SubPixel(1, 2)
    fill(module.conv, [[float(n)] for n in range(1, 9)])
    found = module(plane([[1.0, 10.0]]), torch.zeros(1, 1, 2, 4))
    assert found[0].tolist() == [
        [[1, 2, 10, 20], [3, 4, 30, 40]],
        [[5, 6, 50, 60], [7, 8, 70, 80]],
    ]
    for y in range(2):
        for x in range(4):
            for c in range(2):
                read = module.conv(plane([[1.0, 10.0]]))[0, 4 * c + 2 * (y % 2) + x % 2]
                assert found[0, c, y, x] == read[y // 2, x // 2]
    cut = module(plane([[1.0, 10.0]]), torch.zeros(1, 1, 1, 3))
    assert cut[0, 0].tolist() == [[1, 2, 10]]


def test_residual_block_by_hand() -> None:
    block = ResidualBlock(1)
    fill(block.first, [[2.0]])
    fill(block.second, [[-3.0]])
    block.second.bias.data.fill_(4)  # type: ignore[union-attr]
    # relu(x - 3 relu(2 x) + 4): at -1 nothing is behind the first ReLU, at 1 only -1 is left.
    assert block(plane([[-1.0, 0.5, 1.0, -5.0]])).tolist() == [[[[3, 1.5, 0, 0]]]]


def test_texture_transfer_by_hand() -> None:
    module = FeatureTextureTransfer(1)
    for block in (module.content[1], module.texture[1], module.texture[2]):
        pass_on(block)
    first = module.content[0]
    assert isinstance(first, ResidualBlock)
    fill(first.first, [[1.0]])
    fill(first.second, [[0.5]])
    fill(module.enlarge.conv, [[1.0], [2.0], [-1.0], [4.0]])
    fill(module.texture[0], [[10.0, 1.0]])
    # E_c makes 3 of 2 and 0 of -3; enlarged that is 3, 6, -3, 12 and four zeros.
    lower = plane([[1.0, -1, 2, -2], [0.5, -0.5, 0, 3]])
    found = module(plane([[2.0, -3.0]]), lower)
    # Eq. 3: relu(10 P + content) + content.
    assert found.tolist() == [[[[13 + 3, 0 + 6, 20, 0], [2 - 3, 7 + 12, 0, 30]]]]


def test_the_authors_transfer_by_hand() -> None:
    module = AuthorsTransfer(1)
    for block in (module.content, module.texture[2], module.texture[3]):
        pass_on(block)
    fill(module.head, [[1.0], [-1.0]])
    fill(module.enlarge.conv, [*[[1.0, 0.0]] * 4, *[[0.0, 1.0]] * 4])
    fill(module.texture[0], [[100.0, 0, 0], [0, 0, 50.0]])
    fill(module.tail[0], [[1.0, 0], [0, 1.0]])
    fill(module.tail[2], [[1.0, 2000.0]])
    # 2 enters as (2, -.2); with its block (2, 0) it is (4, -.2), behind the next leak (4, -.02).
    # Texture: (100 * .5, 50 * -.02) leaks to (50, -.1), and the blocks leave (50, 0).
    # The sum (54, -.02) leaks to (54, -.002), and the tail gives 54 - 4; the map itself is 2.
    found = module(plane([[2.0]]), torch.full((1, 1, 2, 2), 0.5))
    assert torch.allclose(found, torch.full((1, 1, 2, 2), 52.0))


def test_super_resolution_of_the_upper_map_alone() -> None:
    module = Espcn(1)
    first, second = (m for m in module.layers if isinstance(m, nn.Conv2d))
    assert (first.kernel_size, second.kernel_size) == ((5, 5), (3, 3))
    fill(first, [[2.0]] * 64)
    fill(second, [[1 / 64] * 64] * 32)
    fill(module.enlarge.conv, [[n / 32] * 32 for n in (1.0, 2.0, 3.0, 4.0)])
    found = module(plane([[0.25]]), torch.rand(1, 1, 2, 2))
    expected = tanh(tanh(0.5)) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.allclose(found[0, 0], expected)


class Given(nn.Module):
    """A transfer that is given beforehand, and remembers what it was asked."""

    def __init__(self, value: Tensor | None = None) -> None:
        super().__init__()
        self.value = value
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        self.asked.append((upper, lower))
        return torch.zeros_like(lower) if self.value is None else self.value


def test_the_level_by_hand() -> None:
    """Eq. 1, of maps whose sides halve unevenly."""
    settings = Neck.model_construct(channels=1, norm="none")
    transfer = Given(plane([[1.0, 2, 3], [4, 5, 6]]))
    extension = Extension(2, settings, transfer)
    fill(extension.lateral, [[10.0, 100.0]])
    fill(extension.output, [[2.0]])
    finer = torch.zeros(1, 2, 3, 5)
    finer[0, 0, 0], finer[0, 1, 2] = torch.arange(5.0), 1.0
    finest, transferred = extension(plane([[7.0]]), plane([[0.0] * 3] * 2), finer)
    assert transferred is transfer.value
    assert finest[0, 0].tolist() == [
        [2 * (1 + 0), 2 * (1 + 10), 2 * (2 + 20), 2 * (2 + 30), 2 * (3 + 40)],
        [2, 2, 4, 4, 6],
        [2 * 104, 2 * 104, 2 * 105, 2 * 105, 2 * 106],
    ]
    assert [name for name, _ in extension.named_parameters()] == ["lateral.weight", "output.weight"]
    assert isinstance(transfer.asked[0][1], Tensor)
    near = Nearest()(plane([[1.0, 2]]), torch.zeros(1, 1, 2, 3))
    assert near.tolist() == [[[[1, 1, 2], [1, 1, 2]]]]


def test_the_suites_norm_stands_behind_its_convolutions() -> None:
    norms = [m for m in network(neck={"norm": "group"}).extension.modules()
             if isinstance(m, nn.GroupNorm)]  # fmt: skip
    assert len(norms) == 2
    assert network().extension.output.bias is None


@pytest.mark.parametrize("level", [2, 3])
def test_the_finer_map_is_of_the_same_layers(level: int) -> None:
    settings = sections.Backbone(name="resnet18", weights="none", norm="train")
    backbone = build_backbone(settings).eval()
    images = torch.rand(1, 3, 70, 90)
    stem = list(backbone.stem.children())
    calls: list[int] = []
    stem[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        maps, finer = backbone.forward_with_finer(images, level)
        assert len(calls) == 1
        plain = backbone(images)
        expected = backbone.layer1(stem[2](stem[1](stem[0](images))))
        if level == 3:
            expected = backbone.layer2(expected)
    assert torch.equal(finer, expected)
    assert finer.shape[-2:] == {2: (35, 45), 3: (18, 23)}[level]
    assert all(torch.equal(a, b) for a, b in zip(maps, plain, strict=True))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [(64, 64), (240, 104), (70, 90)])
def test_what_is_compared_has_one_shape(head: str, size: tuple[int, int]) -> None:
    detector = network(head).eval()
    images, _targets, images_2x = batch(size)
    with torch.no_grad():
        features, finer, inner = detector.read(images)
        finest, transferred = detector.extended(inner, finer)
        pyramid = detector.neck.levels(inner, features[-1])
        finest_target, transferred_target = detector.teacher_features(images_2x)
    assert finest.shape == finest_target.shape
    assert transferred.shape == transferred_target.shape == pyramid[0].shape
    stride = {"faster_rcnn": 4, "retinanet": 8}[head]
    assert pyramid[0].shape[-2:] == tuple(-(-side // stride) for side in size)
    assert finest.shape[-2:] == tuple(-(-side * 2 // stride) for side in size)


@pytest.mark.parametrize("head", HEADS)
def test_targets_are_those_of_the_baseline(head: str) -> None:
    detector, plain = network(head), baseline(head)
    detector.load_required("baseline", plain)
    plain.eval()
    _, _targets, images_2x = batch()
    with torch.no_grad():
        finest, transferred = detector.train().teacher_features(images_2x)
        pyramid = plain.pyramid(images_2x)
        features = plain.backbone((images_2x - plain.mean) / plain.std)
        sums = plain.neck.fused(features)  # type: ignore[operator]
        second = plain.neck.output[1](sums[1])  # type: ignore[index, operator]
    assert torch.equal(finest, pyramid[0])
    assert torch.equal(transferred, sums[1])
    assert torch.equal(second, pyramid[1])


@pytest.mark.parametrize("place", ["inner", "out"])
def test_what_the_transfer_reads(place: str) -> None:
    detector = network(ftt_in=place).eval()
    given = detector.extension.transfer = Given()
    images, targets, images_2x = batch()
    with torch.no_grad():
        _, *pyramid = detector.pyramid(images)
        detector.distilled(images, targets, images_2x, Distillation(1.0, transfer=False))
        features = detector.backbone((images - detector.mean) / detector.std)
        expected = detector.neck.fused(features) if place == "inner" else pyramid
    assert len(given.asked) == 2  # in detection, and in distillation
    for upper, lower in given.asked:
        assert torch.equal(upper, expected[1])
        assert torch.equal(lower, expected[0])


# -------------------------------------------------------------------------------- distillation


@pytest.mark.parametrize(
    ("switches", "weight", "names"),
    [
        ({}, 1.0, ["distill", "distill_transfer"]),
        ({"lambda_pos": 1.5}, 1.5, ["distill", "distill_transfer"]),
        ({"balanced": False}, 0.0, ["distill", "distill_transfer"]),
        ({"distill_ftt": False}, 1.0, ["distill"]),
        ({"ftt": "nearest"}, 1.0, ["distill"]),
    ],
)
@pytest.mark.parametrize(("head", "scale"), [("faster_rcnn", 1), ("retinanet", 2)])
def test_distillation_by_hand(
    monkeypatch: pytest.MonkeyPatch,
    switches: dict[str, Any],
    weight: float,
    names: list[str],
    head: str,
    scale: int,
) -> None:
    """Boxes come to the cells of either map by its stride in the image of once the size."""
    detector = network(head, **switches)
    fine, coarse = torch.zeros(1, 2, 8, 10), torch.zeros(1, 2, 4, 5)
    finest_target, transferred_target = fine.clone(), coarse.clone()
    # 3 x 2 cells of the finer map lie about the box, and 2 x 1 of the other.
    finest_target[0, 0, 2:4, 1:4] = 1.0
    finest_target[0, 1, 7, 9] = -5.0
    transferred_target[0, :, 1:2, 0:2] = 3.0
    monkeypatch.setattr(detector, "read", lambda _: ([], fine, []))
    monkeypatch.setattr(detector, "extended", lambda *_: (fine, coarse))
    monkeypatch.setattr(detector, "teacher_features", lambda _: (finest_target, transferred_target))
    box = tuple(scale * side for side in (3.0, 5.0, 7.5, 8.0))
    detector.start_stage(detector.stages[0])
    losses = detector(torch.zeros(1, 3, 16, 20), planted.targets([[box]], [[0]]))
    assert list(losses) == names
    assert losses["distill"].item() == pytest.approx((6 + 5) / 160 + weight * 6 / (6 * 2))
    if "distill_transfer" in names:
        assert losses["distill_transfer"].item() == pytest.approx(12 / 40 + weight * 3)


def test_images_at_twice_the_size_are_missed() -> None:
    detector = network()
    detector.start_stage(detector.stages[0])
    images, targets, _images_2x = batch()
    with pytest.raises(ValueError, match="twice the size"):
        detector(images, targets)


# -------------------------------------------------------------------------------------- stages


def learn(detector: Efpn, stage: Stage) -> tuple[set[str], set[str]]:
    """Names of what asks for gradients and of what has moved, by a step of AdamW with decay."""
    detector.start_stage(stage)
    before = {name: x.clone() for name, x in detector.state_dict().items()}
    weights = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1)
    images, targets, images_2x = batch()
    torch.manual_seed(0)
    total(detector.train()(images, targets, images_2x)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    asking = {name for name, p in detector.named_parameters() if p.requires_grad}
    for name, parameter in detector.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == (name in asking), name
    after = detector.state_dict()
    return asking, {name for name, x in before.items() if not torch.equal(x, after[name])}


def of(detector: Efpn, *parts: str) -> set[str]:
    return {name for name, _ in detector.named_parameters() if name.startswith(parts)}


FORMS: list[dict[str, Any]] = [
    {},
    {"preset": "author"},
    {"ftt": "espcn"},
    {"ftt": "nearest"},
    {"ftt_in": "out", "neck": {"norm": "group"}},
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)) or "plain")
def test_only_the_extension_learns_at_first(head: str, form: dict[str, Any]) -> None:
    detector = network(head, **form)
    detector.load_required("baseline", baseline(head, neck=form.get("neck", {})))
    assert [(s.name, s.share, s.images_2x) for s in detector.stages] == [
        ("extension", 1.0, True), ("head", 0.5, False),
    ]  # fmt: skip
    asking, moved = learn(detector, detector.stages[0])
    assert asking == moved == of(detector, "extension.")


@pytest.mark.parametrize("head", HEADS)
def test_then_the_head_learns_with_it(head: str) -> None:
    detector = network(head)
    detector.load_required("baseline", baseline(head))
    learn(detector, detector.stages[0])
    detector.zero_grad()
    asking, moved = learn(detector, detector.stages[1])
    assert asking == moved == of(detector, "extension.", "head.small.")
    assert any(name.startswith("backbone.") for name in detector.state_dict())


@pytest.mark.parametrize("head", HEADS)
def test_without_distillation_both_learn_from_the_start(head: str) -> None:
    detector = network(head, distill=False)
    assert [stage.images_2x for stage in detector.stages] == [False, False]
    asking, moved = learn(detector, detector.stages[0])
    assert asking == moved == of(detector, "extension.", "head.small.")


def test_what_is_shared_is_not_in_training() -> None:
    detector = network()
    detector.train()
    for part in (detector.backbone, detector.neck, detector.head.original):
        assert not any(module.training for module in part.modules())
    assert detector.extension.training
    assert detector.head.small.training
    assert not any(module.training for module in detector.eval().modules())


@pytest.mark.parametrize("head", HEADS)
def test_it_starts_from_the_baseline(head: str) -> None:
    detector, plain = network(head), baseline(head)
    extension = {k: x.clone() for k, x in detector.extension.state_dict().items()}
    detector.load_required("baseline", plain)
    original = detector.head.original.state_dict()
    for part, name in (
        (detector.backbone, "backbone"), (detector.neck, "neck"), (detector.head.original, "head"),
    ):  # fmt: skip
        expected = plain.get_submodule(name).state_dict()
        assert part.state_dict().keys() == expected.keys()
        assert all(torch.equal(x, expected[key]) for key, x in part.state_dict().items())
    prefix = "classifier." if head == "faster_rcnn" else ""
    small = detector.head.small.state_dict()
    assert small
    assert all(torch.equal(x, original[prefix + key]) for key, x in small.items())
    assert all(torch.equal(x, extension[k]) for k, x in detector.extension.state_dict().items())
    # What the new head learns must not reach the one that it began as.
    next(detector.head.small.parameters()).data.add_(1)
    assert all(torch.equal(x, plain.head.state_dict()[key])  # type: ignore[attr-defined]
               for key, x in detector.head.original.state_dict().items())  # fmt: skip


def test_as_it_is_built_it_is_the_baseline_of_its_seed() -> None:
    detector, suite = network(), suite_of("fpn", head="faster_rcnn")
    plain = build_detector(suite, suite.methods[0], 5, 0)
    for part, name in zip(detector.shared, ("backbone", "neck", "head"), strict=True):
        expected = plain.get_submodule(name).state_dict()
        assert all(torch.equal(x, expected[key]) for key, x in part.state_dict().items())


def test_other_origins() -> None:
    detector, other = network(), network()
    other.extension.lateral.weight.data.fill_(3)  # type: ignore[operator]
    detector.load_required("init_from", other)
    assert all(torch.equal(x, other.state_dict()[k]) for k, x in detector.state_dict().items())
    with pytest.raises(ValueError, match="no use for a teacher"):
        detector.load_required("teacher", baseline())


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_state_goes_on_as_it_was(head: str) -> None:
    one, other = network(head), network(head)
    one.load_required("baseline", baseline(head))
    learn(one, one.stages[0])
    other.load_required("baseline", baseline(head))
    other.load_state_dict(one.state_dict())
    images, targets, images_2x = batch()
    values = []
    for detector in (one, other):
        detector.start_stage(detector.stages[1])
        torch.manual_seed(1)
        with torch.no_grad():
            values.append(total(detector.train()(images, targets, images_2x)).item())
    assert values[0] == values[1]
    found = [detector.eval()(images) for detector in (one, other)]
    assert torch.equal(found[0].boxes, found[1].boxes)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("empty", [True, False])
def test_every_batch_trains(head: str, precision: str, empty: bool) -> None:
    detector = network(head, backbone={"norm": "train"}, neck={"norm": "group"})
    images, targets, images_2x = batch(empty=empty)
    for stage in detector.stages:
        detector.start_stage(stage)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses = detector.train()(images, targets, images_2x)
        assert {x.dtype for x in losses.values()} == {torch.float32}
        total(losses).backward()  # type: ignore[no-untyped-call]
        for parameter in detector.parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all()
        assert all(value.isfinite() for value in losses.values())
        if empty and stage.name == "head":
            assert losses["box"].item() == 0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            assert detector.eval()(images).boxes.isfinite().all()


@pytest.mark.parametrize("head", HEADS)
def test_shapes_alone_go_through_it(head: str) -> None:
    suite = suite_of("efpn", head=head)
    check_detector(suite, suite.methods[0])


@pytest.mark.parametrize(
    ("row", "backbone", "problem"),
    [
        ({}, {"name": "vgg16"}, r"write `backbone: \{name: resnet50\}` or leave efpn out"),
        ({"ftt": "nearest", "distill_ftt": False}, {}, "no effect with ftt: nearest"),
    ],
)
def test_what_cannot_be_built(row: dict[str, Any], backbone: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=problem), torch.device("meta"):
        network(backbone=backbone, **row)


@pytest.mark.parametrize(
    "row",
    [
        {"ftt": "espcn", "preset": "author"},
        {"distill": False, "balanced": False},
        {"balanced": False, "lambda_pos": 0.5},
        {"distill": False, "distill_ftt": False},
    ],
)
def test_switches_without_effect_are_refused(row: dict[str, Any]) -> None:
    with pytest.raises(SuiteError, match="has no effect with"):
        suite_of({"name": "efpn"} | row)


# -------------------------------------------------------------------------- small regions


class Constant(nn.Module):
    """A region head that sees nothing, so that biases alone decide."""

    resolution, outputs = 7, 4

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled.new_zeros(len(pooled), self.outputs)


SIZE = (128, 192)


def blind(small_below: int = 56, duplicate: bool = False, **changes: Any) -> ExtendedFasterRcnn:
    """One original level of stride 16 whose head sees only class 1; the small one only class 2."""
    content: dict[str, Any] = {
        "head": "faster_rcnn",
        "size": SIZE,
        "anchors": sections.Anchors(scale=2, octaves=1, ratios=(1,)),
        "regions": sections.Regions(
            pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16
        ),
    }
    config = planted.make_config(**(content | changes))
    original = build_head(config, (16,), HeadOptions(box_head=Constant()))
    found = extended_head(original, small_below, duplicate)
    assert isinstance(found, ExtendedFasterRcnn)
    for classifier, wanted in ((found.original.classifier, 1), (found.small, 2)):
        values = [4.0 if n == wanted + 1 else 0.0 for n in range(CLASSES + 1)]
        classifier.class_logits.bias.data.copy_(torch.tensor(values))
    return found


def propose(
    monkeypatch: pytest.MonkeyPatch, head: ExtendedFasterRcnn, rows: list[list[float]]
) -> HeadOutput:
    """Let the first stage propose just these, the last row being padding."""
    boxes = torch.tensor([rows])
    real = torch.tensor([[True] * (len(rows) - 1) + [False]])
    monkeypatch.setattr(head.original, "proposals", lambda _: Proposals(boxes, real))
    return {"pyramid": [torch.zeros(1, 8, 8, 12)], "finest": [torch.zeros(1, 8, 16, 24)]}


LARGE = [60.0, 60, 116, 116]  # 56 x 56
FLAT = [0.0, 0, 112, 28]  # has the same area
SMALL = [120.0, 4, 175, 59]  # 55 x 55
PADDING = [0.0, 0, 8, 8]


@pytest.mark.parametrize(
    ("small_below", "duplicate", "expected"),
    [
        (56, False, {(60, 1), (0, 1), (120, 2)}),
        (112, False, {(60, 2), (0, 2), (120, 2)}),
        (28, False, {(60, 1), (0, 1), (120, 1)}),
        (56, True, {(60, 1), (0, 1), (120, 1), (120, 2)}),
    ],
)
def test_which_head_sees_which_region(
    monkeypatch: pytest.MonkeyPatch,
    small_below: int,
    duplicate: bool,
    expected: set[tuple[int, int]],
) -> None:
    settings = sections.Detect(score_threshold=0.5)
    head = blind(small_below, duplicate, detect=settings)
    output = propose(monkeypatch, head, [LARGE, FLAT, SMALL, PADDING])
    found = head.detect(output)
    pairs = zip(found.boxes[0, :, 0].tolist(), found.labels[0].tolist(), strict=True)
    assert {(round(x), label) for x, label in pairs} == expected
    score = exp(4) / (exp(4) + CLASSES)
    assert found.scores[0].tolist() == pytest.approx([score] * len(expected))


def test_small_regions_are_pooled_from_the_finest_level() -> None:
    torch.manual_seed(0)
    config = planted.make_config(head="faster_rcnn", size=SIZE)
    original = build_head(config, (4, 8, 16, 32, 64))
    head = extended_head(original, 56, False)
    assert isinstance(head, ExtendedFasterRcnn)
    sizes = [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    pyramid = [torch.randn(2, 8, *size) for size in sizes]
    output = head(pyramid)
    assert [x.shape[-2:] for x in output["objectness"]] == sizes[1:]  # no proposals from it
    boxes = torch.tensor([[SMALL, LARGE], [PADDING, SMALL]])
    chosen = torch.tensor([[True, False], [True, True]])
    logits, offsets = head.forward_rois(output, boxes, chosen)
    rois = torch.tensor([[0.0, *SMALL], [1, *PADDING], [1, *SMALL]])
    pooled = roi_align(pyramid[0], rois, 7, 0.5, sampling_ratio=2, aligned=True)
    expected = head.small(pooled)
    assert torch.equal(logits, expected[0])
    assert torch.equal(offsets, expected[1])
    assert head.small is not head.original.classifier


def test_the_hardest_are_kept() -> None:
    chosen = torch.tensor([[True] * 6, [True, False, True, True, False, True]])
    # Two of each image, one of them an object at most, and that by the sum of both losses.
    class_loss = torch.tensor([1.0, 3.0, 5.0, 4.0, 6.0, 0.0, 9.0, 2.0, 1.0, 3.0])
    box_loss = torch.tensor([9.0, 3.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0])
    positive = torch.tensor([True, True] + [False] * 3 + [True] + [False] * 4)
    kept = hard_examples(class_loss, box_loss, positive, chosen, 2)
    assert kept.nonzero().flatten().tolist() == [0, 4, 6, 9]
    # With eight, two objects: 10 and 8 against 6.
    kept = hard_examples(class_loss, box_loss, positive, chosen, 8)
    assert kept.nonzero().flatten().tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    none = hard_examples(class_loss[:0], box_loss[:0], positive[:0], chosen & False, 8)
    assert none.shape == (0,)


def test_the_loss_is_of_small_hard_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    head = blind()
    background = [[0.0, 60, 30, 90], [1.0, 60, 31, 90], [0.0, 61, 30, 91]]
    output = propose(monkeypatch, head, [SMALL, LARGE, *background, PADDING])
    head.small.box_offsets.bias.data.copy_(torch.tensor([9.0] * 4 + [-0.5, 0, 0, 0] + [9.0] * 4))
    # The large object is no region. Of the small one, its proposal and the three of background two
    # are kept, a quarter of eight: the proposal, whose box is worse by 5 px, and one of background.
    nearly = (SMALL[0] + 5, SMALL[1], SMALL[2] + 5, SMALL[3])
    targets = planted.targets([[nearly, tuple(LARGE)]], [[1, 0]])
    losses = head.loss(output, targets)
    assert losses["class"].item() == pytest.approx(log(CLASSES + exp(4)))
    assert losses["box"].item() == pytest.approx((5 / 55 / 0.1 + 0.5) / 2)
    losses["box"].backward()  # type: ignore[no-untyped-call]
    grad = head.small.box_offsets.bias.grad
    assert grad is not None
    assert grad.tolist() == [0] * 4 + [-0.5, 0, 0, 0] + [0] * 4
    assert all(p.grad is None for p in head.original.parameters())


def test_what_is_counted_is_a_head_for_every_region() -> None:
    config = planted.make_config(
        head="faster_rcnn",
        regions=sections.Regions(
            pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16
        ),
    )
    pyramid = [torch.zeros(1, 8, 32, 48), torch.zeros(1, 8, 16, 24), torch.zeros(1, 8, 8, 12)]
    for duplicate, parts in ((False, 2), (True, 4)):
        head = extended_head(build_head(config, (4, 8)), 56, duplicate)
        work = head.flops_outputs(head(pyramid))
        assert [len(x) for x in work[4:]] == [20] * parts


# -------------------------------------------------------------------------- small anchors


def retinanet(duplicate: bool = False) -> ExtendedRetinaNet:
    """Square anchors of 12 px on stride 8, and of 6 px on stride 4."""
    anchors = sections.Anchors(scale=1.5, octaves=1, ratios=(1,))
    original = build_head(planted.make_config(anchors=anchors), (8,))
    found = extended_head(original, 56, duplicate)
    assert isinstance(found, ExtendedRetinaNet)
    assert found.small.strides == (4,)
    assert found.small.anchor_spec.sides == ((6.0,),)
    return found


def quiet(low: float = -12.0) -> HeadOutput:
    """Background everywhere, of 64 x 96 pixels."""
    sizes = ((16, 24), (8, 12))
    return {
        "logits": [torch.full((1, CLASSES, *s), low).requires_grad_() for s in sizes],
        "offsets": [torch.zeros(1, 4, *s).requires_grad_() for s in sizes],
    }


def test_the_border_lies_between_the_levels() -> None:
    assert retinanet().border == pytest.approx(12 / sqrt(2))
    octaves = sections.Anchors(scale=4, octaves=3)
    head = extended_head(build_head(planted.make_config(anchors=octaves), (8, 16)), 56, False)
    assert isinstance(head, ExtendedRetinaNet)
    assert head.border == pytest.approx(32 / 2 ** (1 / 6))


@pytest.mark.parametrize("duplicate", [True, False])
def test_boxes_come_from_the_level_of_their_side(duplicate: bool) -> None:
    head, output = retinanet(duplicate), quiet()
    planted_boxes = [  # level, row, column, class, growth: side and place follow
        (0, 4, 4, 0, 0.0),  # 6 at 16
        (0, 10, 10, 0, log(2)),  # 12 at 40
        (1, 6, 9, 1, 0.0),  # 12 at 72
        (1, 1, 9, 1, -log(2)),  # 6 at 72
    ]
    with torch.no_grad():
        for level, row, column, label, growth in planted_boxes:
            output["logits"][level][0, label, row, column] = 3.0
            output["offsets"][level][0, 2:, row, column] = growth
        found = head.detect(output)
    sides = found.boxes[0, :, 2] - found.boxes[0, :, 0]
    triples = {
        (round(side), round(x + side / 2), label)
        for side, x, label in zip(
            sides.tolist(), found.boxes[0, :, 0].tolist(), found.labels[0].tolist(), strict=True
        )
    }
    expected = {(6, 16, 0), (12, 72, 1)}
    assert triples == expected | ({(12, 40, 0), (6, 72, 1)} if duplicate else set())


def test_large_objects_are_background_to_tiny_anchors() -> None:
    head, output = retinanet(), quiet(low=0.0)
    # 12 px about (48, 32): the original's anchor there. And 6 px about (16, 16).
    both: list[list[tuple[float, ...]]] = [[(42, 26, 54, 38), (13, 13, 19, 19)]]
    losses = head.loss(output, planted.targets(both, [[1, 2]]))
    background = 0.75 * 0.25 * log(2)
    # Of 16 x 24 anchors of 6 px with three classes each, one is an object, and its neighbours,
    # a third of whose area is not half of it, are background.
    expected = (16 * 24 * 3 - 1) * background + background / 3
    assert losses["class"].item() == pytest.approx(expected, rel=1e-5)
    assert losses["box"].item() == 0
    total(losses).backward()  # type: ignore[no-untyped-call]
    fine, coarse = (x.grad for x in output["logits"])
    assert coarse is None
    assert fine is not None
    assert (fine < 0).nonzero().tolist() == [[0, 2, 4, 4]]
    # Alone, the tiny anchors would have been forced to take the large object.
    alone = head.small.loss({k: v[:1] for k, v in output.items()}, planted.targets(both, [[1, 2]]))
    assert alone["box"].item() > 0


def test_the_box_loss_is_over_its_own_objects() -> None:
    head, output = retinanet(), quiet()
    rows: list[list[tuple[float, ...]]] = [
        [(13, 13, 19, 19), (61, 45, 67, 51), (42, 26, 54, 38), (18, 34, 30, 46)]
    ]
    with torch.no_grad():
        output["offsets"][0][0, 0, 4, 4] = 0.5
        output["offsets"][1][...] = 7.0
    losses = head.loss(output, planted.targets(rows, [[0, 0, 0, 0]]))
    assert losses["box"].item() == pytest.approx(0.5 / 2)
    nothing = head.loss(output, planted.targets([[(42, 26, 54, 38)]], [[0]]))
    assert nothing["box"].item() == 0


def test_predictions_of_all_levels_stand_in_order() -> None:
    head = retinanet()
    pyramid = [torch.randn(1, 8, 16, 24), torch.randn(1, 8, 8, 12)]
    output = head(pyramid)
    assert [x.shape[-2:] for x in output["logits"]] == [(16, 24), (8, 12)]
    assert torch.equal(output["logits"][0], head.small(pyramid[:1])["logits"][0])
    assert torch.equal(output["offsets"][1], head.original(pyramid[1:])["offsets"][0])
    assert isinstance(head.original, RetinaNetHead)
    assert len(head.flops_outputs(output)) == 4


# ------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize("head", HEADS)
def test_both_stages_bring_their_losses_down(head: str) -> None:
    anchors = {"scale": 2} if head == "retinanet" else {"scale": 2, "octaves": 1}
    detector = network(head, neck={"channels": 16, "norm": "group"}, anchors=anchors)
    images, targets, images_2x = batch()
    for stage, fall in zip(detector.stages, (0.85, 0.6), strict=True):
        detector.start_stage(stage)
        weights = [p for p in detector.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.004)
        values = []
        torch.manual_seed(0)
        for _ in range(12):
            optimizer.zero_grad()
            loss = total(detector.train()(images, targets, images_2x))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            values.append(loss.item())
        assert np.mean(values[-3:]) < fall * np.mean(values[:3]), stage.name


def test_the_heads_of_a_suite_can_all_be_extended() -> None:
    for name, kind in (("faster_rcnn", FasterRCNNHead), ("retinanet", RetinaNetHead)):
        assert isinstance(network(name).head.original, kind)
