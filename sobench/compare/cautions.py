"""Where a suite is uniform only in name: sentences with the figure and the way out; no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import isclose

import numpy as np

from sobench.compare.audit import AuditRow, Data
from sobench.runs.record import Record
from sobench.suite.conditions import batches_are_small
from sobench.suite.input import Input
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite

_WARMUP_SHARE = 0.1
_USUAL_THRESHOLD = 0.05
"""Score that a detection must exceed in the field's codebases; less costs time alone."""
_TOO_LARGE = 2.0
"""Smallest anchor over the median object; at twice the side a square's IoU is a quarter."""
_UNREACHABLE = 0.001
"""Share of objects beyond the limit of detections that matters: methods lie as close in AP."""
_FAR_FEWER = 0.5
"""Share of the best row's coverage below which the anchors say more than the method."""
_NAMED = 4


def cautions(
    suite: Suite, rows: Sequence[AuditRow], data: Data | None, images: dict[str, int]
) -> tuple[str, ...]:
    """All that a reader of the suite's leaderboard should know first.

    Args:
        images: of each split; empty if they are not known.
    """
    of_rows: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        for text in _of_row(row, data):
            of_rows[text].append(row.label)
    texts = [
        text if len(labels) == len(rows) else f"{text} ({named(labels)})"
        for text, labels in of_rows.items()
    ]
    if "train" in images:
        texts += _warmups(rows, images["train"])
    texts += _coverages(rows) + _lengths(rows, suite.schedule.epochs)
    texts += _trials(rows) + _versions(rows) + _records(rows)
    return (*texts, *_of_data(suite, data))


def _of_row(row: AuditRow, data: Data | None) -> Iterator[str]:
    """What holds for a single row; the same words for every row that it holds for."""
    suite = row.run.suite
    schedule, backbone = suite.schedule, suite.backbone
    falls = schedule.decay == "cosine" or (schedule.milestones and schedule.gamma < 1)
    # What goes on from trained weights may have a low rate from the start.
    if not falls and row.epochs_of_weights == schedule.epochs and row.run.origin is None:
        yield (
            "the learning rate never falls, so that scores hang on the last steps; write "
            "schedule.milestones and a gamma below 1, or decay: cosine"
        )
    if backbone.norm == "train" and backbone.name != "vgg16" and batches_are_small(suite):
        yield (
            f"backbone.norm: train takes its statistics from {schedule.batch_size} images, which "
            "is noisy below 16 and weighs on methods unequally; raise schedule.batch_size, or "
            "freeze the norm of trained weights"
        )
    if suite.detect.score_threshold > _USUAL_THRESHOLD:
        yield (
            f"detect.score_threshold: {suite.detect.score_threshold:g} cuts off detections that "
            f"AP counts, more of a method with low scores; write {_USUAL_THRESHOLD:g} or less"
        )
    median = data.median_side(suite.input) if data else None
    if median is not None:
        yield from _sizes(row, median)


def _warmups(rows: Sequence[AuditRow], images: int) -> list[str]:
    """Rows whose warm-up is a large share of their training; every stage has the suite's."""
    from sobench.data.batches import steps_per_epoch  # which imports torch

    found: dict[str, tuple[int, int, int]] = {}
    for row in rows:
        schedule = row.run.suite.schedule
        own = [t for t in row.trainings if t.is_own and t.epochs]
        steps = sum(t.epochs for t in own) * steps_per_epoch(images, schedule.batch_size)
        warm = len(own) * schedule.warmup.steps
        if warm > _WARMUP_SHARE * steps:
            found[row.label] = (warm, steps, int(_WARMUP_SHARE * steps / len(own)))
    if not found:
        return []
    worst = min(found, key=lambda label: found[label][2])
    warm, steps, most = found[worst]
    of_whom = "every row" if len(found) == len(rows) else named(list(found))
    share = f"{100 * warm / steps:.0f} %" if warm < steps else "all"
    return [
        f"schedule.warmup takes more than a tenth of the training of {of_whom}, {share} of the "
        f"{steps} steps of {worst}; write steps: {most} or fewer, or more epochs"
    ]


def _sizes(row: AuditRow, median: float) -> Iterator[str]:
    """Anchors and strides against the median side of the training objects, in the input."""
    if row.smallest is not None and row.smallest > _TOO_LARGE * median:
        yield (
            f"the smallest anchor has {row.smallest:.0f} px, more than twice the median object of "
            f"{median:.1f} px; lower anchors.smallest, write anchors: fit, or raise input.size"
        )
    if row.stride is not None and row.stride > median:
        yield (
            f"the finest stride of {row.stride:g} px is larger than the median object of "
            f"{median:.1f} px: neighbours share a cell; raise input.size"
        )


def _coverages(rows: Sequence[AuditRow]) -> list[str]:
    """Rows whose anchors meet far fewer objects than those of others at the same input."""
    best: dict[Input, AuditRow] = {}
    known = [row for row in rows if "all" in row.coverage]
    for row in known:
        other = best.setdefault(row.run.suite.input, row)
        if row.coverage["all"] > other.coverage["all"]:
            best[row.run.suite.input] = row
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in known:
        top, share = best[row.run.suite.input], row.coverage["all"]
        if share < _FAR_FEWER * top.coverage["all"]:
            those = f"those of {top.label} {100 * top.coverage['all']:.0f} %"
            found[f"{100 * share:.0f} %", those].append(row.label)
    return [
        f"{named(labels)}: the anchors meet {share} of the training objects, {those}: ranks tell "
        "of anchors first; compare rows of the same anchors"
        for (share, those), labels in found.items()
    ]


