"""What goes wrong: every false positive and every missed object is of one kind.

The kinds, and how much each costs, are those of Bolya et al., "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020, with its thresholds .1 and .5. Which detections are
right, and what AP50 is, are those of the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray, IntArray
from sobench.metrics.curves import precision_at_recalls
from sobench.metrics.matches import Int8Array, Matches, within_ap_limit
from sobench.metrics.matching import FALSE, IGNORED, TRUE, BoolArray, overlaps
from sobench.metrics.precision import recalls_of
from sobench.suite.protocols import PROTOCOLS

FOREGROUND, BACKGROUND = 0.5, 0.1
"""IoU with an object from which on a detection has found it, and below which it has not met it."""

KINDS = {
    "classification": "finds an object at an IoU of .5 or more, and names another class",
    "localisation": "right class, but meets the object only at an IoU of .1 to .5",
    "both": "wrong class, and meets the object only at an IoU of .1 to .5",
    "duplicate": "right class and IoU, but a surer detection has taken the object",
    "background": "meets no object at an IoU of .1",
    "missed": "an object that no detection finds, not even with another class or a wrong box",
}
"""Kind -> what it is, in the order in which kinds are shown."""

_KIND = {name: number for number, name in enumerate(KINDS)}
_NONE = -1


@dataclass(frozen=True)
class ErrorShare:
    """One kind of error of one row; means over seeds.

    Attributes:
        count: errors among the detections from the row's own best score on, or objects missed.
        lost: AP50 that the row would win without this kind alone. Wins do not add up.
    """

    count: float
    lost: float


Errors = dict[str, dict[str, ErrorShare]]
"""Label -> kind -> how much of it there is."""


@dataclass(frozen=True)
class Classified:
    """Each detection's kind ``[D]``, ``_NONE`` if it is no error, and the object meant ``[D]``."""

    kind: IntArray
    target: IntArray


def errors_of(
    rows: Mapping[str, Sequence[tuple[Matches, FloatArray, float | None]]], truth: FloatArray
) -> Errors:
    """The errors of rows, by kind.

    Args:
        rows: label -> of each seed, its matches, the boxes ``[D, 4]`` ``x, y, w, h`` of its
            detections, and the score from which they count.
        truth: ``[G, 4]``, the boxes of the objects in the order of the matches.
    """
    return {label: _shares(of_row, truth) for label, of_row in rows.items()}


def _shares(
    of_row: Sequence[tuple[Matches, FloatArray, float | None]], truth: FloatArray
) -> dict[str, ErrorShare]:
    counts, lost = [], []
    for every, boxes, score in of_row:
        matches = within_ap_limit(every)
        errors = classify(matches, boxes, truth)
        lost.append(_lost_ap50(matches, errors))
        counts.append(_counts(matches, errors, np.inf if score is None else score))
    return {
        name: ErrorShare(float(count), float(ap))
        for name, count, ap in zip(KINDS, np.mean(counts, 0), np.mean(lost, 0), strict=True)
    }


def classify(matches: Matches, boxes: FloatArray, truth: FloatArray) -> Classified:
    """The kind of each false positive at an IoU of .5 over all areas, image by image."""
    kind, target = np.full(len(boxes), _NONE), np.full(len(boxes), _NONE)
    wrong = np.flatnonzero(matches.outcome[0, 0] == FALSE)
    wrong = wrong[np.argsort(matches.image[wrong], kind="stable")]
    images = np.arange(len(matches.image_ids) + 1)
    starts = np.searchsorted(matches.image[wrong], images)
    order = np.argsort(matches.object_image, kind="stable")
    object_starts = np.searchsorted(matches.object_image[order], images)
    for image in images[:-1].tolist():
        here = wrong[starts[image] : starts[image + 1]]
        objects = order[object_starts[image] : object_starts[image + 1]]
        if len(here):
            kind[here], target[here] = _kinds(matches, boxes[here], truth, here, objects)
    return Classified(kind, target)


