"""EFPN's paper as printed: plain sums, P3 as target, and an extension that rests at the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sobench.errors import SuiteError
from sobench.models.methods.efpn import channels_of_finer_map
from sobench.models.methods.efpn.extension import Extension, Nearest
from sobench.models.methods.efpn.model import Efpn
from sobench.models.parts.backbone import build_backbone
from sobench.suite.network import Backbone, Neck
from sobench.suite.plan import plan
from tests.models.methods.efpn.networks import (
    HEADS,
    baseline,
    batch,
    fill,
    learn,
    network,
    plane,
    suite_of,
    total,
)

WIDTH = {"faster_rcnn": 64, "retinanet": 128}
"""Channels of the finer map of a ResNet-18 under each head."""

PAPER: dict[str, Any] = {"ftt_in": "out", "fusion": "plain", "freeze_extension": True}


def paper_form(head: str, **changes: Any) -> Efpn:
    neck = {"channels": WIDTH[head], "norm": "none"}
    detector = network(head, neck=neck, **PAPER | changes)
    detector.load_required("baseline", baseline(head, neck=neck))
    return detector


def trained(detector: Efpn) -> set[str]:
    return {name.partition(".")[0] for name, p in detector.named_parameters() if p.requires_grad}


def test_the_plain_sum_by_hand() -> None:
    """Eq. 1: every cell of the upper map on four of the finer one's."""
    upper = plane([[1.0, 10.0]])
    finer = plane([[float(8 * row + column) for column in range(8)] for row in range(4)])
    lower = torch.zeros(1, 1, 2, 4)
    extension = Extension(1, Neck.model_construct(channels=1, norm="none"), Nearest(), True)
    assert not list(extension.parameters())
    finest, transferred = extension(upper, lower, finer)
    assert transferred.tolist() == [[[[1, 1, 10, 10]] * 2]]
    assert finest.tolist() == [
        [[[8.0 * row + column + (1 if column < 4 else 10) for column in range(8)]
          for row in range(4)]]
    ]  # fmt: skip
    # The authors' code: 3 times the finer map, and twice the sum.
    convolved = Extension(1, Neck.model_construct(channels=1, norm="none"), Nearest())
    fill(convolved.lateral, [[3.0]])
    fill(convolved.output, [[2.0]])
    finest, _ = convolved(upper, lower, finer)
    assert finest[0, 0, 1, 5].item() == 2 * (3 * 13 + 10)


def test_maps_of_other_widths_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="of 64 channels cannot be added to one of 16"):
        Extension(64, Neck(channels=16), Nearest(), True)


@pytest.mark.parametrize("head", HEADS)
def test_p3_of_twice_the_size_is_the_target_of_what_reads_p3(head: str) -> None:
    neck = {"channels": 16, "norm": "none"}
    detector = network(head, ftt_in="out", neck=neck)
    plain = baseline(head, neck=neck)
    detector.load_required("baseline", plain)
    _, _, images_2x = batch()
    with torch.no_grad():
        finest, upper = detector.train().teacher_features(images_2x)
        levels = plain.eval().pyramid(images_2x)
    assert torch.equal(finest, levels[0])
    assert torch.equal(upper, levels[1])


@pytest.mark.parametrize("head", HEADS)
def test_the_papers_form_is_trained_stage_by_stage(head: str) -> None:
    detector = paper_form(head)
    first, second = detector.stages
    asking, moved = learn(detector, first)
    assert asking == moved
    assert {name.partition(".")[0] for name in moved} == {"extension"}
    assert all(name.startswith("extension.transfer.") for name in moved)
    detector.zero_grad()
    asking, moved = learn(detector, second)
    assert asking == moved
    assert all(name.startswith("head.small.") for name in moved)
    images, _, _ = batch()
    with torch.no_grad():
        assert detector.eval()(images).boxes.isfinite().all()


@pytest.mark.parametrize("head", HEADS)
def test_the_frozen_extension_keeps_no_graph(head: str) -> None:
    detector = network(head, freeze_extension=True).train()
    images, targets, _ = batch()
    detector.start_stage(detector.stages[0])
    assert detector.pyramid(images)[0].requires_grad
    detector.start_stage(detector.stages[1])
    assert not detector.pyramid(images)[0].requires_grad
    assert total(detector(images, targets)).requires_grad
    assert trained(detector) == {"head"}


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnext101_32x8d"]
)
def test_the_widths_that_the_rule_has_are_the_backbones(name: str) -> None:
    with torch.device("meta"):
        content: dict[str, Any] = {"name": name, "weights": "none", "norm": "train"}
        channels = build_backbone(Backbone(**content)).channels
    for head, index in (("faster_rcnn", 0), ("retinanet", 1)):
        suite = suite_of("fpn", head=head, backbone=content)
        assert channels_of_finer_map(suite) == channels[index]


def test_a_plain_sum_of_other_widths_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"resnet18 with 64 channels.*neck.channels: 16; write 64"):
        suite_of({"name": "efpn", "fusion": "plain"}, head="faster_rcnn")
    wide = {"channels": 64, "norm": "none"}
    assert suite_of({"name": "efpn", "fusion": "plain"}, head="faster_rcnn", neck=wide)
    row = {"name": "efpn", "fusion": "plain", "ftt": "nearest"}
    with pytest.raises(SuiteError, match="no weights that could be distilled"):
        suite_of(row, head="faster_rcnn", neck=wide)
    with pytest.raises(SuiteError, match="freeze_extension has no effect with distill: false"):
        suite_of({"name": "efpn", "distill": False, "freeze_extension": True})


def test_rows_say_how_far_they_follow_the_paper() -> None:
    wide = {"channels": 64, "norm": "none"}
    default, paper = (
        plan(suite_of({"name": "efpn"} | switches, head="faster_rcnn", neck=wide))[0].deviations
        for switches in ({}, PAPER)
    )
    of_code = [text for text in default if "authors' code" in text]
    assert len(of_code) == 2
    assert not [text for text in paper if "authors' code" in text]
    assert "trains an extension for the suite's epochs, then a head alone for half of them" in paper
