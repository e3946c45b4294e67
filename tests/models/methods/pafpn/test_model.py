"""PAFPN on tiny maps whose results were worked out by hand."""

from __future__ import annotations

from sobench.models.methods.pafpn.model import PathAggregation
from tests.models.methods.tiny_maps import (
    FASTER_RCNN,
    ONE_CHANNEL,
    RETINANET,
    FourMaps,
    centre,
    pass_on,
    row,
)


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
