"""TA-FPN on tiny maps whose results were worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sobench.models.methods.ta_fpn.model import (
    DetailEnhancement,
    TwoLayerAttention,
    TwoLayerAttentionPyramid,
)
from sobench.models.parts.pyramid import FeaturePyramid
from tests.models.methods.tiny_maps import (
    FASTER_RCNN,
    ONE_CHANNEL,
    FourMaps,
    centre,
    pass_on,
    plane,
    row,
    shift,
    sigmoid,
)


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
    focused = module(plane([2.0]), plane([0.25, -4.0])).flatten().tolist()
    semantic = 2.0 * (1 + 2 - 5) + 3 * 0.5  # Eq. 1: -2.5
    residual = 3.0 * max(0.0, 2.0 * semantic)  # Eq. 2: 0, the ReLU closes
    enhanced = sigmoid(semantic + residual) * semantic  # Eq. 3
    expected = []
    for lower in (0.25, -4.0):
        fused = lower + enhanced
        local = -1.0 * max(0.0, 0.5 * fused)  # Eq. 4
        expected.append(sigmoid(local) * fused)  # Eq. 5
    assert focused == pytest.approx(expected, rel=1e-5)


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
    focused = module(plane([0.5]), plane([1.0, 2.0])).flatten().tolist()
    semantic = 0.5 * 1.5
    residual = -3.0 * max(0.0, semantic + 0.3) - 0.2
    enhanced = sigmoid(semantic + residual) * semantic
    fused = [1.0 + enhanced, 2.0 + enhanced]
    local = [max(0.0, f - 1.5) + 0.1 for f in fused]
    expected = [sigmoid(a) * f for a, f in zip(local, fused, strict=True)]
    assert focused == pytest.approx(expected, rel=1e-5)


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
    enhanced = module(row(-4, 1, 2, -3), row(10, 20)).flatten().tolist()
    # X before its size changes: 3 relu(2 c + 1) - 2 + c, which is 7 c + 1, or c - 2 below zero.
    details = [max(-6.0, 8.0), max(15.0, -5.0)]
    levels = [10.0, 20.0]
    expected = [0.5 * (x + f) + 0.25 + f for x, f in zip(details, levels, strict=True)]
    assert enhanced == pytest.approx(expected)


@pytest.mark.parametrize(
    ("downsample", "expected"), [("max", [7, 14]), ("avg", [1.5, 5.5]), ("nearest", [-4, 14])]
)
def test_ways_to_the_size_of_a_level(downsample: str, expected: list[float]) -> None:
    module = DetailEnhancement(1, 1, "none", downsample)
    pass_on(module)
    centre(module.get_submodule("texture.0.0"), 2.0)
    centre(module.get_submodule("texture.2.0"), 3.0)
    enhanced = module(row(-4, 1, 2, -3), row(0, 0)).flatten().tolist()
    assert enhanced == pytest.approx(expected)


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
