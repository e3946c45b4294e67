"""EFPN: its maps, its distillation, and the baseline that it starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sobench.errors import SuiteError
from sobench.models.build import build_detector
from sobench.models.check import check_detector
from sobench.models.methods.efpn.model import Distillation
from sobench.models.parts.backbone import build_backbone
from sobench.suite.network import Backbone
from tests.models import small_config as planted
from tests.models.methods.efpn.networks import (
    HEADS,
    FixedTransfer,
    baseline,
    batch,
    learn,
    network,
    suite_of,
    total,
)


@pytest.mark.parametrize("level", [2, 3])
def test_the_finer_map_is_of_the_same_layers(level: int) -> None:
    settings = Backbone(name="resnet18", weights="none", norm="train")
    backbone = build_backbone(settings).eval()
    images = torch.rand(1, 3, 70, 90)
    stem = list(backbone.stem.children())
    calls: list[int] = []
    stem[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        maps, finer = backbone.forward_with_finer(images, level)
        assert len(calls) == 1
        plain = backbone(images)
        expected = backbone.layer1(stem[2](stem[1](stem[0](images))))
        if level == 3:
            expected = backbone.layer2(expected)
    assert torch.equal(finer, expected)
    assert finer.shape[-2:] == {2: (35, 45), 3: (18, 23)}[level]
    assert all(torch.equal(a, b) for a, b in zip(maps, plain, strict=True))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [(64, 64), (240, 104), (70, 90)])
def test_what_is_compared_has_one_shape(head: str, size: tuple[int, int]) -> None:
    detector = network(head).eval()
    images, _targets, images_2x = batch(size)
    with torch.no_grad():
        features, finer, inner = detector.base_maps(images)
        finest, transferred = detector.extend(inner, finer)
        pyramid = detector.neck.levels(inner, features[-1])
        finest_target, transferred_target = detector.teacher_features(images_2x)
    assert finest.shape == finest_target.shape
    assert transferred.shape == transferred_target.shape == pyramid[0].shape
    stride = {"faster_rcnn": 4, "retinanet": 8}[head]
    assert pyramid[0].shape[-2:] == tuple(-(-side // stride) for side in size)
    assert finest.shape[-2:] == tuple(-(-side * 2 // stride) for side in size)


@pytest.mark.parametrize("head", HEADS)
def test_targets_are_those_of_the_baseline(head: str) -> None:
    detector, plain = network(head), baseline(head)
    detector.load_required("baseline", plain)
    plain.eval()
    _, _targets, images_2x = batch()
    with torch.no_grad():
        finest, transferred = detector.train().teacher_features(images_2x)
        pyramid = plain.pyramid(images_2x)
        features = plain.backbone((images_2x - plain.mean) / plain.std)
        sums = plain.neck.fused(features)  # type: ignore[operator]
        second = plain.neck.output[1](sums[1])  # type: ignore[index, operator]
    assert torch.equal(finest, pyramid[0])
    assert torch.equal(transferred, sums[1])
    assert torch.equal(second, pyramid[1])


@pytest.mark.parametrize("place", ["inner", "out"])
def test_what_the_transfer_reads(place: str) -> None:
    detector = network(ftt_in=place).eval()
    transfer = detector.extension.transfer = FixedTransfer()
    images, targets, images_2x = batch()
    with torch.no_grad():
        _, *pyramid = detector.pyramid(images)
        detector.distillation_losses(images, targets, images_2x, Distillation(1.0, transfer=False))
        features = detector.backbone((images - detector.mean) / detector.std)
        expected = detector.neck.fused(features) if place == "inner" else pyramid
    assert len(transfer.inputs) == 2  # in detection, and in distillation
    for upper, lower in transfer.inputs:
        assert torch.equal(upper, expected[1])
        assert torch.equal(lower, expected[0])


@pytest.mark.parametrize(
    ("switches", "weight", "names"),
    [
        ({}, 1.0, ["distill", "distill_transfer"]),
        ({"lambda_pos": 1.5}, 1.5, ["distill", "distill_transfer"]),
        ({"balanced": False}, 0.0, ["distill", "distill_transfer"]),
        ({"distill_ftt": False}, 1.0, ["distill"]),
        ({"ftt": "nearest"}, 1.0, ["distill"]),
    ],
)
@pytest.mark.parametrize(("head", "scale"), [("faster_rcnn", 1), ("retinanet", 2)])
def test_distillation_by_hand(
    monkeypatch: pytest.MonkeyPatch,
    switches: dict[str, Any],
    weight: float,
    names: list[str],
    head: str,
    scale: int,
) -> None:
    """Boxes come to the cells of either map by its stride in the image of once the size."""
    detector = network(head, **switches)
    fine, coarse = torch.zeros(1, 2, 8, 10), torch.zeros(1, 2, 4, 5)
    finest_target, transferred_target = fine.clone(), coarse.clone()
    # 3 x 2 cells of the finer map lie about the box, and 2 x 1 of the other.
    finest_target[0, 0, 2:4, 1:4] = 1.0
    finest_target[0, 1, 7, 9] = -5.0
    transferred_target[0, :, 1:2, 0:2] = 3.0
    monkeypatch.setattr(detector, "base_maps", lambda _: ([], fine, []))
    monkeypatch.setattr(detector, "extend", lambda *_: (fine, coarse))
    monkeypatch.setattr(detector, "teacher_features", lambda _: (finest_target, transferred_target))
    box = tuple(scale * side for side in (3.0, 5.0, 7.5, 8.0))
    detector.start_stage(detector.stages[0])
    losses = detector(torch.zeros(1, 3, 16, 20), planted.targets([[box]], [[0]]))
    assert list(losses) == names
    assert losses["distill"].item() == pytest.approx((6 + 5) / 160 + weight * 6 / (6 * 2))
    if "distill_transfer" in names:
        assert losses["distill_transfer"].item() == pytest.approx(12 / 40 + weight * 3)


def test_images_at_twice_the_size_are_missed() -> None:
    detector = network()
    detector.start_stage(detector.stages[0])
    images, targets, _images_2x = batch()
    with pytest.raises(ValueError, match="twice the size"):
        detector(images, targets)


@pytest.mark.parametrize("head", HEADS)
def test_it_starts_from_the_baseline(head: str) -> None:
    detector, plain = network(head), baseline(head)
    extension = {k: x.clone() for k, x in detector.extension.state_dict().items()}
    detector.load_required("baseline", plain)
    original = detector.head.original.state_dict()
    for part, name in (
        (detector.backbone, "backbone"), (detector.neck, "neck"), (detector.head.original, "head"),
    ):  # fmt: skip
        expected = plain.get_submodule(name).state_dict()
        assert part.state_dict().keys() == expected.keys()
        assert all(torch.equal(x, expected[key]) for key, x in part.state_dict().items())
    prefix = "classifier." if head == "faster_rcnn" else ""
    small = detector.head.small.state_dict()
    assert small
    assert all(torch.equal(x, original[prefix + key]) for key, x in small.items())
    assert all(torch.equal(x, extension[k]) for k, x in detector.extension.state_dict().items())
    # What the new head learns must not reach the one that it began as.
    next(detector.head.small.parameters()).data.add_(1)
    assert all(torch.equal(x, plain.head.state_dict()[key])  # type: ignore[attr-defined]
               for key, x in detector.head.original.state_dict().items())  # fmt: skip


def test_as_it_is_built_it_is_the_baseline_of_its_seed() -> None:
    detector, suite = network(), suite_of("fpn", head="faster_rcnn")
    plain = build_detector(suite, suite.methods[0], 5, 0)
    for part, name in zip(detector.shared, ("backbone", "neck", "head"), strict=True):
        expected = plain.get_submodule(name).state_dict()
        assert all(torch.equal(x, expected[key]) for key, x in part.state_dict().items())


def test_other_origins() -> None:
    detector, other = network(), network()
    other.extension.lateral.weight.data.fill_(3)  # type: ignore[operator]
    detector.load_required("init_from", other)
    assert all(torch.equal(x, other.state_dict()[k]) for k, x in detector.state_dict().items())
    with pytest.raises(ValueError, match="no use for a teacher"):
        detector.load_required("teacher", baseline())


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_state_goes_on_as_it_was(head: str) -> None:
    one, other = network(head), network(head)
    one.load_required("baseline", baseline(head))
    learn(one, one.stages[0])
    other.load_required("baseline", baseline(head))
    other.load_state_dict(one.state_dict())
    images, targets, images_2x = batch()
    values = []
    for detector in (one, other):
        detector.start_stage(detector.stages[1])
        torch.manual_seed(1)
        with torch.no_grad():
            values.append(total(detector.train()(images, targets, images_2x)).item())
    assert values[0] == values[1]
    detections = [detector.eval()(images) for detector in (one, other)]
    assert torch.equal(detections[0].boxes, detections[1].boxes)


@pytest.mark.parametrize("head", HEADS)
def test_shapes_alone_go_through_it(head: str) -> None:
    suite = suite_of("efpn", head=head)
    check_detector(suite, suite.methods[0])


@pytest.mark.parametrize(
    "row",
    [
        {"ftt": "espcn", "preset": "author"},
        {"distill": False, "balanced": False},
        {"balanced": False, "lambda_pos": 0.5},
        {"distill": False, "distill_ftt": False},
    ],
)
def test_switches_without_effect_are_refused(row: dict[str, Any]) -> None:
    with pytest.raises(SuiteError, match="has no effect with"):
        suite_of({"name": "efpn"} | row)
