"""What a suite pins, in words."""

from __future__ import annotations

from typing import Any

import pytest

from sobench.compare.pinned import pinned
from tests.tiny_suite import tiny_suite


def lines(ignored: int | None = None, **changes: Any) -> dict[str, str]:
    return pinned(tiny_suite(**changes), {"train": 7, "val": 3}, 5, ignored)


def test_every_line_of_a_suite() -> None:
    assert lines() == {
        "data": "drawn scenes of tiny objects: 7 train images, 3 val images, 5 classes",
        "backbone": "resnet18, from scratch, every stage trains, trained batch statistics",
        "network": "RetinaNet on 16 channels, no norm; anchors from 12 px, ratios 0.5, 1, 2, 3 an "
        "octave",
        "training": "3 epochs of 2 images, sgd at 0.005, momentum 0.9, x0.1 after 2, decay 0.0001, "
        "warm-up 2 steps, clipped at 10, fp32",
        "images": "64x64 stretch, flip 0.5; seed 0: the same order and draws for every row",
        "scoring": "coco v1 by hotcoco; at most 100 detections an image above 0.05, NMS at 0.5",
    }


@pytest.mark.parametrize(
    ("changes", "topic", "words"),
    [
        ({"schedule": {"milestones": []}}, "training", "never falls"),
        ({"schedule": {"milestones": [], "decay": "cosine"}}, "training", "cosine"),
        ({"schedule": {"optimizer": "adamw"}}, "training", "adamw at 0.005, x0.1"),
        ({"anchors": "fit"}, "network", "sides and ratios fitted to the training boxes"),
        ({"neck": {"norm": "group"}}, "network", "GroupNorm"),
        ({"head": "faster_rcnn"}, "network", "Faster R-CNN on 16"),
        ({"augment": {"scale_jitter": [0.5, 2]}}, "images", "scaled by 0.5 to 2 and cropped"),
        ({"augment": {"hflip": 0, "photometric": 1}}, "images", "64x64 stretch, photometric 1;"),
        ({"seeds": [0, 4]}, "images", "seeds 0, 4:"),
        ({"ignore_regions": False}, "images", "flip 0.5, ignore regions taken for background;"),
        ({"backbone": {"weights": "imagenet", "norm": "frozen", "freeze": ["stem", "layer1"]}},
         "backbone", "ImageNet weights, frozen stem and layer1, frozen batch statistics"),
    ],
)  # fmt: skip
def test_what_is_said_of_other_suites(changes: dict[str, Any], topic: str, words: str) -> None:
    assert words in lines(**changes)[topic]
    assert words not in lines()[topic]


def test_ignore_regions_are_counted() -> None:
    assert "9 ignore regions left out" in lines(9)["images"]
    assert "9 ignore regions taken for background" in lines(9, ignore_regions=False)["images"]
    assert "ignore" not in lines(0, ignore_regions=False)["images"]
