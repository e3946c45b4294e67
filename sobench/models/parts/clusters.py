"""Anchors that are fitted to the training boxes: k-means of their sides and of their ratios.

A million boxes take a fraction of a second, nearly all of it for sorting, so nothing is cached on
disk.
"""

from __future__ import annotations

from math import exp, log

import numpy as np

from sobench.data.dataset import FloatArray

_BINS = 1024
"""Number of even bins between whose borders a split may lie: for sides of 1 to 1000 px, the borders
are 0.7 % apart."""
_SAME = log(1.01)
"""Clusters whose means differ by less are merged: anchors so alike match the same objects."""
_SPREAD = log(2)
"""Distance from the outermost cluster to one that has to be added."""


def cluster_anchors(
    sizes: FloatArray, scales: int = 4, ratios: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sides and aspect ratios that represent the boxes of a data set.

    MRAE (arXiv:2006.05941, section 4) has "four scales and three aspect ratio" from a clustering of
    the training boxes and gives no details. Here it is k-means in one dimension, separately of the
    logarithms of ``sqrt(w * h)`` and of ``h / w``.

    Args:
        sizes: ``[N, 2]`` width and height in pixels of the network input; boxes without area are
            left out.

    Returns:
        ``scales`` sides in pixels and ``ratios`` heights over width, both positive and rising,
        whatever the order of the boxes. Where the boxes have fewer distinct clusters, the largest
        is doubled and the smallest halved in turn.

    Raises:
        ValueError: no box has an area.
    """
    usable = sizes[np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)]
    if not len(usable):
        raise ValueError(f"none of the {len(sizes)} boxes has an area")
    width, height = np.log(usable).T
    return _clusters((width + height) / 2, scales), _clusters(height - width, ratios)


def _clusters(values: FloatArray, count: int) -> tuple[float, ...]:
    """``count`` rising numbers whose logarithms are the clusters' means."""
    means: list[float] = []
    for mean in kmeans(values, count):
        if not means or mean - means[-1] >= _SAME:
            means.append(mean)
    above = len(means) == 1
    while len(means) < count:
        means = [*means, means[-1] + _SPREAD] if above else [means[0] - _SPREAD, *means]
        above = not above
    return tuple(exp(mean) for mean in means)


def kmeans(values: FloatArray, count: int) -> list[float]:
    """Rising means of the split of ``values`` into intervals that leaves the least squared error.

    The optimum over all splits at the borders of 1024 even bins, by dynamic programming (Fisher,
    JASA 1958), where Lloyd's algorithm could stop short of it. There is no random start and the
    values are sorted first, so the result is the same to the last bit for every order.

    Args:
        values: ``[N]``, at least one.

    Returns:
        ``count`` means, or fewer where fewer bins hold values.
    """
    values = np.sort(values)
    middle = values[len(values) // 2]  # subtracted, or large squares would cancel each other
    weight, total, square = _moments(values - middle)
    # Squared error of a cluster that begins with bin i and ends before bin j.
    n, s, q = (x[None, :] - x[:, None] for x in (weight, total, square))
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(n > 0, q - s * s / n, np.inf)
    best, starts = error[0], []
    for _ in range(min(count, len(weight) - 1) - 1):
        through = best[:, None] + error
        starts.append(through.argmin(axis=0))
        best = through.min(axis=0)
    end, means = len(weight) - 1, []
    for start in [*reversed(starts), np.zeros(len(weight), dtype=np.int64)]:
        begin = int(start[end])
        means.append(float(s[begin, end] / n[begin, end] + middle))
        end = begin
    return means[::-1]


def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count, sum and sum of squares of all values below each border between occupied bins."""
    borders = np.linspace(values[0], values[-1], _BINS + 1)[1:-1]
    cuts = np.unique(np.searchsorted(values, borders))
    cuts = np.concatenate(([0], cuts[(cuts > 0) & (cuts < len(values))], [len(values)]))
    total, square = (np.concatenate(([0.0], np.cumsum(x)))[cuts] for x in (values, values**2))
    return cuts.astype(np.float64), total, square
