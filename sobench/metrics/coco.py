"""COCO AP and AR from stored detections.

Two engines compute the same numbers: hotcoco, and pycocotools as the referee. Both are read at the
level of their precision and recall arrays, because their printed summaries assume the default
``maxDets`` and size bins.

Scoring sees boxes rounded to 1e-3 px and scores rounded to 1e-9, exactly what the file holds, so
that rescoring a file gives the numbers of the run that wrote it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import EVERY_CLASS, AnnotatedImage, Dataset, FloatArray, IntArray
from sobench.errors import DataError, RequestError
from sobench.metrics.detections import DetectionRow, DetectionTable, tabulate
from sobench.suite.protocols import INFINITE_AREA, Protocol

RECALL_POINTS = 101

# Positions in the engines' IoU axis, .50:.05:.95. "mean" is the mean over all ten.
_IOU_SLICES = {"0.50": slice(0, 1), "0.75": slice(5, 6), "mean": slice(None)}
# Turns x2 - x1 back into the width that the annotation file held, to the bit.
_TRUTH_DECIMALS = 6


@dataclass(frozen=True)
class Scores:
    """What one set of detections is worth. Fractions in 0..1, NaN where there is no ground truth.

    Attributes:
        metrics: ``AP``, ``AP50``, ``AP75``, ``AP_<bin>`` for each size bin, ``AR@<n>`` for each
            limit of detections, ``AR_<bin>``. AP and ``AR_<bin>`` hold at the last limit.
        per_class: class name -> ``AP``, ``AP50``, ``AP75``, ``AR`` at the last limit, and
            ``ground_truth``, the number of boxes.
        curves: class name, or ``all`` for the mean over classes with ground truth -> ``0.50``,
            ``0.75`` and ``mean`` (over the ten IoU thresholds) -> precision at the 101 recalls
            0, .01, ..., 1, for all areas at the last limit.
        engine: name and version, such as ``hotcoco 1.3.0``.
        protocol: what was asked for.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    curves: dict[str, dict[str, list[float]]]
    engine: str
    protocol: Protocol


@dataclass(frozen=True)
class _GroundTruth:
    """Annotations as columns: ``[N]`` each, boxes ``[N, 4]`` ``x, y, w, h``; crowd is 0 or 1."""

    image_ids: IntArray
    category_ids: IntArray
    boxes: FloatArray
    areas: FloatArray
    crowd: IntArray


@dataclass(frozen=True)
class _Evaluation:
    """The arrays of an engine, classes in the order of the dataset.

    Attributes:
        precision: ``[10, 101, K, 1 + bins, limits]``, -1 without ground truth.
        recall: ``[10, K, 1 + bins, limits]``, likewise. The first area range is "all".
    """

    precision: FloatArray
    recall: FloatArray


def score(
    dataset: Dataset,
    rows: Sequence[DetectionRow],
    protocol: Protocol,
    engine: Literal["hotcoco", "pycocotools"] = "hotcoco",
) -> Scores:
    """Score detections against every image of the dataset, also those without detections.

    IoU runs over .50:.05:.95; a size bin goes by the annotation's area and includes both its ends.
    An ignore region of one class is a crowd region of that class; what becomes of regions of
    ``EVERY_CLASS`` is the protocol's ``ignore_regions``. pycocotools prints while it works: its
    output is swallowed by redirecting ``sys.stdout`` of the whole process meanwhile.

    Args:
        dataset: the split that the detections were made on.
        rows: detections, in any order and possibly none; equal scores keep their order.
        protocol: limits of detections, size bins and the treatment of ignore regions.
        engine: ``hotcoco``, or ``pycocotools``, which is slower by two orders of magnitude.

    Raises:
        DataError: a row is malformed, not finite, of negative size, or names an image or class
            that the dataset lacks; or a class is named ``all`` or like another.
        RequestError: the protocol's ``max_dets`` do not rise.
    """
    _check_names(dataset)
    if not protocol.max_dets or list(protocol.max_dets) != sorted({*protocol.max_dets}):
        raise RequestError(
            f"protocol {protocol.title!r}: max_dets {protocol.max_dets} must rise; "
            "the last is the limit for AP"
        )
    detections = tabulate(rows, "detections")
    _check_ids(detections, dataset)
    truth = _ground_truth(dataset, protocol)
    evaluate = {"hotcoco": _evaluate_hotcoco, "pycocotools": _evaluate_pycocotools}[engine]
    evaluation = evaluate(dataset, truth, detections, protocol)
    return Scores(
        metrics=_metrics(evaluation, protocol),
        per_class=_per_class(evaluation, dataset, truth),
        curves=_curves(evaluation, dataset),
        engine=f"{engine} {version(engine)}",
        protocol=protocol,
    )


