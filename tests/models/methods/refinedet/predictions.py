"""Raw predictions of a RefineDet head that are set by hand, and the objects that they meet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.detector import Detector, DetectorConfig, HeadOutput
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.methods.refinedet import model as refinedet
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.boxes import encode
from sobench.models.parts.matching import match
from sobench.suite.detect import Detect
from sobench.suite.methods import methods
from sobench.suite.network import Backbone
from tests.models.small_config import CLASSES, make_config, targets

MAPS = ((8, 12), (4, 6), (2, 3), (1, 2))


STDS = (0.1, 0.1, 0.2, 0.2)


SWITCHES = {name: switch.default for name, switch in methods()["refinedet"].switches.items()}
SWITCHES |= {"anchors": "paper"}
WITHOUT_TCB: dict[str, Any] = {"tcb": False}


def shapes_only(backbone: str, config: DetectorConfig, **switches: Any) -> Detector:
    """A detector without storage."""
    content: dict[str, Any] = {"name": backbone, "weights": "none", "norm": "frozen"}
    settings = Backbone.model_construct(**content, freeze=())
    with torch.device("meta"):
        return refinedet.build(build_backbone(settings), config, SWITCHES | switches)


def make_head(detect: Detect | None = None, **switches: Any) -> RefineDetHead:
    config = make_config(detect=detect or Detect())
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


def anchors_with_gradient(maps: list[Tensor], width: int) -> set[int]:
    """The anchors whose values got a gradient."""
    reached = as_rows([x.grad for x in maps if x.grad is not None], width)[0]
    return set(reached.any(dim=-1).nonzero().flatten().tolist())


def backward(*losses: Tensor) -> None:
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]


def perfect_arm() -> dict[str, Any]:
    """The ARM moves every anchor onto ``SQUARE``, and knows which had to be."""
    return {
        "arm_logits": one_class(matched_anchors(), 2, 1),
        "arm_offsets": encode(torch.tensor([SQUARE]), tiled(), STDS)[None],
    }
