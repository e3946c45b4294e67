"""A detector's normalisation of its images, and the settings that reach its network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sobench.models.build import detector_config
from sobench.models.detector import IMAGENET_MEAN, IMAGENET_STD, Detector
from tests.tiny_suite import tiny_suite


def test_images_are_normalised_as_imagenet_is() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x

    detector = Detector(Same(), Same(), Same())  # type: ignore[arg-type]
    pixels = torch.tensor([[0, 255], [124, 7]], dtype=torch.uint8).expand(1, 3, 2, 2)
    normalised: Any = detector.predict(pixels.contiguous(memory_format=torch.channels_last))
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    assert torch.allclose(normalised[0], (pixels[0].float() - mean) / std)
    assert normalised.is_contiguous(memory_format=torch.channels_last)


def test_the_suite_reaches_the_network() -> None:
    suite = tiny_suite(input={"size": [64, 96]}, neck={"channels": 24}, anchors={"smallest": 3})
    config = detector_config(suite, 7)
    assert (config.num_classes, config.size, config.neck.channels) == (7, (64, 96), 24)
    assert config.anchors.smallest == 3
    assert config.detect == suite.detect
