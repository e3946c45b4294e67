"""Metrics of resampled images, which count as often as they are drawn; nothing is matched again."""

from __future__ import annotations

import numpy as np

from sobench.compare.intervals import RESAMPLES
from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Matches
from sobench.metrics.scoring import weigh
from sobench.metrics.weighted import Weighted

_BLOCK = 1000
"""Resamples that are worked on at once: more take more memory, fewer more time each."""


def draw_weights(images: int, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """How often each image is drawn ``[N, B]``; N draws with replacement for each resample.

    The first resamples are the same whatever their number, so that more of them refine a result.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, max(images, 1), (resamples, images))
    counts = [np.bincount(row, minlength=images) for row in drawn]
    return np.array(counts, np.float64).reshape(resamples, images).T.copy()


def resample(matches: Matches, weights: FloatArray) -> Weighted:
    """All metrics of the protocol for each column of weights ``[N, B]``, whole numbers from 0.

    Weights of one give the metrics of the whole split. What is returned depends on nothing else.
    """
    blocks = [
        weigh(matches, np.ascontiguousarray(weights[:, first : first + _BLOCK]))
        for first in range(0, max(weights.shape[1], 1), _BLOCK)
    ]
    return Weighted(
        {name: np.concatenate([block.metrics[name] for block in blocks])
         for name in blocks[0].metrics},
        {name: np.concatenate([block.per_class[name] for block in blocks])
         for name in blocks[0].per_class},
        blocks[0].holding,
        blocks[0].class_holding,
        blocks[0].images,
    )  # fmt: skip
