"""``sobench`` with a mistake in it: ``python -m tests.benchmarks.planted MISTAKE check SUITE ...``.

The mistakes are laid over the functions of this process alone, as a careless change of the code
would, so that settings and their ids stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from torch import Tensor

from sobench.cli import main
from sobench.metrics.detections import DetectionRow
from sobench.models.parts import anchors, nms
from sobench.runs import detect, train
from sobench.suite.detect import Detect
from sobench.training import loop

METHOD = "fpn"
"""Whose learning rate is wrong."""


def shift_anchors() -> None:
    """Half a stride right and down, of the finest level."""
    original = anchors.pyramid_anchors

    def shifted(
        sizes: tuple[tuple[int, int], ...], strides: tuple[int, ...], *others: Any
    ) -> Tensor:
        boxes = original(sizes, strides, *others).clone()
        per_cell = len(others[0].shapes[0])
        boxes[: sizes[0][0] * sizes[0][1] * per_cell] += strides[0] / 2
        return boxes

    patch.object(anchors, "pyramid_anchors", shifted).start()


def lower_learning_rate() -> None:
    """A tenth, of one method."""
    original = loop.train

    def slow(detector: Any, data: Any, schedule: Any, folder: Any, **others: Any) -> Any:
        if folder.parent.name == METHOD:
            schedule = schedule.model_copy(update={"lr": schedule.lr / 10})
        return original(detector, data, schedule, folder, **others)

    patch.object(train, "train", slow).start()


def swap_classes() -> None:
    """The first two classes, in what is detected."""
    original = detect.detect

    def swapped(*arguments: Any, **others: Any) -> list[DetectionRow]:
        rows = original(*arguments, **others)
        first, second = sorted({row["category_id"] for row in rows})[:2]
        other = {first: second, second: first}
        for row in rows:
            row["category_id"] = other.get(row["category_id"], row["category_id"])
        return rows

    patch.object(train, "detect", swapped).start()


def weaken_nms() -> None:
    """Boxes of one class that overlap by up to .9 all stay."""
    original = nms.suppress

    def weak(boxes: Tensor, scores: Tensor, labels: Tensor, settings: Detect) -> Any:
        return original(boxes, scores, labels, settings.model_copy(update={"nms": 0.9}))

    patch.object(nms, "suppress", weak).start()


MISTAKES: dict[str, Callable[[], None]] = {
    "anchors": shift_anchors,
    "learning-rate": lower_learning_rate,
    "classes": swap_classes,
    "nms": weaken_nms,
}

if __name__ == "__main__":
    MISTAKES[sys.argv[1]]()
    main(sys.argv[2:])