def _check_ids(table: DetectionTable, dataset: Dataset) -> None:
    """Refuse rows about images or classes that the dataset does not have."""
    images = [image.id for image in dataset.images]
    for ids, known, key, noun in (
        (table.image_ids, images, "image_id", "an image"),
        (table.category_ids, list(dataset.category_ids), "category_id", "a class"),
    ):
        bad = ~np.isin(ids, np.array(known, dtype=np.int64))
        if bad.any():
            index = int(np.argmax(bad))
            few = ", ".join(str(value) for value in known[:10]) + (", ..." if known[10:] else "")
            raise DataError(
                f"detections, row {index + 1} of {len(ids)}: {key} {ids[index]} is not {noun} of "
                f"{dataset.title} (known: {few}); score against the split they were made on"
            )


def _check_names(dataset: Dataset) -> None:
    """Results are keyed by class name, and ``all`` is the mean over classes."""
    seen = {"all"}
    for name in dataset.classes:
        if name in seen:
            raise DataError(
                f"{dataset.title}: class name {name!r} is taken; rename it in the annotations"
            )
        seen.add(name)


def _ground_truth(dataset: Dataset, protocol: Protocol) -> _GroundTruth:
    """Objects and the ignore regions that the protocol keeps, in the order of the images."""
    parts = [_image_truth(image, len(dataset.classes), protocol) for image in dataset.images]
    boxes = np.concatenate([np.empty((0, 4)), *(part[0] for part in parts)])
    labels = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
    sizes = np.round(boxes[:, 2:] - boxes[:, :2], _TRUTH_DECIMALS)
    return _GroundTruth(
        image_ids=np.repeat(
            np.array([image.id for image in dataset.images], dtype=np.int64),
            np.array([len(part[1]) for part in parts], dtype=np.int64),
        ),
        category_ids=np.array(dataset.category_ids, dtype=np.int64)[labels],
        boxes=np.concatenate([boxes[:, :2], sizes], axis=1),
        areas=np.concatenate([np.empty(0), *(part[2] for part in parts)]),
        crowd=np.concatenate([np.empty(0, np.int64), *(part[3] for part in parts)]),
    )


def _image_truth(
    image: AnnotatedImage, classes: int, protocol: Protocol
) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Boxes ``[N, 4]`` ``x1, y1, x2, y2``, labels, areas and crowd flags ``[N]`` of one image."""
    shared = image.ignore_labels == EVERY_CLASS
    regions = image.ignore[shared] if protocol.ignore_regions == "crowd" else np.empty((0, 4))
    crowds = np.concatenate([image.ignore[~shared], np.repeat(regions, classes, axis=0)])
    crowd_labels = np.concatenate(
        [image.ignore_labels[~shared], np.tile(np.arange(classes), len(regions))]
    )
    crowd_areas = np.prod(crowds[:, 2:] - crowds[:, :2], axis=1)
    return (
        np.concatenate([image.boxes, crowds]),
        np.concatenate([image.labels, crowd_labels]),
        np.concatenate([image.areas, crowd_areas]),
        np.repeat(np.array([0, 1], np.int64), [len(image.boxes), len(crowds)]),
    )


def _area_ranges(protocol: Protocol) -> list[list[float]]:
    """All areas, then the protocol's bins."""
    return [[0.0, INFINITE_AREA], *([low, high] for low, high in protocol.bins.values())]


