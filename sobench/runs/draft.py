"""A suite that fits a data set and this machine, with the reason for every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sobench.data.batches import steps_per_epoch
from sobench.data.resize import box_wh, input_boxes
from sobench.data.survey import Survey
from sobench.device import device_name
from sobench.models.build import build_without_storage
from sobench.models.coverage import IOU, coverage
from sobench.runs.estimate import STEPS, Estimate, estimate
from sobench.runs.recipes import Recipe, choose_recipe
from sobench.suite.plan import plan
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.reader import parse
from sobench.suite.sections import Suite

_MULTIPLE = 32
"""Sides of inputs are multiples of the stride of a backbone's last map."""

_SHORTEST = 128
"""Pixels of the longer side of an input below which small objects are gone."""

_LARGEST_SCALE = 2.0
"""Images are not enlarged by more: that adds pixels and no detail."""

_ANCHORS = (12, 16, 20, 24, 32, 48, 64)
"""Sides of the smallest anchor that are tried, from 1.5 strides of the head's finest map on."""

_SPARE = 0.9
"""Share of the time for steps and detection; the rest is for reading, scoring and costs."""

_TRIES = 4
"""Measurements, each of a smaller input than the one before."""

_EPOCHS_TIMED = 10
"""Of the suite whose steps are timed, so that stages with a share of the epochs are in it."""

_TINY = 16
"""Median side of objects in pixels of the images below which the bins of AI-TOD tell more."""

_FORMATS = {"visdrone": "visdrone-coco", "tt100k": "coco-bins50"}
"""Format -> the protocol that papers have for it; others have COCO's."""


@dataclass(frozen=True)
class Draft:
    """A suite that was drafted.

    Attributes:
        content: of the suite file, in its order.
        reasons: key of the content -> why it has its value.
        estimates: label -> what the row will cost, by the steps that were timed on this machine.
        minutes: that the whole suite will take.
        cautions: what is to be known before its results are believed.
    """

    content: Mapping[str, Any]
    reasons: Mapping[str, str]
    estimates: Mapping[str, Estimate]
    minutes: float
    cautions: tuple[str, ...]


def draft(
    survey: Survey,
    name: str,
    device: torch.device,
    minutes: float,
    on_row: Callable[[str], None] = lambda _: None,
) -> Draft:
    """A suite for a data set: the largest input and the longest training that the time allows.

    Every row is timed on real images. If the time allows too few steps, the input becomes smaller,
    but not so small that the smaller objects have less than half the pixels that they should have.

    Args:
        name: of the suite.
        device: that it is to run on.
        minutes: for all rows and seeds together.
        on_row: told of each row before it is timed.
    """
    recipe = choose_recipe(device)
    images, longest = len(survey.train.images), recipe.longest
    for number in range(1, _TRIES + 1):
        size, why_size = input_size(survey, recipe, longest)
        content = _content(survey, name, recipe, size)
        smallest, met = _best_anchors(survey, content)
        content["anchors"] = {"smallest": smallest}
        # Rows cost about the same, so that the first tells whether the input is too large.
        first = _estimates(survey, _suite(content | {"methods": content["methods"][:1]}), device)
        guess = {label: e for e in first.values() for label in content["methods"]}
        epochs = _epochs(content, guess, minutes, recipe, images)
        steps = epochs * steps_of_epoch(content, images)
        shortest = shortest_input(survey, recipe)
        if steps >= recipe.least_steps or max(size) <= shortest or number == _TRIES:
            break
        # Time goes with the area of the input.
        shrunk = max(size) * max(0.6, min(0.9, (steps / recipe.least_steps) ** 0.5))
        longest = max(shortest, floor(shrunk / _MULTIPLE) * _MULTIPLE)

    estimates = _estimates(survey, _suite(content), device, on_row)
    epochs = _epochs(content, estimates, minutes, recipe, images)
    steps = epochs * steps_of_epoch(content, images)
    content["schedule"] = _schedule(recipe, epochs, steps)
    seeds = len(content["seeds"])
    estimates = {label: _lengthened(e, epochs) for label, e in estimates.items()}
    needed = seeds * sum(e.seconds for e in estimates.values()) / 60 / _SPARE
    cautions = list(survey.cautions)
    if needed > minutes:
        cautions.append(f"one epoch of all rows takes {needed:.0f} minutes, more than --minutes")
    if steps < recipe.least_steps:
        cautions.append(
            f"{steps} steps are too few to learn much ({recipe.least_steps} would do); raise "
            f"--minutes to {ceil(needed * recipe.least_steps / max(1, steps))}"
        )
    reasons = dict(recipe.reasons) | {
        "dataset": survey.splits,
        "input": why_size,
        "anchors": f"of {', '.join(map(str, _ANCHORS))} the one with which fpn's anchors meet most "
        f"training objects (IoU {IOU:g}): {100 * met:.0f} %",
        "schedule": f"{recipe.reasons['schedule']}; {epochs} epochs are {steps} steps a row, about "
        f"{needed:.0f} minutes for all rows, by {STEPS} timed steps of each on "
        f"{device_name(device)}",
        "detect": "as many detections as the protocol counts",
        "protocol": _why_protocol(survey, content["protocol"]),
    }
    return Draft(content, reasons, estimates, needed, tuple(cautions))


