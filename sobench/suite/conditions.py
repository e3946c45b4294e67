"""Deviations that several methods share, and the conditions of a suite under which they hold."""

from __future__ import annotations

from sobench.suite.sections import Suite

_FEW_IMAGES = 16
"""Images to a step below which batch statistics are noisy (Wu & He, arXiv:1803.08494, fig. 1)."""

FEW_IMAGES = "statistics of batch normalisation are of fewer than 16 images"
WITHOUT_CROPS = "trains on whole images only, without its paper's crops and expansion"


def training_images_are_not_cropped(suite: Suite) -> bool:
    """Whether training shows every image whole, at one size."""
    return suite.augment.scale_jitter is None


def batches_are_small(suite: Suite) -> bool:
    """Whether the statistics of batch normalisation are of fewer than 16 images."""
    return suite.schedule.batch_size < _FEW_IMAGES
