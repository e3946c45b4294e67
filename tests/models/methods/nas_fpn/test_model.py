"""NAS-FPN on tiny maps whose results were worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sobench.models.methods.nas_fpn.model import (
    Cell,
    GlobalPooling,
    Merge,
    SearchedPyramid,
    resized,
)
from sobench.models.parts.pyramid import Levels
from sobench.suite.network import Neck
from tests.models.methods.tiny_maps import (
    FASTER_RCNN,
    RETINANET,
    FourMaps,
    pass_on,
    plane,
    row,
    sigmoid,
)


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
    merged = merge(x, y, like=y).flatten().tolist()
    weight = sigmoid(pooled)
    assert merged == pytest.approx([-2 + 10 * weight, 1 + 20 * weight])


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
    outputs = [x.item() for x in cell([row(p) for p in (p3, p4, p5, p6, p7)])]
    assert outputs == pytest.approx([out3, out4, out5, out6, out7])


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
        reached = {i + 3 for i, g in enumerate(grads) if g is not None and g.abs().sum() > 0}
        assert reached == expected


@pytest.mark.parametrize(("levels", "sides"), [(RETINANET, (18, 9, 5, 3, 2)),
                                               (FASTER_RCNN, (36, 18, 9, 5, 3))])  # fmt: skip
def test_maps_that_do_not_halve_keep_their_sizes(levels: Levels, sides: tuple[int, ...]) -> None:
    settings = Neck(channels=8)
    neck = SearchedPyramid(FourMaps(), settings, levels, 2, "mean")  # type: ignore[arg-type]
    features = [torch.randn(2, 1, side, side) for side in (36, 18, 9, 5)]
    assert [x.shape[-1] for x in neck(features)] == list(sides)


def test_group_norm_takes_the_place_of_batch_norm() -> None:
    settings = Neck(channels=16, norm="group")
    neck = SearchedPyramid(FourMaps(), settings, RETINANET, 7, "mean")  # type: ignore[arg-type]
    assert not [m for m in neck.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len([m for m in neck.modules() if isinstance(m, nn.GroupNorm)]) == 3 + 2 + 7 * 7
