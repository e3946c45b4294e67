"""Necks on tiny maps whose results were worked out by hand."""

from __future__ import annotations

from math import exp
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sobench.errors import SuiteError
from sobench.models.build import build_detector
from sobench.models.methods.libra.model import BalancedPyramid, NonLocal
from sobench.models.methods.nas_fpn.model import (
    Cell,
    GlobalPooling,
    Merge,
    SearchedPyramid,
    resized,
)
from sobench.models.methods.pafpn.model import PathAggregation
from sobench.models.methods.ta_fpn import model as ta_fpn
from sobench.models.methods.ta_fpn.model import (
    DetailEnhancement,
    TwoLayerAttention,
    TwoLayerAttentionPyramid,
)
from sobench.models.parts.pyramid import FeaturePyramid, Levels
from sobench.suite import sections
from tests.tiny_suite import tiny_run

RETINANET = Levels(3, 7, "convolution")
FASTER_RCNN = Levels(2, 6, "subsample")
ONE_CHANNEL = sections.Neck.model_construct(channels=1, norm="none")


class FourMaps(nn.Module):
    """Stands for a backbone of one channel a map."""

    channels = (1, 1, 1, 1)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def row(*values: float) -> Tensor:
    """A map of one channel and one row."""
    return torch.tensor(values, dtype=torch.float32)[None, None, None]


