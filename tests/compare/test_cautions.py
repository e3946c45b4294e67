"""Where uniform is only nominal: for each sentence a suite that has it and one that has not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sobench.compare.audit import AuditRow, Data, Training
from sobench.compare.cautions import cautions
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.runs.record import Record
from sobench.suite.plan import Run, plan
from sobench.suite.tuned import Choice
from tests.records import COST, ENVIRONMENT, record_of
from tests.tiny_suite import tiny_suite

FULL: dict[str, Any] = {"schedule": {"batch_size": 16, "warmup": {"steps": 0}}}
"""Changes of the tiny suite that leave nothing to warn of."""


def no_image(index: int) -> ImageArray:
    raise AssertionError(f"image {index} was read")


def split(sides: list[list[float]], labels: list[list[int]] | None = None) -> Dataset:
    """Images of 64 x 64 px with objects of these sides, of both classes in turn."""
    images = []
    for number, of_image in enumerate(sides):
        its_labels = labels[number] if labels else [i % 2 for i in range(len(of_image))]
        images.append(AnnotatedImage(
            id=number,
            name=f"{number}.jpg",
            width=64,
            height=64,
            boxes=as_boxes([(0, 0, side, side) for side in of_image]),
            labels=as_labels(its_labels),
            areas=np.asarray(of_image, dtype=np.float64) ** 2,
            ignore=as_boxes([]),
            ignore_labels=as_labels([]),
        ))  # fmt: skip
    return Dataset("drawn", ("car", "bus"), (1, 2), tuple(images), no_image)


FINE = Data(split([[20.0, 20.0]] * 40), split([[20.0, 20.0]] * 4))


def runs_of(**changes: Any) -> list[Run]:
    """The runs of the tiny suite with these changes, which fall on ``FULL``."""
    sections = FULL | changes
    for key in FULL.keys() & changes.keys():
        sections[key] = FULL[key] | changes[key]
    return plan(tiny_suite(**sections))


def rows_of(runs: list[Run], **values: Any) -> list[AuditRow]:
    defaults: dict[str, Any] = {
        "smallest": 12.0,
        "stride": 8.0,
        "coverage": {"all": 0.9},
        "parameters": COST.parameters,
        "gflops": COST.gflops,
    }
    return [
        AuditRow(
            run, trainings=(Training("train", run.suite.schedule.epochs),), **defaults | values
        )
        for run in runs
    ]


def texts(
    runs: list[Run], rows: list[AuditRow] | None = None, data: Data | None = FINE
) -> tuple[str, ...]:
    images = {"train": len(data.train.images), "val": len(data.val.images)} if data else {}
    return cautions(runs[0].suite, rows or rows_of(runs), data, images)


def test_nothing_is_said_of_what_is_fine() -> None:
    assert texts(runs_of()) == ()
    assert texts(runs_of(methods=["fpn", "ssd"])) == ()
    assert texts(runs_of(), data=None) == ()


def check(found: tuple[str, ...], *words: str) -> None:
    """One sentence with these words."""
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": {"milestones": []}}, ["never falls", "decay: cosine"]),
        ({"schedule": {"gamma": 1.0}}, ["never falls"]),
        ({"schedule": {"batch_size": 2}}, ["backbone.norm: train", "from 2 images"]),
        (
            {"detect": {"score_threshold": 0.2}},
            ["detect.score_threshold: 0.2", "write 0.05 or less"],
        ),
    ],
)
def test_settings(changes: dict[str, Any], words: list[str]) -> None:
    check(texts(runs_of(**changes)), *words)


def test_a_cosine_falls_and_frozen_norms_take_any_batch() -> None:
    assert texts(runs_of(schedule={"milestones": [], "decay": "cosine"})) == ()
    backbone = {"weights": "imagenet", "norm": "frozen"}
    assert texts(runs_of(backbone=backbone, schedule={"batch_size": 2})) == ()


def test_what_goes_on_from_trained_weights_may_have_one_rate() -> None:
    further = {"name": "fpn", "label": "further", "init_from": "fpn",
               "deviations": {"schedule.milestones": [], "reason": "why not"}}  # fmt: skip
    runs = runs_of(methods=["fpn", further])
    fpn, row = rows_of(runs)
    before = Training("init_from fpn", 3, is_own=False)
    found = texts(runs, [fpn, replace(row, trainings=(before, *row.trainings))])
    check(found, "further: the weights train for 6 epochs (init_from fpn 3 + train 3), the suite")


def test_a_sentence_names_its_rows_unless_it_holds_for_all() -> None:
    slow = {"name": "fpn", "label": "flat",
            "deviations": {"schedule.milestones": [], "reason": "why not"}}  # fmt: skip
    check(texts(runs_of(methods=["fpn", slow])), "never falls", "(flat)")


def test_the_warm_up_is_held_against_all_steps_of_a_row() -> None:
    # 40 images in batches of 16 are 2 steps an epoch; 3 epochs are 6 steps.
    assert texts(runs_of(schedule={"warmup": {"steps": 0}})) == ()
    check(texts(runs_of(schedule={"warmup": {"steps": 3}})), "50 % of the 6 steps",
          "of every row, 50 %", "write steps: 0 or fewer")  # fmt: skip
    check(texts(runs_of(schedule={"warmup": {"steps": 9}})), "all of the 6 steps")
    runs = runs_of(schedule={"epochs": 40, "warmup": {"steps": 8}})  # a tenth of 80
    assert texts(runs) == ()
    two_stages = (Training("train", 40), Training("further", 20))  # 16 of 120
    staged = [replace(rows_of(runs)[0], trainings=two_stages)]
    assert "13 % of the 120 steps of fpn" in texts(runs, staged)[0]


def test_the_smallest_anchor_against_the_median_object() -> None:
    runs = runs_of()
    assert texts(runs, rows_of(runs, smallest=40.0)) == ()
    check(texts(runs, rows_of(runs, smallest=40.1)), "smallest anchor has 40 px", "20.0 px")


def test_the_finest_stride_against_the_median_object() -> None:
    runs = runs_of()
    check(texts(runs, rows_of(runs, stride=32.0)), "finest stride of 32 px", "20.0 px")


def test_far_fewer_objects_met_than_by_another_row() -> None:
    runs = runs_of(methods=["fpn", "ssd"])
    fpn, ssd = rows_of(runs)
    assert texts(runs, [fpn, replace(ssd, coverage={"all": 0.5})]) == ()
    found = texts(runs, [fpn, replace(ssd, coverage={"all": 0.03})])
    check(found, "ssd: the anchors meet 3 % of the training objects, those of fpn 90 %")


def test_more_objects_than_detections() -> None:
    crowd = split([[20.0] * 200, [20.0] * 2])  # 100 of each class: as many as the protocol scores
    data = Data(FINE.train, crowd)
    check(texts(runs_of(), data=data), "detect.max_detections: 100", "up to 200 objects",
          "100 of 202 objects (49.5 %) cannot be found")  # fmt: skip
    assert texts(runs_of(detect={"max_detections": 200}), data=data) == ()
    one_class = Data(FINE.train, split([[20.0] * 200, [20.0]], [[0] * 200, [1]]))
    check(texts(runs_of(detect={"max_detections": 200}), data=one_class),
          "protocol coco: 100 of a class", "100 of 201")  # fmt: skip
    # Its recall looks at 1000, and its AP at 100.
    soda = runs_of(detect={"max_detections": 1000}, protocol="soda-d")
    check(texts(soda, data=one_class), "protocol soda-d: 100 of a class", "100 of 201")
    # One object in two thousand changes nothing that could be told apart.
    few = Data(FINE.train, split([[20.0] * 101] + [[20.0] * 50] * 40))
    assert texts(runs_of(), data=few) == ()


def test_classes_without_objects() -> None:
    cars = split([[20.0]] * 40, [[0]] * 40)
    check(texts(runs_of(), data=Data(FINE.train, cars)), "val: 1 of 2 classes", "(bus)", "no score")
    check(texts(runs_of(), data=Data(cars, FINE.val)), "train: 1 of 2 classes", "learnt")


def test_warnings_of_the_data_are_passed_on() -> None:
    data = Data(FINE.train, FINE.val, ("val: 2 of its 4 images are in train as well",))
    assert texts(runs_of(), data=data) == data.warnings


def test_different_numbers_of_trials() -> None:
    runs = runs_of(methods=["fpn", "ssd"])
    fpn, ssd = rows_of(runs)
    choice = Choice({"schedule.lr": 0.005}, "tuned.yaml", 4, 9)
    tuned = replace(fpn, run=replace(fpn.run, choice=choice))
    check(texts(runs, [tuned, ssd]), "different numbers of trials (fpn 4, ssd 0)")
    both = [tuned, replace(ssd, run=replace(ssd.run, choice=choice))]
    assert texts(runs, both) == ()


def test_weights_that_train_for_longer_than_any_plain_row() -> None:
    runs = runs_of(methods=["fpn", "efpn"])
    fpn, efpn = rows_of(runs)
    baseline = Training("baseline fpn", 3, is_own=False)
    long = replace(efpn, trainings=(baseline, Training("extension", 3), Training("head", 2)))
    check(texts(runs, [fpn, long]), "efpn: the weights train for 8 epochs (baseline fpn 3 + exten",
          "deviations: {schedule.epochs: 8}")  # fmt: skip
    control = {"name": "fpn", "label": "control",
               "deviations": {"schedule.epochs": 8, "reason": "as long as efpn"}}  # fmt: skip
    runs = runs_of(methods=["fpn", "efpn", control])
    assert texts(runs, [fpn, long, rows_of(runs)[2]]) == ()
    # A teacher's epochs are not the weights'.
    teacher = Training("teacher fpn", 3, of_weights=False, is_own=False)
    taught = replace(efpn, trainings=(teacher, Training("train", 3)))
    assert texts(runs, [fpn, taught]) == ()


def kept(run: Run, **changes: Any) -> tuple[Record, ...]:
    return (record_of(run, 0.5, **changes),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": "0.2.0"}, ["2 values of code", "sobench 0.2.0: ssd", "0.1.0 abcdef0123: fpn"]),
        ({"packages": {"torch": "9.0"}}, ["2 values of torch", "9.0: ssd"]),
        ({"device": "a GPU"}, ["2 values of machine", "a GPU: ssd", "latency and speed"]),
    ],
)
def test_rows_of_other_versions(change: dict[str, Any], words: list[str]) -> None:
    runs = runs_of(methods=["fpn", "ssd"])
    fpn, ssd = rows_of(runs)
    here = replace(fpn, records=kept(fpn.run))
    assert texts(runs, [here, replace(ssd, records=kept(ssd.run))]) == ()
    other = ENVIRONMENT.model_copy(update=change)
    there = replace(ssd, records=kept(ssd.run, environment=other))
    check(texts(runs, [here, there]), *words)


def test_results_of_another_network() -> None:
    runs = runs_of()
    (row,) = rows_of(runs)
    assert texts(runs, [replace(row, records=kept(row.run))]) == ()
    larger = COST.model_copy(update={"parameters": 9})
    found = texts(runs, [replace(row, records=kept(row.run, cost=larger))])
    check(found, "fpn: its network has 2,500,000 parameters, that of its results 9")
    slower = COST.model_copy(update={"gflops": 9.0})
    found = texts(runs, [replace(row, records=kept(row.run, cost=slower))])
    check(found, "takes 1.250 GFLOPs, that of its results 9.000")
    found = texts(runs, [replace(row, records=kept(row.run, deviations=("own loss",)))])
    check(found, "declared other deviations, such as 'own loss'")
