"""What a suite pins for every row, in a few lines of words; no torch."""

from __future__ import annotations

from sobench.suite.datasets import DATASETS
from sobench.suite.heads import HEADS
from sobench.suite.protocols import PROTOCOLS, engine_name
from sobench.suite.schedule import Schedule
from sobench.suite.sections import Suite


def pinned(
    suite: Suite, images: dict[str, int], num_classes: int | None, ignored: int | None
) -> dict[str, str]:
    """Topic -> the suite's values, in words.

    Args:
        images: of each split; empty if they are not known.
        num_classes: ``None`` if it is not known.
        ignored: number of ignore regions to train on; ``None`` if it is not known.
    """
    return {
        "data": _data(suite, images, num_classes),
        "backbone": _backbone(suite),
        "network": _network(suite),
        "training": _training(suite.schedule, suite.precision),
        "images": _augmentation(suite, ignored),
        "scoring": _scoring(suite),
    }


def _data(suite: Suite, images: dict[str, int], num_classes: int | None) -> str:
    dataset = suite.dataset
    splits = f"{dataset.train} to train, {dataset.val} to score"
    counts = ", ".join(f"{number} {name} images" for name, number in images.items())
    parts = [counts or splits, *([f"{num_classes} classes"] if num_classes else [])]
    return f"{DATASETS[dataset.format].title}: {', '.join(parts)}"


def _backbone(suite: Suite) -> str:
    backbone = suite.backbone
    weights = {"none": "from scratch", "imagenet": "ImageNet weights"}.get(
        backbone.weights, f"weights of {backbone.weights}"
    )
    frozen = f"frozen {' and '.join(backbone.freeze)}" if backbone.freeze else "every stage trains"
    parts = [backbone.name, weights, frozen]
    if backbone.name != "vgg16":
        norms = {"frozen": "frozen", "train": "trained"}
        parts.append(f"{norms[backbone.norm]} batch statistics")
    return ", ".join(parts)


def _network(suite: Suite) -> str:
    anchors, neck = suite.anchors, suite.neck
    norm = "GroupNorm" if neck.norm == "group" else "no norm"
    if anchors.fit:
        sizes = "sides and ratios fitted to the training boxes"
    else:
        ratios = ", ".join(f"{ratio:g}" for ratio in anchors.ratios)
        sizes = f"from {anchors.smallest:g} px, ratios {ratios}"
    head = HEADS[suite.head].title.partition(":")[0]
    return (
        f"{head} on {neck.channels} channels, {norm}; anchors {sizes}, {anchors.octaves} an octave"
    )


def _training(schedule: Schedule, precision: str) -> str:
    rule = f"{schedule.optimizer} at {schedule.lr:g}"
    if schedule.optimizer == "sgd":
        rule += f", momentum {schedule.momentum:g}"
    falls = "never falls"
    if schedule.decay == "cosine":
        falls = "cosine"
    elif schedule.milestones:
        when = ", ".join(f"{milestone:g}" for milestone in schedule.milestones)
        falls = f"x{schedule.gamma:g} after {when}"
    clip = f", clipped at {schedule.clip_norm:g}" if schedule.clip_norm else ""
    return (
        f"{schedule.epochs} epochs of {schedule.batch_size} images, {rule}, {falls}, decay "
        f"{schedule.weight_decay:g}, warm-up {schedule.warmup.steps} steps{clip}, {precision}"
    )


def _augmentation(suite: Suite, ignored: int | None) -> str:
    height, width = suite.input.size
    augment, parts = suite.augment, [f"{height}x{width} {suite.input.resize.replace('_', ' ')}"]
    parts += [f"flip {augment.hflip:g}"] if augment.hflip else []
    if augment.scale_jitter:
        low, high = augment.scale_jitter
        parts.append(f"scaled by {low:g} to {high:g} and cropped")
    parts += [f"photometric {augment.photometric:g}"] if augment.photometric else []
    if ignored or (ignored is None and not suite.ignore_regions):
        number = "" if ignored is None else f"{ignored} "
        what = "left out" if suite.ignore_regions else "taken for background"
        parts.append(f"{number}ignore regions {what}")
    seeds = ", ".join(map(str, suite.seeds))
    which = "seed" if len(suite.seeds) == 1 else "seeds"
    return f"{', '.join(parts)}; {which} {seeds}: the same order and draws for every row"


def _scoring(suite: Suite) -> str:
    protocol, detect = PROTOCOLS[suite.protocol], suite.detect
    return (
        f"{protocol.name} v{protocol.version} by {engine_name(protocol, suite.engine)}; at most "
        f"{detect.max_detections} detections an image above {detect.score_threshold:g}, "
        f"NMS at {detect.nms:g}"
    )