def _tables(
    image_ids: Sequence[int], category_ids: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The ``images`` and ``categories`` of a COCO file, as far as boxes need them."""
    images = [{"id": id_} for id_ in image_ids]
    return images, [{"id": id_, "name": str(id_)} for id_ in category_ids]


def _in_dataset_order(dataset: Dataset, arrays: dict[str, Any]) -> _Evaluation:
    """The engines sort classes by id; the dataset need not."""
    order = np.argsort(np.argsort(np.array(dataset.category_ids, dtype=np.int64)))
    return _Evaluation(arrays["precision"][:, :, order], arrays["recall"][:, order])


def _evaluate_hotcoco(
    dataset: Dataset, truth: _GroundTruth, detections: DetectionTable, protocol: Protocol
) -> _Evaluation:
    """Score under the ranks of the ids, which sort alike.

    hotcoco refuses negative ids and takes detections as floats, which blur ids beyond 2**53.
    """
    from hotcoco import COCO, COCOeval

    images = np.sort(np.array([image.id for image in dataset.images], dtype=np.int64))
    categories = np.sort(np.array(dataset.category_ids, dtype=np.int64))
    references = COCO.from_arrays(
        *_tables(range(len(images)), range(len(categories))),
        np.searchsorted(images, truth.image_ids),
        np.searchsorted(categories, truth.category_ids),
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    columns = (
        np.searchsorted(images, detections.image_ids),
        detections.boxes,
        detections.scores,
        np.searchsorted(categories, detections.category_ids),
    )
    evaluator = COCOeval(references, references.load_res(np.column_stack(columns)), "bbox")
    evaluator.params.max_dets = list(protocol.max_dets)
    evaluator.params.area_rng = _area_ranges(protocol)
    evaluator.params.area_rng_lbl = ["all", *protocol.bins]
    evaluator.evaluate()
    evaluator.accumulate()
    return _in_dataset_order(dataset, cast(dict[str, Any], evaluator.eval))


def _evaluate_pycocotools(
    dataset: Dataset, truth: _GroundTruth, detections: DetectionTable, protocol: Protocol
) -> _Evaluation:
    from pycocotools.cocoeval import COCOeval

    zeros = np.zeros(len(detections.scores), np.int64)
    areas = detections.boxes[:, 2] * detections.boxes[:, 3]
    found = (detections.image_ids, detections.category_ids, detections.boxes, areas, zeros)
    known = (truth.image_ids, truth.category_ids, truth.boxes, truth.areas, truth.crowd)
    with redirect_stdout(io.StringIO()):
        evaluator = COCOeval(
            _index(dataset, known), _index(dataset, found, detections.scores), "bbox"
        )
        evaluator.params.maxDets = list(protocol.max_dets)
        evaluator.params.areaRng = _area_ranges(protocol)
        evaluator.params.areaRngLbl = ["all", *protocol.bins]
        evaluator.evaluate()
        evaluator.accumulate()
    return _in_dataset_order(dataset, evaluator.eval)


def _index(
    dataset: Dataset, columns: Sequence[NDArray[Any]], scores: FloatArray | None = None
) -> Any:
    """A pycocotools ``COCO`` over columns. Its ``loadRes`` would fail on an empty list.

    Annotation ids start at 1, because pycocotools takes a match with id 0 for none.
    """
    from pycocotools.coco import COCO

    keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
    cells = zip(*(column.tolist() for column in columns), strict=True)
    rows = [{"id": i, **dict(zip(keys, row, strict=True))} for i, row in enumerate(cells, start=1)]
    for row, value in zip(rows, () if scores is None else scores.tolist(), strict=False):
        row["score"] = value
    images, categories = _tables([image.id for image in dataset.images], dataset.category_ids)
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": rows}
    coco.createIndex()
    return coco


def _mean(values: FloatArray) -> float:
    """The mean of the defined values; NaN if all are -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else math.nan


def _metrics(evaluation: _Evaluation, protocol: Protocol) -> dict[str, float]:
    precision, recall = evaluation.precision[..., -1], evaluation.recall
    bins = list(enumerate(protocol.bins, start=1))
    return {
        "AP": _mean(precision[..., 0]),
        "AP50": _mean(precision[_IOU_SLICES["0.50"], ..., 0]),
        "AP75": _mean(precision[_IOU_SLICES["0.75"], ..., 0]),
        **{f"AP_{name}": _mean(precision[..., area]) for area, name in bins},
        **{f"AR@{n}": _mean(recall[:, :, 0, m]) for m, n in enumerate(protocol.max_dets)},
        **{f"AR_{name}": _mean(recall[:, :, area, -1]) for area, name in bins},
    }


def _per_class(
    evaluation: _Evaluation, dataset: Dataset, truth: _GroundTruth
) -> dict[str, dict[str, float]]:
    precision, recall = evaluation.precision[..., 0, -1], evaluation.recall[..., 0, -1]
    objects = truth.category_ids[truth.crowd == 0]
    return {
        name: {
            "AP": _mean(precision[..., label]),
            "AP50": _mean(precision[_IOU_SLICES["0.50"], :, label]),
            "AP75": _mean(precision[_IOU_SLICES["0.75"], :, label]),
            "AR": _mean(recall[:, label]),
            "ground_truth": float(np.count_nonzero(objects == dataset.category_ids[label])),
        }
        for label, name in enumerate(dataset.classes)
    }


def _curves(evaluation: _Evaluation, dataset: Dataset) -> dict[str, dict[str, list[float]]]:
    precision = evaluation.precision[..., 0, -1]
    known = np.all(precision > -1, axis=(0, 1))
    chosen = {name: [label] for label, name in enumerate(dataset.classes)}
    chosen["all"] = np.flatnonzero(known).tolist()
    return {
        name: {
            key: _curve(precision[ious][:, :, labels]) if known[labels].any() else _undefined()
            for key, ious in _IOU_SLICES.items()
        }
        for name, labels in chosen.items()
    }


def _curve(precision: FloatArray) -> list[float]:
    """``[T, 101, K]`` -> the mean precision at each recall."""
    return cast(list[float], precision.mean(axis=(0, 2)).tolist())


def _undefined() -> list[float]:
    return [math.nan] * RECALL_POINTS