def input_size(survey: Survey, recipe: Recipe, longest: int) -> tuple[tuple[int, int], str]:
    """Height and width of the input, and why: the smaller objects are to have enough pixels.

    Args:
        longest: pixels of the longer side, at most.
    """
    height, width = survey.image_size
    wanted = min(recipe.small / survey.small_side, _LARGEST_SCALE)
    scale = min(max(wanted, _SHORTEST / max(height, width)), longest / max(height, width))
    sides = (height, width) if survey.has_one_shape else (max(height, width),) * 2
    rounded = [max(1, round(scale * side / _MULTIPLE)) * _MULTIPLE for side in sides]
    size = rounded[0], rounded[1]
    shown = scale * survey.small_side
    why = (
        f"images have {width}x{height} pixels (median) and their smaller objects sides of "
        f"{survey.small_side:.0f}; at this size these have {shown:.0f}"
    )
    if shown < 0.95 * recipe.small:
        why += f", fewer than the {recipe.small:g} that they should have, for the sake of time"
    why += "; a letterbox keeps the shape of objects"
    return size, why


def shortest_input(survey: Survey, recipe: Recipe) -> int:
    """Pixels of the longer side below which the smaller objects have less than half of theirs."""
    wanted = recipe.small / 2 / survey.small_side * max(survey.image_size)
    return min(recipe.longest, max(_SHORTEST, ceil(wanted / _MULTIPLE) * _MULTIPLE))


def steps_of_epoch(content: Mapping[str, Any], images: int) -> int:
    """Steps of an epoch of a suite's content."""
    return steps_per_epoch(images, content["schedule"]["batch_size"])


def _content(survey: Survey, name: str, recipe: Recipe, size: tuple[int, int]) -> dict[str, Any]:
    """The content of the suite, in the order of its file."""
    values = recipe.values
    protocol = _protocol(survey)
    augment = values["augment"]
    if survey.section["format"] == "tt100k":  # a mirrored sign is another sign
        augment = {"hflip": 0}
    height, width = size
    start = "" if values["backbone"]["weights"] == "imagenet" else " from scratch"
    backbone = values["backbone"]["name"].replace("resnet", "ResNet-")
    return {
        "name": name,
        "title": f"{name}, {height}x{width}, {backbone}{start}",
        "dataset": survey.section,
        "input": {"size": [height, width], "resize": "letterbox"},
        "augment": augment,
        "backbone": values["backbone"],
        "neck": values["neck"],
        "head": values["head"],
        "anchors": {"smallest": _ANCHORS[0]},
        "schedule": values["schedule"] | {"epochs": _EPOCHS_TIMED},
        "precision": values["precision"],
        "device": values["device"],
        "seeds": values["seeds"],
        "detect": {"max_detections": PROTOCOLS[protocol].max_dets[-1]},
        "protocol": protocol,
        "methods": values["methods"],
    }


def _suite(content: Mapping[str, Any]) -> Suite:
    return parse(dict(content), Path(f"{content['name']}.yaml"))


def _best_anchors(survey: Survey, content: dict[str, Any]) -> tuple[float, float]:
    """The smallest anchor with which most training objects are met, and the share of these."""
    met: dict[float, float] = {}
    for smallest in _ANCHORS:
        suite = _suite(content | {"anchors": {"smallest": smallest}})
        (fpn,) = (row for row in suite.methods if row.label == "fpn")
        detector = build_without_storage(suite, fpn, box_wh(survey.train, suite.input))
        found = coverage(detector, input_boxes(survey.train, suite.input), smallest)
        met[smallest] = float(np.mean(found.own >= IOU)) if found else 0.0
    best = max(met.values())
    # Of those that are as good, the largest: it has the fewest small false detections.
    return max(side for side, share in met.items() if share >= best - 0.005), best


def _estimates(
    survey: Survey,
    suite: Suite,
    device: torch.device,
    on_row: Callable[[str], None] = lambda _: None,
) -> dict[str, Estimate]:
    found = {}
    for run in plan(suite, "", seeds=suite.seeds[:1]):
        on_row(run.entry.label)
        found[run.entry.label] = estimate(run, survey.train, survey.val, device)
    return found


def _epochs(
    content: Mapping[str, Any],
    estimates: Mapping[str, Estimate],
    minutes: float,
    recipe: Recipe,
    images: int,
) -> int:
    """Epochs that the time allows, at least one."""
    seconds = 60 * minutes * _SPARE / len(content["seeds"])
    detect_s = sum(e.detect_s for e in estimates.values())
    epoch_s = sum(e.steps * e.step_s for e in estimates.values()) / _EPOCHS_TIMED
    most = max(1, recipe.most_steps // steps_of_epoch(content, images))
    return max(1, min(most, floor((seconds - detect_s) / epoch_s)))


def _lengthened(found: Estimate, epochs: int) -> Estimate:
    return replace(found, steps=round(found.steps * epochs / _EPOCHS_TIMED))


def _schedule(recipe: Recipe, epochs: int, steps: int) -> dict[str, Any]:
    """The recipe's schedule over so many epochs, with the warm-up within them."""
    values = recipe.values["schedule"]
    warmup = {"steps": min(500, ceil(steps / 20)), "start": 0.05}
    schedule = {"epochs": epochs, **values, "warmup": warmup}
    if values["decay"] == "milestones":
        schedule["milestones"] = [round(epochs * 2 / 3, 2), round(epochs * 11 / 12, 2)]
    return schedule


def _protocol(survey: Survey) -> str:
    if survey.section["format"] in _FORMATS:
        return _FORMATS[survey.section["format"]]
    return "aitod" if np.median(survey.sides) < _TINY else "coco"


def _why_protocol(survey: Survey, protocol: str) -> str:
    title = PROTOCOLS[protocol].title
    most = max(len(image.boxes) for image in survey.val.images)
    limit = PROTOCOLS[protocol].max_dets[-1]
    more = f"; an image has up to {most} objects, of which {limit} count" if most > limit else ""
    return f"{title}{more}"
