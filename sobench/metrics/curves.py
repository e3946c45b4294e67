"""Precision over recall, class by class, from matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Int8Array, Matches
from sobench.metrics.matching import TRUE
from sobench.metrics.precision import RECALL_POINTS, RECALLS

Curves = dict[str, dict[str, list[float | None]]]


def precision_curves(matches: Matches, thresholds: Mapping[str, Sequence[int]]) -> Curves:
    """Class, or ``all`` for the mean over classes with objects -> name -> precision at 101 recalls.

    Of the first way to count. The precision at a recall is the highest at this or a greater one.

    Args:
        thresholds: name -> positions on the second axis of ``Matches.outcome``, for the mean.
    """
    objects = matches.num_objects[0].sum(axis=0).tolist()
    bounds = np.searchsorted(matches.label, np.arange(len(matches.classes) + 1)).tolist()
    of_classes: dict[str, dict[str, FloatArray]] = {}
    for label, name in enumerate(matches.classes):
        outcome = matches.outcome[0, :, bounds[label] : bounds[label + 1]]
        of_classes[name] = {
            key: np.mean([_curve(outcome[place], objects[label]) for place in places], axis=0)
            for key, places in thresholds.items()
        }
    defined = [name for name in matches.classes if objects[matches.classes.index(name)]]
    of_classes["all"] = {
        key: np.mean([of_classes[name][key] for name in defined], axis=0)
        if defined
        else np.full(RECALL_POINTS, np.nan)
        for key in thresholds
    }
    return {
        name: {key: _or_none(curve) for key, curve in of_class.items()}
        for name, of_class in of_classes.items()
    }


def precision_at_recalls(
    outcome: Int8Array, objects: int, recalls: FloatArray = RECALLS
) -> FloatArray:
    """The highest precision at each recall ``[R]`` or a higher one, ``[R]``.

    Args:
        outcome: ``[D]`` of the detections of one class, by falling score; ignored ones are left
            out.
        objects: how many count, 1 or more.
        recalls: rising, of 0..1.
    """
    true = np.cumsum(outcome[outcome >= 0] == TRUE)
    precision = true / np.arange(1, len(true) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(true / objects, recalls)
    padded = np.append(envelope, 0.0)
    values: FloatArray = padded[reached]
    return values


def _curve(outcome: Int8Array, objects: int) -> FloatArray:
    """``[101]``, NaN without objects."""
    undefined: FloatArray = np.full(RECALL_POINTS, np.nan)
    return precision_at_recalls(outcome, objects) if objects else undefined


def _or_none(curve: FloatArray) -> list[float | None]:
    return cast(list[float | None], [None if np.isnan(v) else v for v in curve.tolist()])
