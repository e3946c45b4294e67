"""COCO AP and AR from stored detections.

Two engines compute the same numbers: hotcoco, and pycocotools as the referee. Metrics are means of
their precision and recall arrays, because their printed summaries assume the default ``maxDets``
and size bins.

Scoring sees boxes rounded to 1e-3 px and scores rounded to 1e-9, exactly as the file holds them, so
that rescoring a file gives the numbers of the run that wrote it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import Dataset, FloatArray
from sobench.errors import RequestError
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import GroundTruth, area_ranges, counted, ground_truth
from sobench.metrics.precision import RECALL_POINTS
from sobench.metrics.scores import Scores
from sobench.metrics.table import ALL_AREAS, IoU, ScoreMetric, coco_metrics
from sobench.suite.protocols import Protocol

# Positions in the engines' IoU axis, .50:.05:.95. "mean" is the mean over all ten.
IOU_SLICES: dict[IoU, slice] = {"0.50": slice(0, 1), "0.75": slice(5, 6), "mean": slice(None)}


@dataclass(frozen=True)
class _Evaluation:
    """The arrays of an engine, classes in the order of the dataset.

    Attributes:
        precision: ``[10, 101, K, 1 + bins, limits]``, -1 without ground truth.
        recall: ``[10, K, 1 + bins, limits]``, likewise. The first area range is of all areas.
    """

    precision: FloatArray
    recall: FloatArray


def score(
    dataset: Dataset,
    table: DetectionTable,
    protocol: Protocol,
    engine: Literal["hotcoco", "pycocotools"],
) -> Scores:
    """Score detections by a protocol of COCO's family, as ``scoring.score`` does.

    IoU thresholds are .50:.05:.95. An object belongs to a size bin by its annotated area; both ends
    of a bin are inclusive. An ignore region of one class is a crowd region of that class; regions
    of ``EVERY_CLASS`` are treated as the protocol's ``ignore_regions`` says. pycocotools prints
    while it works: ``sys.stdout`` of the whole process is redirected meanwhile.

    Raises:
        RequestError: the protocol's ``max_dets`` do not rise.
    """
    if not protocol.max_dets or list(protocol.max_dets) != sorted({*protocol.max_dets}):
        raise RequestError(
            f"protocol {protocol.name}: max_dets {protocol.max_dets} must rise; "
            "the last is the limit for AP"
        )
    truth = ground_truth(dataset, protocol)
    evaluate = {"hotcoco": _evaluate_hotcoco, "pycocotools": _evaluate_pycocotools}[engine]
    evaluation = evaluate(dataset, truth, table, protocol)
    return Scores(
        protocol=protocol.name,
        protocol_version=protocol.version,
        engine=f"{engine} {version(engine)}",
        metrics=_metrics(evaluation, protocol),
        per_class=_per_class(evaluation, dataset, truth, protocol),
        curves=_curves(evaluation, dataset, protocol),
    )


def _tables(
    image_ids: Sequence[int], category_ids: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The ``images`` and ``categories`` of a COCO file, as far as boxes need them."""
    images = [{"id": id_} for id_ in image_ids]
    return images, [{"id": id_, "name": str(id_)} for id_ in category_ids]


def _in_dataset_order(dataset: Dataset, arrays: dict[str, Any]) -> _Evaluation:
    """The arrays with classes in the dataset's order; the engines sort them by id."""
    order = np.argsort(np.argsort(np.array(dataset.category_ids, dtype=np.int64)))
    return _Evaluation(arrays["precision"][:, :, order], arrays["recall"][:, order])


def _evaluate_hotcoco(
    dataset: Dataset, truth: GroundTruth, detections: DetectionTable, protocol: Protocol
) -> _Evaluation:
    evaluator = hotcoco_evaluator(dataset, truth, detections, protocol)
    evaluator.accumulate()
    return _in_dataset_order(dataset, cast(dict[str, Any], evaluator.eval))


