"""MRAE: the whole network, its stages and anchors, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sobench.data.dataset import FloatArray
from sobench.data.fingerprint import fingerprint
from sobench.data.resize import box_wh
from sobench.models import build
from sobench.models.detector import Detector
from sobench.models.methods.mrae.res5 import Res5
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.clusters import cluster_anchors
from sobench.runs import execute
from sobench.suite.network import Backbone
from sobench.suite.plan import plan
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from sobench.training.progress import TrainProgress
from tests.models.methods.mrae.networks import CPU, detector, first_batch, training_scenes
from tests.tiny_suite import tiny_suite

FORMS: list[dict[str, Any]] = [
    {},
    {"neck": {"norm": "group"}},
    {"mode": "soft"},
    {"mode": "hard", "level": 1},
    {"mode": "hard", "level": 3},
    {"mode": "hard", "level": 1, "plain": True},
    {"mode": "hard", "level": 3, "plain": True, "neck": {"norm": "group"}},
    {"head": "faster_rcnn", "mode": "hard", "level": 2, "plain": True},
    {"head": "faster_rcnn", "mode": "hard", "level": 2, "plain": True, "box_head": "res5"},
    {"head": "faster_rcnn", "mode": "hard", "level": 3, "plain": True, "box_head": "res5"},
    {"head": "faster_rcnn"},
    {"head": "faster_rcnn", "box_head": "res5"},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())) or "-")
def test_every_weight_is_trained(form: dict[str, Any]) -> None:
    network = detector(**form)
    batch = first_batch(tiny_suite(), 2)
    network.train()
    torch.manual_seed(0)
    torch.stack([*network(batch.images, batch.targets).values()]).sum().backward()  # type: ignore[no-untyped-call]
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    assert unused == []
    for part in ("neck", "backbone.layer1"):
        assert all(p.grad.abs().sum() > 0 for p in network.get_submodule(part).parameters()
                   if p.grad is not None and p.dim() > 1)  # fmt: skip
    with torch.inference_mode():
        network.eval()
        assert network(batch.images).boxes.shape[0] == 2


@pytest.mark.parametrize(("mode", "stages"), [("mrae", 3), ("soft", 3), ("hard", 2)])
def test_stages_that_no_one_reads_are_gone(mode: str, stages: int) -> None:
    network = detector(mode=mode, level=2) if mode == "hard" else detector(mode=mode)
    children = {name for name, _ in network.backbone.named_children()}
    assert children == {"stem", *(f"layer{n}" for n in range(1, stages + 1))}
    assert len(network.backbone(torch.zeros(1, 3, 64, 64))) == stages


def test_res5_is_the_backbones_last_stage() -> None:
    network = detector(head="faster_rcnn", box_head="res5")
    whole = build_backbone(tiny_suite().backbone)
    stage = network.head.classifier.box_head  # type: ignore[attr-defined]
    assert isinstance(stage, Res5)
    assert (stage.outputs, stage.frozen) == (512, False)
    assert [p.shape for p in stage.parameters()] == [
        p.shape for p in whole.get_submodule("layer4").parameters()
    ]
    # The map has the 256 channels that the stage expects.
    (attended,) = network.neck(network.backbone(torch.zeros(1, 3, 64, 64)))
    assert attended.shape == (1, 256, 16, 16)


def test_res5_stays_as_frozen_as_it_was() -> None:
    from sobench.models.methods.mrae import model as mrae

    for changes in ({"norm": "frozen"}, {"freeze": ("stem", "layer4")}):
        content: dict[str, Any] = {"name": "resnet18", "weights": "none", "norm": "train"}
        content |= {"freeze": ()} | changes
        suite = tiny_suite(head="faster_rcnn", methods=[{"name": "mrae", "box_head": "res5"}])
        backbone = build_backbone(Backbone.model_construct(**content))
        network = mrae.build(backbone, build.detector_config(suite, 5), suite.methods[0].switches)
        stage = network.train().head.classifier.box_head  # type: ignore[attr-defined]
        assert isinstance(stage, Res5)
        assert not any(m.training for m in stage.modules() if isinstance(m, nn.BatchNorm2d))
        assert all(p.requires_grad for p in stage.parameters()) == ("norm" in changes)


def test_vgg_has_three_levels_too() -> None:
    with torch.device("meta"):
        network = detector(backbone={"name": "vgg16"})
        output = network.predict(torch.zeros(1, 3, 64, 96))
    assert output["logits"][0].shape == (1, 12 * 5, 16, 24)


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_a_backbone_without_its_last_stages(name: str) -> None:
    content: dict[str, Any] = {"name": name, "weights": "none", "norm": "frozen"}
    content |= {"freeze": ("stem", "layer4")}
    with torch.device("meta"):
        backbone = build_backbone(Backbone.model_construct(**content))
        channels, image = backbone.channels, torch.zeros(1, 3, 64, 64)
        stages = [backbone.get_submodule(f"layer{n}") for n in (4, 3)]
        assert [backbone.pop_last_stage() for _ in stages] == stages
        maps = backbone.train()(image)
    assert backbone.channels == channels[:2]
    assert backbone.strides == (4, 8)
    assert backbone.freeze == ("stem",)
    assert [x.shape[1] for x in maps] == list(channels[:2])


SIZES = np.array([[4.0, 4], [4, 4], [9, 9], [10, 40], [60, 15]])


def test_anchors() -> None:
    sides, ratios = cluster_anchors(SIZES)
    plain, doubling = (0.5, 1.0, 2.0), (12.0, 24.0, 48.0, 96.0)
    cases: list[tuple[str, FloatArray | None, AnchorSpec]] = [
        ("paper", SIZES, AnchorSpec((sides,), ratios)),
        ("paper", None, AnchorSpec((doubling,), plain)),
        ("suite", SIZES, AnchorSpec((doubling,), plain)),
    ]
    assert sides == pytest.approx((4, 9, 20, 30))
    assert ratios == pytest.approx((0.25, 1, 4))
    for kind, sizes, expected in cases:
        head = detector(sizes, anchors=kind).head
        assert head.anchor_spec == expected  # type: ignore[attr-defined]
        assert head.strides == (4,)  # type: ignore[attr-defined]


class Quiet:
    """A watcher that says nothing."""

    def on_stage(self, text: str) -> None: ...
    def on_step(self, progress: TrainProgress) -> None: ...
    def on_images(self, done: int, total: int) -> None: ...
    def warn(self, message: str) -> None: ...


def test_a_run_clusters_its_training_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    built: list[Detector] = []

    def keep(*arguments: Any) -> Detector:
        built.append(build.build_detector(*arguments))
        return built[0]

    monkeypatch.setattr("sobench.runs.weights.build_detector", keep)
    suite = tiny_suite(
        input={"size": [128, 96]},
        methods=[{"name": "mrae", "anchors": "paper"}],
        schedule={"epochs": 1, "milestones": []},
    )
    (run,) = plan(suite, fingerprint(suite.dataset))
    outcome = execute.execute(run, tmp_path, CPU, Quiet())
    assert (outcome.status, outcome.reason) == ("ok", "")
    scenes = training_scenes(run.suite).images
    # From 64 x 64: 1.5 times as wide and twice as high.
    corners = np.concatenate([image.boxes for image in scenes]) * (1.5, 2, 1.5, 2)
    sides, ratios = cluster_anchors(corners[:, 2:] - corners[:, :2])
    shapes = built[0].head.anchor_spec  # type: ignore[attr-defined]
    assert shapes.sides[0] == pytest.approx(sides)
    assert shapes.ratios == pytest.approx(ratios)


def test_images_without_objects_give_no_sizes() -> None:
    suite = tiny_suite()
    dataset = training_scenes(suite)
    assert box_wh(dataset.first(0), suite.input) is None
    sizes = box_wh(dataset.first(2), suite.input)
    assert sizes is not None
    assert len(sizes) == sum(len(image.boxes) for image in dataset.images[:2])


def test_the_loss_falls() -> None:
    suite = tiny_suite(
        dataset={"train": 4, "objects": [4, 8]},
        neck={"channels": 32, "norm": "group", "tower_convs": 1},
        augment={"hflip": 0},
        schedule={"batch_size": 4, "optimizer": "adamw", "lr": 0.002},
        methods=["mrae"],
    )
    sizes = box_wh(training_scenes(suite), suite.input)
    network = build.build_detector(suite, suite.methods[0], 5, 0, sizes)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(network, suite.schedule)
    batch, clip_norm = first_batch(suite, 4), suite.schedule.clip_norm
    losses = []
    for step in range(1, 25):
        rate = 0.002 * min(1, step / 5)
        parts, _ = train_step(network, optimizer, batch, rate, clip_norm, "fp32").read()
        losses.append(parts["total"])
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
