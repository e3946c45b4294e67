"""EFPN: what each stage trains, and that its losses fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sobench.models.methods.efpn.model import Efpn
from tests.models.methods.efpn.networks import (
    HEADS,
    baseline,
    batch,
    learn,
    network,
    total,
)


def of(detector: Efpn, *parts: str) -> set[str]:
    return {name for name, _ in detector.named_parameters() if name.startswith(parts)}


FORMS: list[dict[str, Any]] = [
    {},
    {"preset": "author"},
    {"ftt": "espcn"},
    {"ftt": "nearest"},
    {"ftt_in": "out", "neck": {"norm": "group"}},
    {"freeze_extension": True},
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)) or "plain")
def test_only_the_extension_learns_at_first(head: str, form: dict[str, Any]) -> None:
    detector = network(head, **form)
    detector.load_required("baseline", baseline(head, neck=form.get("neck", {})))
    assert [(s.name, s.share, s.images_2x) for s in detector.stages] == [
        ("extension", 1.0, True), ("head", 0.5, False),
    ]  # fmt: skip
    asking, moved = learn(detector, detector.stages[0])
    assert asking == moved == of(detector, "extension.")


@pytest.mark.parametrize("head", HEADS)
def test_then_the_head_learns_with_it(head: str) -> None:
    detector = network(head)
    detector.load_required("baseline", baseline(head))
    learn(detector, detector.stages[0])
    detector.zero_grad()
    asking, moved = learn(detector, detector.stages[1])
    assert asking == moved == of(detector, "extension.", "head.small.")
    assert any(name.startswith("backbone.") for name in detector.state_dict())


@pytest.mark.parametrize("head", HEADS)
def test_without_distillation_both_learn_from_the_start(head: str) -> None:
    detector = network(head, distill=False)
    assert [stage.images_2x for stage in detector.stages] == [False, False]
    asking, moved = learn(detector, detector.stages[0])
    assert asking == moved == of(detector, "extension.", "head.small.")


def test_what_is_shared_is_not_in_training() -> None:
    detector = network()
    detector.train()
    for part in (detector.backbone, detector.neck, detector.head.original):
        assert not any(module.training for module in part.modules())
    assert detector.extension.training
    assert detector.head.small.training
    assert not any(module.training for module in detector.eval().modules())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("empty", [True, False])
def test_every_batch_trains(head: str, precision: str, empty: bool) -> None:
    detector = network(head, backbone={"norm": "train"}, neck={"norm": "group"})
    images, targets, images_2x = batch(empty=empty)
    for stage in detector.stages:
        detector.start_stage(stage)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses = detector.train()(images, targets, images_2x)
        assert {x.dtype for x in losses.values()} == {torch.float32}
        total(losses).backward()  # type: ignore[no-untyped-call]
        for parameter in detector.parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all()
        assert all(value.isfinite() for value in losses.values())
        if empty and stage.name == "head":
            assert losses["box"].item() == 0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            assert detector.eval()(images).boxes.isfinite().all()


@pytest.mark.parametrize("head", HEADS)
def test_both_stages_bring_their_losses_down(head: str) -> None:
    anchors = {"smallest": 16} if head == "retinanet" else {"smallest": 8, "octaves": 1}
    detector = network(head, neck={"channels": 16, "norm": "group"}, anchors=anchors)
    images, targets, images_2x = batch()
    for stage, fall in zip(detector.stages, (0.85, 0.6), strict=True):
        detector.start_stage(stage)
        weights = [p for p in detector.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.004)
        values = []
        torch.manual_seed(0)
        for _ in range(12):
            optimizer.zero_grad()
            loss = total(detector.train()(images, targets, images_2x))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            values.append(loss.item())
        assert np.mean(values[-3:]) < fall * np.mean(values[:3]), stage.name
