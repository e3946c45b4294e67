"""Precision over recall, row by row: of all objects, of a class and of a size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sobench.data.dataset import FloatArray
from sobench.metrics.curves import precision_at_recalls
from sobench.metrics.matches import Matches, within_ap_limit
from sobench.metrics.matching import IOU_THRESHOLDS
from sobench.metrics.precision import RECALLS
from sobench.metrics.scores import Scores
from sobench.suite.protocols import Protocol

_OF_SIZES = {"0.50": 0, "0.75": int(np.flatnonzero(np.isclose(IOU_THRESHOLDS, 0.75))[0])}
"""The IoU thresholds of curves by size, with their positions in ``Matches.outcome``."""


@dataclass(frozen=True, order=True)
class Part:
    """The objects that a curve is about.

    Attributes:
        kind: ``all``, ``class`` or ``size``.
        name: of the class or of the size bin; empty for all.
    """

    kind: str
    name: str = ""


ALL = Part("all")

Curves = Mapping[Part, Mapping[str, Mapping[str, FloatArray]]]
"""Part -> IoU (``0.50``, ``0.75``, ``mean``) -> label -> precision ``[101]`` at the recalls 0, .01,
..., 1: the mean over seeds. Where nothing is defined, there is no entry."""


def stored_curves(scores: Mapping[str, Sequence[Scores]]) -> Curves:
    """The curves that records hold, of all objects and of every class, averaged over seeds.

    Args:
        scores: label -> the scores of its seeds.
    """
    values: defaultdict[Part, defaultdict[str, defaultdict[str, list[FloatArray]]]]
    values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for label, of_row in scores.items():
        for scored in of_row:
            for name, by_iou in scored.curves.items():
                part = ALL if name == ALL.kind else Part("class", name)
                for iou, precision in by_iou.items():
                    curve = np.array([np.nan if p is None else p for p in precision], np.float64)
                    if len(curve) == len(RECALLS) and not np.isnan(curve).any():
                        values[part][iou][label].append(curve)
    return {
        part: {
            iou: {label: np.mean(curves, axis=0) for label, curves in by_label.items()}
            for iou, by_label in by_iou.items()
        }
        for part, by_iou in values.items()
    }


def curves_by_size(rows: Mapping[str, Mapping[int, Matches]], protocol: Protocol) -> Curves:
    """The mean over classes in each size bin, at an IoU of .50 and .75, averaged over seeds.

    Args:
        rows: label -> seed -> matches under ``protocol``.
    """
    curves: dict[Part, dict[str, dict[str, FloatArray]]] = {}
    limited = {label: [*map(within_ap_limit, of_row.values())] for label, of_row in rows.items()}
    for area, name in enumerate(protocol.bins, 1):
        for iou, threshold in _OF_SIZES.items():
            for label, of_row in limited.items():
                of_seeds = [_class_mean(matches, area, threshold) for matches in of_row]
                defined = [curve for curve in of_seeds if curve is not None]
                if defined:
                    by_iou = curves.setdefault(Part("size", name), {})
                    by_iou.setdefault(iou, {})[label] = np.mean(defined, axis=0)
    return curves


def _class_mean(matches: Matches, area: int, threshold: int) -> FloatArray | None:
    """The mean over the classes with objects; ``None`` if there is none."""
    objects = matches.num_objects[area].sum(axis=0)
    bounds = np.searchsorted(matches.label, np.arange(len(objects) + 1))
    outcome = matches.outcome[area, threshold]
    curves = [
        precision_at_recalls(outcome[bounds[label] : bounds[label + 1]], int(objects[label]))
        for label in np.flatnonzero(objects).tolist()
    ]
    return np.mean(curves, axis=0) if curves else None