def hotcoco_evaluator(
    dataset: Dataset, truth: GroundTruth, detections: DetectionTable, protocol: Protocol
) -> Any:
    """hotcoco's evaluator after matching, with the ranks of ids in their place, which sort alike.

    hotcoco refuses negative ids and takes detections as floats, which blur ids beyond 2**53.
    """
    from hotcoco import COCO, COCOeval

    image_ids = np.sort(np.array([image.id for image in dataset.images], dtype=np.int64))
    category_ids = np.sort(np.array(dataset.category_ids, dtype=np.int64))
    references = COCO.from_arrays(
        *_tables(range(len(image_ids)), range(len(category_ids))),
        np.searchsorted(image_ids, truth.image_ids),
        np.searchsorted(category_ids, truth.category_ids),
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    columns = (
        np.searchsorted(image_ids, detections.image_ids),
        detections.boxes,
        detections.scores,
        np.searchsorted(category_ids, detections.category_ids),
    )
    evaluator = COCOeval(references, references.load_res(np.column_stack(columns)), "bbox")
    evaluator.params.max_dets = list(protocol.max_dets)
    evaluator.params.area_rng = area_ranges(protocol)
    evaluator.params.area_rng_lbl = [ALL_AREAS, *protocol.bins]
    evaluator.evaluate()
    return evaluator


def _evaluate_pycocotools(
    dataset: Dataset, truth: GroundTruth, detections: DetectionTable, protocol: Protocol
) -> _Evaluation:
    from pycocotools.cocoeval import COCOeval

    zeros = np.zeros(len(detections.scores), np.int64)
    areas = detections.boxes[:, 2] * detections.boxes[:, 3]
    detected = (detections.image_ids, detections.category_ids, detections.boxes, areas, zeros)
    annotated = (truth.image_ids, truth.category_ids, truth.boxes, truth.areas, truth.crowd)
    with redirect_stdout(io.StringIO()):
        evaluator = COCOeval(
            _index(dataset, annotated), _index(dataset, detected, detections.scores), "bbox"
        )
        evaluator.params.maxDets = list(protocol.max_dets)
        evaluator.params.areaRng = area_ranges(protocol)
        evaluator.params.areaRngLbl = [ALL_AREAS, *protocol.bins]
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
    rows = zip(*(column.tolist() for column in columns), strict=True)
    annotations = [
        {"id": number, **dict(zip(keys, row, strict=True))} for number, row in enumerate(rows, 1)
    ]
    if scores is not None:
        for annotation, value in zip(annotations, scores.tolist(), strict=True):
            annotation["score"] = value
    images, categories = _tables([image.id for image in dataset.images], dataset.category_ids)
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    coco.createIndex()
    return coco


def _mean(values: FloatArray) -> float | None:
    """The mean of the defined values; ``None`` if all are -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _values(evaluation: _Evaluation, metric: ScoreMetric, protocol: Protocol) -> FloatArray:
    """A metric's precisions ``[T, 101, K]`` or recalls ``[T, K]``."""
    area = [ALL_AREAS, *protocol.bins].index(metric.area)
    limit = protocol.max_dets.index(metric.max_dets)
    values = evaluation.precision if metric.quantity == "AP" else evaluation.recall
    return values[IOU_SLICES[metric.iou], ..., area, limit]


def _metrics(evaluation: _Evaluation, protocol: Protocol) -> dict[str, float | None]:
    return {
        metric.name: _mean(_values(evaluation, metric, protocol))
        for metric in coco_metrics(protocol)
    }


def _per_class(
    evaluation: _Evaluation, dataset: Dataset, truth: GroundTruth, protocol: Protocol
) -> dict[str, dict[str, float | None]]:
    """The metrics over all areas, with ``AR`` for that at the last limit."""
    last = f"AR@{protocol.max_dets[-1]}"
    values = {
        metric.name.partition("@")[0]: _values(evaluation, metric, protocol)
        for metric in coco_metrics(protocol)
        if metric.area == ALL_AREAS and (metric.quantity == "AP" or metric.name == last)
    }
    objects = truth.category_ids[counted(truth, protocol)]
    return {
        name: {
            **{key: _mean(of_classes[..., label]) for key, of_classes in values.items()},
            "ground_truth": float(np.count_nonzero(objects == dataset.category_ids[label])),
        }
        for label, name in enumerate(dataset.classes)
    }


def _curves(
    evaluation: _Evaluation, dataset: Dataset, protocol: Protocol
) -> dict[str, dict[str, list[float | None]]]:
    limit = protocol.max_dets.index(protocol.ap_limit or protocol.max_dets[-1])
    precision = evaluation.precision[..., 0, limit]
    has_objects = np.all(precision > -1, axis=(0, 1))
    labels_of = {name: [label] for label, name in enumerate(dataset.classes)}
    labels_of["all"] = np.flatnonzero(has_objects).tolist()
    return {
        name: {
            iou: _curve(precision[ious][:, :, labels])
            if has_objects[labels].any()
            else _undefined()
            for iou, ious in IOU_SLICES.items()
        }
        for name, labels in labels_of.items()
    }


def _curve(precision: FloatArray) -> list[float | None]:
    """The mean precision at each recall, from ``[T, 101, K]``."""
    return cast(list[float | None], precision.mean(axis=(0, 2)).tolist())


def _undefined() -> list[float | None]:
    return [None] * RECALL_POINTS