def _kinds(
    matches: Matches, boxes: FloatArray, truth: FloatArray, here: IntArray, objects: IntArray
) -> tuple[IntArray, IntArray]:
    """Kind and object of the false positives of one image."""
    if not len(objects):
        return np.full(len(here), _KIND["background"]), np.full(len(here), _NONE)
    iou = overlaps(boxes, truth[objects], np.zeros(len(objects), np.bool_))
    same = matches.label[here][:, None] == matches.object_label[objects][None]
    own, other = np.where(same, iou, -1.0), np.where(same, -1.0, iou)
    of_own, of_other = own.max(axis=1), other.max(axis=1)
    cases = {  # the first that holds
        "localisation": (of_own >= BACKGROUND) & (of_own < FOREGROUND),
        "classification": of_other >= FOREGROUND,
        "duplicate": of_own >= FOREGROUND,
        "background": iou.max(axis=1) < BACKGROUND,
    }
    kinds = np.select(list(cases.values()), [_KIND[name] for name in cases], _KIND["both"])
    means = np.where(kinds == _KIND["classification"], other.argmax(axis=1), own.argmax(axis=1))
    has_target = np.isin(kinds, [_KIND["classification"], _KIND["localisation"]])
    return kinds, np.where(has_target, objects[means], _NONE)


def _missed(matches: Matches, errors: Classified, counted: BoolArray) -> IntArray:
    """Objects that no counted detection finds, or means with another class or box."""
    reached = np.zeros(len(matches.object_image), np.bool_)
    for objects in (matches.found[counted], errors.target[counted]):
        reached[objects[objects >= 0]] = True
    return np.flatnonzero(~reached)


def _counts(matches: Matches, errors: Classified, score: float) -> list[float]:
    """Numbers of errors by kind, of the detections from a score on."""
    counted = matches.score >= score
    kinds = errors.kind[counted & (errors.kind >= 0)]
    by_kind = np.bincount(kinds, minlength=len(KINDS)).astype(float)
    by_kind[_KIND["missed"]] = len(_missed(matches, errors, counted))
    return [float(number) for number in by_kind]


def _lost_ap50(matches: Matches, errors: Classified) -> list[float]:
    """AP50 with each kind of error put right, less AP50 as it is."""
    outcome, objects = matches.outcome[0, 0], matches.num_objects[0].sum(axis=0)
    now = ap50(matches, outcome, matches.label, objects)
    lost = []
    for name, kind in _KIND.items():
        if name == "missed":
            gone = _missed(matches, errors, np.ones(len(outcome), np.bool_))
            fewer = np.bincount(matches.object_label[gone], minlength=len(objects))
            lost.append(ap50(matches, outcome, matches.label, objects - fewer) - now)
        else:
            lost.append(ap50(matches, *_put_right(matches, errors, kind), objects) - now)
    return lost


def _put_right(
    matches: Matches, errors: Classified, kind: int
) -> tuple[Int8Array, NDArray[np.int32]]:
    """Outcomes and labels ``[D]``, by falling score within a class, without errors of a kind.

    The surest detection that means an object which is not found finds it. All others, and those
    that mean none, are removed.
    """
    outcome, label = matches.outcome[0, 0].copy(), matches.label.copy()
    wrong = np.flatnonzero(errors.kind == kind)
    outcome[wrong] = IGNORED
    taken = set(matches.found[matches.found >= 0].tolist())
    for detection in wrong[np.argsort(-matches.score[wrong], kind="stable")].tolist():
        target = int(errors.target[detection])
        if target >= 0 and target not in taken:
            taken.add(target)
            outcome[detection], label[detection] = TRUE, matches.object_label[target]
    order = np.lexsort((-matches.score, label))
    return outcome[order], label[order]


def ap50(
    matches: Matches, outcome: Int8Array, label: NDArray[np.int32], objects: IntArray
) -> float:
    """AP50 by the protocol of ``matches`` if its detections had these outcomes; 0 without objects.

    Args:
        outcome: ``[D]`` at an IoU of .5, by falling score within a class.
        label: ``[D]``, rising.
        objects: ``[K]`` of each class.
    """
    protocol = PROTOCOLS[matches.protocol]
    bounds = np.searchsorted(label, np.arange(len(objects) + 1))
    classes = np.flatnonzero(objects > 0)
    if not len(classes):
        return 0.0
    values = []
    for k in classes.tolist():
        number = int(objects[k])
        of_class = outcome[bounds[k] : bounds[k + 1]]
        values.append(precision_at_recalls(of_class, number, recalls_of(protocol, number)).mean())
    # In VisDrone's official mean a class counts once for each image that holds it.
    images = (matches.num_objects[0] > 0).sum(axis=0)[classes]
    return float(np.average(values, weights=images if protocol.family == "visdrone" else None))