def _lengths(rows: Sequence[AuditRow], usual: int) -> list[str]:
    """Rows whose weights train longer than the suite's epochs, without a control of that length.

    Args:
        usual: the suite's epochs.
    """
    plain = {row.epochs_of_weights for row in rows if _is_plain(row)}
    found: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for row in rows:
        longer = row.epochs_of_weights
        if not _is_plain(row) and longer > usual and longer not in plain:
            parts = " + ".join(f"{t.name} {t.epochs}" for t in row.trainings if t.of_weights)
            found[longer, parts].append(row.label)
    return [
        f"{named(labels)}: the weights train for {longer} epochs ({parts}), the suite's for "
        f"{usual}, and no other row trains as long; add one with deviations: "
        f"{{schedule.epochs: {longer}}}"
        for (longer, parts), labels in found.items()
    ]


def _is_plain(row: AuditRow) -> bool:
    """Whether the row is one training from the first weights."""
    return len(row.trainings) == 1 and row.epochs == row.run.suite.schedule.epochs


def _trials(rows: Sequence[AuditRow]) -> list[str]:
    numbers = {row.label: row.run.choice.trials if row.run.choice else 0 for row in rows}
    if len({*numbers.values()}) < 2:
        return []
    text = named([f"{label} {number}" for label, number in numbers.items()])
    return [
        f"rows were tuned with different numbers of trials ({text}); tune every row with "
        "`sobench tune`, or none"
    ]


def _versions(rows: Sequence[AuditRow]) -> list[str]:
    """Code, libraries and machines of the records, where rows differ in them."""
    found = []
    for what, way_out in (
        ("code", "train the older rows again before ranks are read"),
        ("torch", "train with one version"),
        ("machine", "ranks stand, latency and speed do not compare"),
    ):
        by_value: defaultdict[str, list[str]] = defaultdict(list)
        for row in rows:
            for value in {_version(record, what) for record in row.records} - {""}:
                by_value[value].append(row.label)
        if len(by_value) > 1:
            text = "; ".join(f"{value}: {named(labels)}" for value, labels in by_value.items())
            found.append(f"results are of {len(by_value)} values of {what} ({text}); {way_out}")
    return found


def _version(record: Record, what: str) -> str:
    environment = record.environment
    if environment is None:
        return ""
    return {
        "code": f"sobench {environment.code}",
        "torch": environment.packages.get("torch", ""),
        "machine": environment.device,
    }[what]


def _records(rows: Sequence[AuditRow]) -> list[str]:
    """Rows whose results were made by another network, or under other declared deviations."""
    found = []
    for row in rows:
        costs = [record.cost for record in row.records if record.cost]
        if any(row.parameters not in (None, cost.parameters) for cost in costs):
            numbers = ", ".join(f"{number:,}" for number in {cost.parameters for cost in costs})
            found.append(
                f"{row.label}: its network has {row.parameters:,} parameters, that of its results "
                f"{numbers}: the code has changed since; train it again"
            )
        elif any(_other(row.gflops, cost.gflops) for cost in costs):
            numbers = ", ".join(f"{cost.gflops:.3f}" for cost in costs if cost.gflops)
            found.append(
                f"{row.label}: its network takes {row.gflops:.3f} GFLOPs, that of its results "
                f"{numbers}: the code has changed since; train it again"
            )
        told = {text for record in row.records for text in record.deviations}
        if row.records and told - {*row.run.deviations}:
            found.append(
                f"{row.label}: when its results were made it declared other deviations, such as "
                f"{min(told - {*row.run.deviations})!r}; train it again if its method has changed"
            )
    return found


def _other(here: float | None, there: float | None) -> bool:
    return here is not None and there is not None and not isclose(here, there, rel_tol=1e-6)


def _of_data(suite: Suite, data: Data | None) -> Iterator[str]:
    """The limit of detections, classes without objects, and what the checks of the data found."""
    if data is None:
        return
    yield from _limits(suite, data)
    for name, dataset in (("val", data.val), ("train", data.train)):
        labels = np.concatenate([image.labels for image in dataset.images])
        number = len(dataset.classes)
        empty = np.flatnonzero(np.bincount(labels, minlength=number) == 0)
        if len(empty):
            classes = named([dataset.classes[label] for label in empty])
            effect = "have no score" if name == "val" else "cannot be learnt"
            yield (
                f"{name}: {len(empty)} of {number} classes have no object ({classes}) and {effect};"
                " choose other images, or leave the classes out of the data"
            )
    yield from data.warnings


def _limits(suite: Suite, data: Data) -> Iterator[str]:
    """Objects of images with more of them than detections count."""
    limit, protocol = suite.detect.max_detections, PROTOCOLS[suite.protocol]
    scored = protocol.ap_limit or max(protocol.max_dets, default=limit)
    counts = np.asarray([len(image.boxes) for image in data.val.images])
    # The protocol's limit is one for each class of an image.
    by_class = [n for image in data.val.images for n in np.bincount(image.labels)]
    beyond = {
        f"detect.max_detections: {limit}": int(np.clip(counts - limit, 0, None).sum()),
        f"protocol {suite.protocol}: {scored} of a class": sum(
            max(0, n - scored) for n in by_class
        ),
    }
    what, number = max(beyond.items(), key=lambda item: item[1])
    if number > _UNREACHABLE * counts.sum():
        yield (
            f"{what} in an image, and a val image holds up to {counts.max()} objects (median "
            f"{np.median(counts):g}): {number} of {counts.sum()} objects "
            f"({100 * number / counts.sum():.1f} %) cannot be found; raise the limit"
        )


def named(labels: Sequence[str], most: int = _NAMED) -> str:
    """The first labels, and the number of the others."""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return f"{', '.join(labels[:most])}{more}"
