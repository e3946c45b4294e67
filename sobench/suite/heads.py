"""The heads that a suite can give to its methods, as a literal table. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """A row of the heads table.

    Attributes:
        octaves: of its anchors, where a suite does not pin them.
        sections: keys of the suite's sections that the head reads.
    """

    title: str
    paper: str
    octaves: int
    sections: tuple[str, ...]


HEADS: dict[str, Head] = {
    "retinanet": Head(
        title="RetinaNet: two shared towers, focal loss",
        paper="Lin et al., ICCV 2017, arXiv:1708.02002",
        octaves=3,
        sections=(),
    ),
    "faster_rcnn": Head(
        title="Faster R-CNN: region proposals, RoIAlign, two fully connected layers",
        paper="Ren et al., NeurIPS 2015, arXiv:1506.01497; on a pyramid, arXiv:1612.03144",
        octaves=1,
        sections=("regions",),
    ),
}
