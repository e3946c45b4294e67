"""The feature pyramid against hand values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sobench.models.parts.pyramid import FeaturePyramid, Levels
from sobench.suite.network import Neck

RETINANET = Levels(3, 7, "convolution")
FASTER_RCNN = Levels(2, 6, "subsample")


class FourMaps(nn.Module):
    """Has the channels of a backbone whose maps have one each."""

    channels = (1, 1, 1, 1)


def pyramid(fuse: bool = True) -> FeaturePyramid:
    """One channel; laterals, outputs and extra levels pass their inputs on unchanged."""
    settings = Neck.model_construct(channels=1, norm="none")
    neck = FeaturePyramid(FourMaps(), settings, RETINANET, fuse)  # type: ignore[arg-type]
    for conv in neck.modules():
        if isinstance(conv, nn.Conv2d):
            assert conv.bias is not None
            assert conv.bias.tolist() == [0.0]
            nn.init.dirac_(conv.weight)
    return neck


def maps() -> list[Tensor]:
    """C2 (unused) to C5 of an input whose sides halve to odd numbers."""
    values = [
        [[9.0]],
        [[100.0, 200, 300, 400, 500], [600, 700, 800, 900, 1000], [1, 2, 3, 4, 5]],
        [[10.0, 20, 30], [40, 50, 60]],
        [[1.0, -2]],
    ]
    return [torch.tensor(cells)[None, None] for cells in values]


def test_top_down_sum_by_hand() -> None:
    neck = pyramid()
    p3, p4, p5, p6, p7 = (x[0, 0].tolist() for x in neck(maps()))
    assert p5 == [[1, -2]]
    # Nearest neighbour from 1 x 2 to 2 x 3: columns 0, 0, 1. From 2 x 3 to 3 x 5: rows 0, 0, 1 and
    # columns 0, 0, 1, 1, 2.
    assert p4 == [[11, 21, 28], [41, 51, 58]]
    assert p3 == [
        [111, 211, 321, 421, 528],
        [611, 711, 821, 921, 1028],
        [42, 43, 54, 55, 63],
    ]
    # P6 is made from C5, not from P5, and P7 from P6: every second cell.
    assert p6 == [[1]]
    assert p7 == [[1]]


def test_extra_levels_start_from_c5_without_relu() -> None:
    neck = pyramid()
    with torch.no_grad():
        neck.lateral[2].weight.fill_(7.0)  # type: ignore[operator]
    features = maps()
    features[3] = torch.tensor([[-1.0, 2, -3]])[None, None]
    p5, p6, p7 = (x[0, 0].tolist() for x in neck(features)[2:])
    assert p5 == [[-7, 14, -21]]
    assert p6 == [[-1, -3]]
    assert p7 == [[-1]]


def test_without_the_sum_levels_do_not_mix() -> None:
    features = maps()
    levels = pyramid(fuse=False)(features)
    for x, expected in zip(levels[:3], features[1:], strict=True):
        assert torch.equal(x, expected)


def test_a_subsampled_level_is_every_second_cell_of_the_one_below() -> None:
    settings = Neck.model_construct(channels=1, norm="none")
    neck = FeaturePyramid(FourMaps(), settings, FASTER_RCNN)  # type: ignore[arg-type]
    assert FASTER_RCNN.strides == (4, 8, 16, 32, 64)
    assert len(neck.lateral) == len(neck.output) == 4
    assert not neck.extra.convs
    features = maps()
    features[3] = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, None]
    levels = neck(features)
    assert torch.equal(levels[4], levels[3][..., ::2, ::2])
    assert levels[4].shape == (1, 1, 2, 2)


def test_group_norm_replaces_biases() -> None:
    settings = Neck(channels=16, norm="group")
    neck = FeaturePyramid(FourMaps(), settings, RETINANET)  # type: ignore[arg-type]
    norms = [m for m in neck.modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 3 + 3 + 2
    assert {(m.num_groups, m.num_channels) for m in norms} == {(2, 16)}
    biased = [name for name, p in neck.named_modules() if getattr(p, "bias", None) is not None]
    assert all(isinstance(neck.get_submodule(name), nn.GroupNorm) for name in biased)
