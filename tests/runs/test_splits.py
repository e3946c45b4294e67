"""The images that runs train on and are scored on."""

from __future__ import annotations

from dataclasses import replace

from sobench.data.dataset import Dataset
from sobench.data.load import load
from sobench.runs.splits import load_split
from tests.tiny_suite import tiny_run

HIDING = {"train": 12, "val": 12, "objects": [20, 30]}
"""Scenes so full that some objects are mostly hidden, which makes them ignore regions."""


def regions(dataset: Dataset) -> int:
    return sum(len(image.ignore) for image in dataset.images)


def test_regions_are_left_out_unless_the_suite_says_otherwise() -> None:
    run = tiny_run(dataset=HIDING)
    whole = load(run.suite.dataset, "train")
    assert regions(whole) > 0
    assert regions(load_split(run, "train")) == regions(whole)
    background = load_split(tiny_run(dataset=HIDING, ignore_regions=False), "train")
    assert regions(background) == 0
    # Of the images nothing else is another.
    for ours, theirs in zip(background.images, whole.images, strict=True):
        assert ours.ignore_labels.shape == (0,)
        assert (ours.name, ours.labels.tolist()) == (theirs.name, theirs.labels.tolist())
        assert ours.boxes.tolist() == theirs.boxes.tolist()


def test_scoring_has_its_regions_in_any_case() -> None:
    run = tiny_run(dataset=HIDING, ignore_regions=False)
    assert regions(load_split(run, "val")) == regions(load(run.suite.dataset, "val")) > 0
    trial = replace(run, holdout=0.5)
    assert regions(load_split(trial, "val")) > 0
    assert regions(load_split(trial, "train")) == 0