def plane(*rows: list[float]) -> Tensor:
    """A map of one channel."""
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def centre(conv: nn.Module, weight: float, bias: float = 0.0) -> None:
    """Let a convolution multiply every cell by ``weight``, whatever lies around it."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = weight
        if conv.bias is not None:
            conv.bias.fill_(bias)


def shift(norm: nn.Module, bias: float) -> None:
    """Let a norm add something, so that its place is seen."""
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.constant_(norm.bias, bias)


def pass_on(module: nn.Module) -> None:
    """Let every convolution pass its input on, and every norm leave it alone."""
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            centre(part, 1.0)
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0


# ---------------------------------------------------------------------------------------- PAFPN


def test_the_bottom_up_path_by_hand() -> None:
    neck = PathAggregation(FourMaps(), ONE_CHANNEL, FASTER_RCNN, "none")  # type: ignore[arg-type]
    pass_on(neck)
    # Without a top-down sum the pyramid's outputs are C2..C5.
    neck.pyramid.fuse = False
    centre(neck.down[0], 2.0)
    centre(neck.output[0], 10.0)
    features = [row(1, 2, 3, 4, 5, 6, 7, 8), row(10, 20, 30, 40), row(100, 200), row(-1000)]
    p2, p3, p4, p5, p6 = (x.flatten().tolist() for x in neck(features))
    assert p2 == [1, 2, 3, 4, 5, 6, 7, 8]
    # Every second cell of N2, times 2, on C3: 12, 26, 40, 54; the last convolution times 10.
    assert p3 == [120, 260, 400, 540]
    # The path goes on from 12, 26, 40, 54, not from what the last convolution made of them.
    assert p4 == [112, 240]
    assert p5 == [-888]
    assert p6 == [-888]


def test_relu_where_the_paper_has_it() -> None:
    neck = PathAggregation(FourMaps(), ONE_CHANNEL, FASTER_RCNN, "relu")  # type: ignore[arg-type]
    pass_on(neck)
    neck.pyramid.fuse = False
    features = [row(-3, 2, -1, 4), row(5, -9), row(-50), row(-7)]
    p2, p3, p4, p5, _ = (x.flatten().tolist() for x in neck(features))
    assert p2 == [-3, 2, -1, 4]
    assert p3 == [5, 0]  # relu(-3) + 5, relu(-1) - 9, and relu behind the output
    assert p4 == [0]  # -50 + 5
    assert p5 == [0]


def test_extra_levels_of_retinanet_still_come_from_c5() -> None:
    neck = PathAggregation(FourMaps(), ONE_CHANNEL, RETINANET, "none")  # type: ignore[arg-type]
    pass_on(neck)
    levels = neck([row(0), row(1, 1, 1, 1), row(1, 1), row(9)])
    assert [x.flatten().tolist() for x in levels[3:]] == [[9], [9]]
    assert len(neck.down) == len(neck.output) == 2


# -------------------------------------------------------------------------------------- NAS-FPN


def test_resizing_upwards_repeats_and_downwards_takes_the_greatest() -> None:
    x = plane([1, 2, 3, 4], [5, 6, 7, 8])
    assert resized(x, torch.zeros(1, 1, 1, 2)).tolist() == [[[[6, 8]]]]
    assert resized(x[..., :1, :2], torch.zeros(1, 1, 2, 4)).tolist() == [
        [[[1, 1, 2, 2], [1, 1, 2, 2]]]
    ]
    assert resized(x, torch.zeros(1, 1, 2, 4)) is x


@pytest.mark.parametrize(("pool", "pooled"), [("mean", -0.5), ("max", 1.0)])
def test_global_pooling_by_hand(pool: str, pooled: float) -> None:
    merge = GlobalPooling(1, "batch", pool, convolves=False)
    x, y = row(10, 20), row(-2, 1)
    found = merge(x, y, like=y).flatten().tolist()
    weight = sigmoid(pooled)
    assert found == pytest.approx([-2 + 10 * weight, 1 + 20 * weight])


def test_global_pooling_of_nothing_is_the_second_input() -> None:
    merge = GlobalPooling(3, "batch", "mean", convolves=False)
    y = torch.randn(2, 3, 4, 4)
    assert torch.equal(merge(torch.zeros_like(y), y, like=y), y)


def test_a_merge_convolves_behind_its_relu() -> None:
    merge = Merge(1, "batch")
    pass_on(merge)
    assert merge(row(1, -5), row(2, 3), like=row(0, 0)).flatten().tolist() == [3, 0]


def test_the_cells_wiring_by_hand() -> None:
    """Levels of one cell each: no resizing, so that only the graph counts."""
    cell = Cell(1, "batch", "mean")
    pass_on(cell)
    p3, p4, p5, p6, p7 = 1.0, 2.0, 3.0, 4.0, 5.0

    def attend(x: float, y: float) -> float:
        return y + sigmoid(y) * x

    first = attend(p6, p4)
    inner = first + p4
    out3 = inner + p3
    out4 = out3 + inner
    out5 = p5 + attend(out4, out3)
    out7 = p7 + attend(out5, inner)
    out6 = attend(out7, out5)
    found = [x.item() for x in cell([row(p) for p in (p3, p4, p5, p6, p7)])]
    assert found == pytest.approx([out3, out4, out5, out6, out7])


def test_every_output_reaches_as_far_as_the_graph_says() -> None:
    """Which inputs an output depends on, for maps of real sizes."""
    torch.manual_seed(0)
    cell = Cell(8, "batch", "mean").eval()
    maps = [torch.randn(1, 8, side, side, requires_grad=True) for side in (16, 8, 4, 2, 1)]
    outputs = cell(maps)
    assert [x.shape for x in outputs] == [x.shape for x in maps]
    # P3 and P4 are made before P5 and P7 are looked at; P6 alone reads all.
    reads = [{3, 4, 6}, {3, 4, 6}, {3, 4, 5, 6}, {3, 4, 5, 6, 7}, {3, 4, 5, 6, 7}]
    for index, expected in zip((0, 1, 2, 3, 4), (*reads[:3], reads[3], reads[4]), strict=True):
        grads = torch.autograd.grad(
            outputs[index].sum(), maps, retain_graph=True, allow_unused=True
        )
        found = {i + 3 for i, g in enumerate(grads) if g is not None and g.abs().sum() > 0}
        assert found == expected


@pytest.mark.parametrize(("levels", "sides"), [(RETINANET, (18, 9, 5, 3, 2)),
                                               (FASTER_RCNN, (36, 18, 9, 5, 3))])  # fmt: skip
def test_maps_that_do_not_halve_keep_their_sizes(levels: Levels, sides: tuple[int, ...]) -> None:
    settings = sections.Neck(channels=8)
    neck = SearchedPyramid(FourMaps(), settings, levels, 2, "mean")  # type: ignore[arg-type]
    features = [torch.randn(2, 1, side, side) for side in (36, 18, 9, 5)]
    assert [x.shape[-1] for x in neck(features)] == list(sides)


def test_group_norm_takes_the_place_of_batch_norm() -> None:
    settings = sections.Neck(channels=16, norm="group")
    neck = SearchedPyramid(FourMaps(), settings, RETINANET, 7, "mean")  # type: ignore[arg-type]
    assert not [m for m in neck.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len([m for m in neck.modules() if isinstance(m, nn.GroupNorm)]) == 3 + 2 + 7 * 7


def test_separate_norms_need_towers() -> None:
    run = tiny_run(neck={"tower_convs": 0}, methods=[{"name": "nas_fpn", "separate_bn": True}])
    with pytest.raises(SuiteError, match=r"separate_bn: true concerns .* neck.tower_convs: 0"):
        build_detector(run.suite, run.entry, 2, 0)


# ---------------------------------------------------------------------------------------- Libra


def balanced(refine: str = "none", meeting: int = 1, zero_init: bool = False) -> BalancedPyramid:
    pyramid = FeaturePyramid(FourMaps(), ONE_CHANNEL, RETINANET)  # type: ignore[arg-type]
    return BalancedPyramid(pyramid, ONE_CHANNEL, refine, zero_init, meeting)


def test_levels_meet_and_part_by_hand() -> None:
    levels = [row(1, 5, 2, 6), row(10, 20), row(100)]
    found = [x.flatten().tolist() for x in balanced().balanced(levels)]
    # At the size of the second: greatest of 1, 5 and of 2, 6; itself; 100 twice.
    left, right = (5 + 10 + 100) / 3, (6 + 20 + 100) / 3
    assert found[0] == pytest.approx([1 + left, 5 + left, 2 + right, 6 + right])
    assert found[1] == pytest.approx([10 + left, 20 + right])
    assert found[2] == pytest.approx([100 + right])


def test_a_convolution_refines_behind_its_relu() -> None:
    neck = balanced("conv")
    centre(neck.refine[0], -1.0)  # type: ignore[index]
    levels = [row(1, 5, 2, 6), row(10, -200), row(100)]
    found = [x.flatten().tolist() for x in neck.balanced(levels)]
    assert found[1] == pytest.approx([10, -200 + (-1) * (6 - 200 + 100) / 3])


def test_non_local_attention_by_hand() -> None:
    block = NonLocal(1)
    for conv, weight in ((block.theta, 1.0), (block.phi, 2.0), (block.g, 3.0), (block.output, 5.0)):
        centre(conv, weight)
    a, b = 0.5, -1.0
    found = block(row(a, b)).flatten().tolist()
    # exp(theta(x_i) phi(x_j)) over its sum over j, times g(x_j).
    expected = []
    for x in (a, b):
        to_a, to_b = exp(x * 2 * a), exp(x * 2 * b)
        expected.append(x + 5 * (to_a * 3 * a + to_b * 3 * b) / (to_a + to_b))
    assert found == pytest.approx(expected, rel=1e-5)


def test_zero_init_starts_as_the_identity() -> None:
    x = torch.randn(1, 1, 3, 4)
    assert torch.equal(balanced("non_local", zero_init=True).refine(x), x)
    torch.manual_seed(0)
    assert not torch.equal(balanced("non_local").refine(x), x)


# --------------------------------------------------------------------------------------- TA-FPN


def test_two_layer_attention_by_hand() -> None:
    """Eq. 1 to 5 on one upper cell and its two lower ones."""
    module = TwoLayerAttention(1, "none", (1, 3, 5), 1)
    pass_on(module)
    for branch, weight in zip(module.branches, (1.0, 2.0, -5.0), strict=True):
        centre(branch, weight, bias=0.5)
    centre(module.get_submodule("residual_attention.0.0"), 2.0)
    centre(module.get_submodule("residual_attention.2.0"), 3.0)
    centre(module.get_submodule("local_attention.0.0"), 0.5)
    centre(module.get_submodule("local_attention.2.0"), -1.0)
    found = module(plane([2.0]), plane([0.25, -4.0])).flatten().tolist()
    semantic = 2.0 * (1 + 2 - 5) + 3 * 0.5  # Eq. 1: -2.5
    residual = 3.0 * max(0.0, 2.0 * semantic)  # Eq. 2: 0, the ReLU closes
    enhanced = sigmoid(semantic + residual) * semantic  # Eq. 3
    expected = []
    for lower in (0.25, -4.0):
        fused = lower + enhanced
        local = -1.0 * max(0.0, 0.5 * fused)  # Eq. 4
        expected.append(sigmoid(local) * fused)  # Eq. 5
    assert found == pytest.approx(expected, rel=1e-5)


def test_attention_with_an_open_relu_by_hand() -> None:
    module = TwoLayerAttention(1, "none", (1, 3, 5), 1)
    pass_on(module)
    for branch, weight in zip(module.branches, (0.25, 0.5, 0.75), strict=True):
        centre(branch, weight)
    centre(module.get_submodule("residual_attention.2.0"), -3.0)
    shift(module.get_submodule("residual_attention.0.1"), 0.3)
    shift(module.get_submodule("residual_attention.2.1"), -0.2)
    shift(module.get_submodule("local_attention.0.1"), -1.5)
    shift(module.get_submodule("local_attention.2.1"), 0.1)
    found = module(plane([0.5]), plane([1.0, 2.0])).flatten().tolist()
    semantic = 0.5 * 1.5
    residual = -3.0 * max(0.0, semantic + 0.3) - 0.2
    enhanced = sigmoid(semantic + residual) * semantic
    fused = [1.0 + enhanced, 2.0 + enhanced]
    local = [max(0.0, f - 1.5) + 0.1 for f in fused]
    expected = [sigmoid(a) * f for a, f in zip(local, fused, strict=True)]
    assert found == pytest.approx(expected, rel=1e-5)


def test_branches_see_as_far_as_their_dilation() -> None:
    module = TwoLayerAttention(1, "none", (1, 3, 5), 1)
    for rate, branch in zip((1, 3, 5), module.branches, strict=True):
        assert isinstance(branch, nn.Conv2d)
        nn.init.ones_(branch.weight)
        nn.init.zeros_(branch.bias)  # type: ignore[arg-type]
        x = torch.zeros(1, 1, 1, 21)
        x[..., 10] = 1
        seen = branch(x).flatten().nonzero().flatten().tolist()
        assert seen == [10 - rate, 10, 10 + rate]


def test_detail_enhancement_by_hand() -> None:
    """Eq. 6 to 8: two cells of C2 for one of the level."""
    module = DetailEnhancement(1, 1, "none", "max")
    pass_on(module)
    centre(module.get_submodule("texture.0.0"), 2.0)
    centre(module.get_submodule("texture.2.0"), 3.0)
    centre(module.output, 0.5, bias=0.25)
    shift(module.get_submodule("texture.0.1"), 1.0)
    shift(module.get_submodule("texture.2.1"), -2.0)
    found = module(row(-4, 1, 2, -3), row(10, 20)).flatten().tolist()
    # X before its size changes: 3 relu(2 c + 1) - 2 + c, which is 7 c + 1, or c - 2 below zero.
    details = [max(-6.0, 8.0), max(15.0, -5.0)]
    levels = [10.0, 20.0]
    expected = [0.5 * (x + f) + 0.25 + f for x, f in zip(details, levels, strict=True)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("downsample", "expected"), [("max", [7, 14]), ("avg", [1.5, 5.5]), ("nearest", [-4, 14])]
)
def test_ways_to_the_size_of_a_level(downsample: str, expected: list[float]) -> None:
    module = DetailEnhancement(1, 1, "none", downsample)
    pass_on(module)
    centre(module.get_submodule("texture.0.0"), 2.0)
    centre(module.get_submodule("texture.2.0"), 3.0)
    found = module(row(-4, 1, 2, -3), row(0, 0)).flatten().tolist()
    assert found == pytest.approx(expected)


def test_c2_of_other_channels_is_adapted() -> None:
    module = DetailEnhancement(4, 8, "none", "max")
    assert isinstance(module.adapt, nn.Conv2d)
    assert module(torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)).shape == (2, 8, 4, 4)


def ta_pyramid(**changes: Any) -> TwoLayerAttentionPyramid:
    content: dict[str, Any] = {
        "dilations": (1, 3, 5),
        "enhanced": frozenset({2, 3, 4, 5}),
        "cascade": True,
        "reduction": 1,
        "downsample": "max",
    }
    neck = TwoLayerAttentionPyramid(
        FourMaps(),  # type: ignore[arg-type]
        ONE_CHANNEL,
        FASTER_RCNN,
        **content | changes,
    )
    pass_on(neck)
    return neck


FEATURES = [row(1, 2, 3, 4, 5, 6, 7, 8), row(10, 20, 30, 40), row(100, 200), row(1000)]


def test_without_its_modules_the_pyramid_is_fpn() -> None:
    neck = ta_pyramid(dilations=None, enhanced=frozenset())
    plain = FeaturePyramid(FourMaps(), ONE_CHANNEL, FASTER_RCNN)  # type: ignore[arg-type]
    torch.manual_seed(1)
    for weight in neck.parameters():
        nn.init.normal_(weight)
    plain.load_state_dict(neck.state_dict())
    for ours, theirs in zip(neck(FEATURES), plain(FEATURES), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("cascade", [True, False])
def test_what_the_attention_reads_from_above(cascade: bool) -> None:
    neck = ta_pyramid(enhanced=frozenset(), cascade=cascade)
    read = []
    for module in neck.attention:
        module.register_forward_hook(lambda _, given, __: read.append(given[0].max().item()))
    f2, f3, f4, f5 = neck.top_down(FEATURES)
    assert f5 is FEATURES[3]
    assert read == ([1000, f4.max().item(), f3.max().item()] if cascade else [1000, 200, 40])
    assert f2.shape == FEATURES[0].shape


def test_only_the_chosen_levels_are_enhanced() -> None:
    plain = ta_pyramid(dilations=None, enhanced=frozenset())(FEATURES)
    some = ta_pyramid(dilations=None, enhanced=frozenset({3, 5}))(FEATURES)
    same = [torch.equal(a, b) for a, b in zip(plain, some, strict=True)]
    # P6 is every second cell of P5, and so is changed with it.
    assert same == [True, False, True, False, False]


def test_enhancing_a_level_that_the_head_does_not_read() -> None:
    run = tiny_run(methods=[{"name": "ta_fpn", "levels": "2"}])
    config: Any = type("DetectorConfig", (), {"head": run.suite.head})
    with pytest.raises(SuiteError, match="retinanet reads no level below 3"):
        ta_fpn.build(FourMaps(), config, run.entry.switches)  # type: ignore[arg-type]


def test_attention_of_the_balanced_pyramid_keeps_its_precision_under_bfloat16() -> None:
    """Two products of about 100 that bfloat16 cannot tell apart decide between two cells."""
    block = NonLocal(1)
    for conv, weight in ((block.theta, 1.0), (block.phi, 1.0), (block.g, 1.0), (block.output, 1.0)):
        centre(conv, weight)
    x = row(10.0, 10.0625)  # both are bfloat16 numbers
    plain = block(x) - x
    with torch.autocast("cpu", torch.bfloat16):
        found = block(x) - x
    assert plain.flatten().tolist() == pytest.approx([10.0407, 10.0407], abs=1e-3)
    weights = block_weights(block, x)
    assert weights[0, 0, 1].item() == pytest.approx(sigmoid(10 * 0.0625), abs=1e-3)
    assert found.flatten().tolist() == pytest.approx([10.0407, 10.0407], abs=0.07)


def block_weights(block: NonLocal, x: Tensor) -> Tensor:
    """What the softmax of a block gives under bfloat16."""
    seen: list[Tensor] = []
    original = Tensor.softmax

    def watched(self: Tensor, dim: int) -> Tensor:
        seen.append(original(self, dim))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(Tensor, "softmax", watched)
        block(x)
    return seen[0].float()
