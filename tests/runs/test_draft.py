"""What a draft chooses, by the data and by what steps cost."""

from __future__ import annotations

from collections import Counter
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch

from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.survey import Survey
from sobench.models.check import check_detector
from sobench.runs import draft as drafting
from sobench.runs import recipes
from sobench.runs.draft import draft, input_size
from sobench.runs.estimate import Estimate
from sobench.suite.plan import Run
from sobench.suite.reader import parse
from sobench.suite.sections import Suite

CPU = torch.device("cpu")


def pixels(index: int) -> ImageArray:
    raise AssertionError(f"image {index} was read")


def dataset(sides: list[int], size: tuple[int, int] = (480, 640), images: int = 10) -> Dataset:
    """Images with one object of each side, of one class each."""
    boxes = as_boxes([(5.0, 5.0, 5.0 + side, 5.0 + side) for side in sides])
    height, width = size
    of_image = [
        AnnotatedImage(
            id=n, name=f"{n}.jpg", width=width, height=height, boxes=boxes,
            labels=as_labels(list(range(len(sides)))), areas=np.square(np.array(sides, float)),
            ignore=as_boxes([]), ignore_labels=as_labels([]),
        )
        for n in range(images)
    ]  # fmt: skip
    classes = tuple("abcdefgh"[: len(sides)])
    return Dataset("made up", classes, tuple(range(len(sides))), tuple(of_image), pixels)


def survey_of(data: Dataset, dataset_format: str = "yolo") -> Survey:
    section = {"format": dataset_format, "root": "data"}
    return Survey(section, data, data, "by hand", ())


def costing(monkeypatch: pytest.MonkeyPatch, seconds_per_megapixel: float) -> Counter[int]:
    """Steps of ten epochs that cost in proportion to the input's area; counts the measurements."""
    measured: Counter[int] = Counter()

    def estimate(run: Run, train: Dataset, *_: object) -> Estimate:
        height, width = run.suite.input.size
        measured[max(height, width)] += 1
        steps = 10 * max(1, len(train.images) // run.suite.schedule.batch_size)
        step_s = seconds_per_megapixel * height * width / 1e6
        return Estimate(steps, step_s, 0, 0, None, 0, 0, False)

    monkeypatch.setattr(drafting, "estimate", estimate)
    return measured


def test_smaller_objects_get_their_pixels() -> None:
    recipe = recipes._on_cpu(False)
    # Three classes with as many objects: the smallest class has sides of 40, which become 16.
    data = survey_of(dataset([40, 100, 110]))
    assert data.small_side == 40
    assert input_size(data, recipe, 320)[0] == (192, 256)
    size, why = input_size(data, recipe, 128)
    assert size == (96, 128)
    assert "at this size these have 8, fewer than the 16 that they should have" in why


def test_images_of_several_shapes_get_a_square() -> None:
    data = survey_of(dataset([40]))
    tall = dataset([40], size=(640, 480), images=4).images
    mixed = survey_of(Dataset("mixed", ("a",), (0,), (*data.train.images[:5], *tall), pixels))
    assert data.has_one_shape
    assert not mixed.has_one_shape
    height, width = input_size(mixed, recipes._on_cpu(False), 320)[0]
    assert height == width


def test_small_images_are_enlarged_twice_at_most() -> None:
    data = survey_of(dataset([4], size=(96, 96)))
    assert input_size(data, recipes._on_cpu(False), 320)[0] == (192, 192)


def test_the_input_shrinks_until_there_are_enough_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "can_be_had", lambda _: False)
    data = survey_of(dataset([40, 100, 110], images=40))
    measured = costing(monkeypatch, 20)
    slow = draft(data, "slow", CPU, 20)
    assert len(measured) > 1
    assert max(slow.content["input"]["size"]) < 256
    assert slow.content["schedule"]["epochs"] * 20 >= 600
    assert slow.minutes <= 20
    measured = costing(monkeypatch, 1)
    fast = draft(data, "fast", CPU, 20)
    assert fast.content["input"]["size"] == [192, 256]
    assert list(measured) == [256]
    # Sides of 40 in 640 pixels become 8 at 128; those of 20 would be 4 there.
    assert drafting.shortest_input(data, recipes._on_cpu(False)) == 128
    assert drafting.shortest_input(survey_of(dataset([20])), recipes._on_cpu(False)) == 256
    assert drafting.shortest_input(survey_of(dataset([5])), recipes._on_cpu(False)) == 320
    # 20 minutes but a tenth, over three rows of 20 steps an epoch at .049 s.
    assert fast.content["schedule"]["epochs"] == 300  # 6000 steps are enough


def test_too_little_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "can_be_had", lambda _: False)
    costing(monkeypatch, 1000)
    found = draft(survey_of(dataset([40, 100, 110], images=40)), "late", CPU, 1)
    assert found.content["schedule"]["epochs"] == 1
    assert any("more than --minutes" in text for text in found.cautions)
    assert any("20 steps are too few to learn much" in text for text in found.cautions)


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_every_row_of_a_recipe_can_be_built(
    monkeypatch: pytest.MonkeyPatch, kind: str, has_weights: bool
) -> None:
    monkeypatch.setattr(recipes, "can_be_had", lambda _: has_weights)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    costing(monkeypatch, 0.1)
    device = torch.device(kind)
    monkeypatch.setattr(drafting, "device_name", lambda _: "some device")
    found = draft(survey_of(dataset([30, 100, 110])), "built", device, 10)
    suite: Suite = parse(dict(found.content), Path("built.yaml"))
    steps = suite.schedule.epochs * max(1, 10 // suite.schedule.batch_size)
    assert suite.schedule.warmup.steps == ceil(steps / 20)
    assert set(found.content) - set(found.reasons) == {"name", "title"}
    for row in suite.methods:
        check_detector(suite, row)


@pytest.mark.parametrize(
    ("dataset_format", "sides", "protocol"),
    [("yolo", [40], "coco"), ("yolo", [10], "aitod"), ("visdrone", [10], "visdrone-coco")],
)
def test_the_protocol_fits(
    monkeypatch: pytest.MonkeyPatch, dataset_format: str, sides: list[int], protocol: str
) -> None:
    monkeypatch.setattr(recipes, "can_be_had", lambda _: False)
    costing(monkeypatch, 0.1)
    content = draft(survey_of(dataset(sides), dataset_format), "fit", CPU, 10).content
    assert content["protocol"] == protocol
    most = {"coco": 100, "aitod": 1500, "visdrone-coco": 500}
    assert content["detect"]["max_detections"] == most[protocol]
