"""MRAE: weights and sums by hand, and what is computed and trained in each form."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from sobench.data.batches import training_batches
from sobench.data.dataset import Dataset, FloatArray
from sobench.data.resize import box_sizes
from sobench.data.synthetic import scenes as synthetic
from sobench.data.targets import Batch
from sobench.errors import RequestError, SuiteError
from sobench.models import build
from sobench.models.detector import Detector
from sobench.models.methods.mrae.clusters import cluster_anchors
from sobench.models.methods.mrae.model import (
    AttentionExtractor,
    LevelVector,
    SalientValues,
    TemplateSimilarity,
)
from sobench.models.parts.anchors import AnchorSpec, retinanet_anchors
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.roi import Res5
from sobench.runs import execute
from sobench.suite import sections
from sobench.suite.plan import Run, plan
from sobench.suite.sections import Suite, SyntheticData
from sobench.training.loop import Progress, make_optimizer, train_step
from tests.tiny_suite import tiny_run, tiny_suite

CPU = torch.device("cpu")


def detector(sizes: FloatArray | None = None, **changes: Any) -> Detector:
    """MRAE with switches; ``head``, ``neck`` and ``backbone`` are the suite's, regions are few."""
    of_suite = {key: changes.pop(key) for key in ("head", "neck", "backbone") if key in changes}
    regions = {"pre_nms_top_n": 50, "post_nms_top_n": 8, "batch_size_per_image": 8}
    suite = tiny_suite(methods=[{"name": "mrae"} | changes], regions=regions, **of_suite)
    return build.build_detector(suite, suite.methods[0], 5, 0, sizes)


def training_scenes(suite: Suite) -> Dataset:
    assert isinstance(suite.dataset, SyntheticData)
    return synthetic.read(suite.dataset, "train")


def first_batch(suite: Suite, images: int) -> Batch:
    dataset = training_scenes(suite).first(images)
    pixels = np.stack([dataset.read_image(i) for i in range(images)])
    return next(iter(training_batches(dataset, pixels, suite.input, suite.augment, images, 0, 0)))


# ------------------------------------------------------------------------------------- weights


def similarity(template: int) -> TemplateSimilarity:
    """Maps of one channel; a vector holds the sums of the first, second and other cells."""
    module = TemplateSimilarity((1, 1, 1), template)
    for vector in module.vectors:
        assert isinstance(vector, LevelVector)
        with torch.no_grad():
            vector.reduce.weight.fill_(1.0)
            vector.reduce.bias.zero_()  # type: ignore[union-attr]
            vector.connect.weight.zero_()
            vector.connect.weight[0, 0] = vector.connect.weight[1, 1] = 1.0
    return module


def level(first: float, second: float, side: int) -> Tensor:
    """A map of ``side`` cells whose first two of 16 x 16 areas have these means."""
    x = torch.zeros(1, 1, side, side)
    width = side // 16
    x[..., :width, :width] = first
    x[..., :width, width : 2 * width] = second
    x[0, 0, 0, 0] += 1.0 if width > 1 else 0.0
    x[0, 0, 0, width - 1] -= 1.0 if width > 1 else 0.0
    return x


LEVELS = [level(3, 4, 64), level(4, 3, 32), level(-6, -8, 16)]


@pytest.mark.parametrize(
    ("template", "degrees"),
    [
        # (3, 4) and (4, 3) have a cosine of 24 / 25; (-6, -8) points away from (3, 4).
        (0, (1, 0.96, -1)),
        (1, (0.96, 1, -0.96)),
        (2, (-1, -0.96, 1)),
    ],
)
def test_similarity_by_hand(template: int, degrees: tuple[float, ...]) -> None:
    total = sum(exp(degree) for degree in degrees)
    expected = [exp(degree) / total for degree in degrees]
    assert similarity(template)(LEVELS)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_similarity_in_figures() -> None:
    # e = 2.71828, e^.96 = 2.61170 and 1 / e = .36788 sum up to 5.69786.
    weights = similarity(0)(LEVELS)[0].tolist()
    assert weights == pytest.approx([0.47707, 0.45837, 0.06457], abs=1e-5)


def test_a_map_of_zeros_is_like_nothing_but_itself() -> None:
    features = [torch.zeros(1, 1, 64, 64, requires_grad=True), *LEVELS[1:]]
    weights = similarity(0)(features)
    assert weights[0].tolist() == pytest.approx([exp(1) / (exp(1) + 2), *[1 / (exp(1) + 2)] * 2])
    weights[0, 1].backward()
    assert features[0].grad is not None
    assert features[0].grad.isfinite().all()


VECTORS = arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


@settings(deadline=None, max_examples=100)
@given(VECTORS, st.integers(0, 2))
def test_no_level_is_alone_and_none_is_left_out(vectors: Any, template: int) -> None:
    module = TemplateSimilarity((1, 1, 1), template)
    module.vectors = nn.ModuleList(nn.Identity() for _ in range(3))
    weights = module([torch.from_numpy(v)[None] for v in vectors])[0].tolist()
    assert sum(weights) == pytest.approx(1, abs=1e-6)
    own = weights.pop(template)
    assert 0.33333 <= own <= 0.78699
    assert all(0.06337 <= weight <= 0.46832 for weight in weights)


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        (1, 1, (0.3333, 0.3333, 0.3333)),
        (-1, -1, (0.7870, 0.1065, 0.1065)),
        (1, -1, (0.4683, 0.4683, 0.0634)),
    ],
)
def test_the_bounds_are_reached(second: int, third: int, expected: tuple[float, ...]) -> None:
    module = TemplateSimilarity((1, 1, 1), 0)
    module.vectors = nn.ModuleList(nn.Identity() for _ in range(3))
    vector = torch.tensor([[0.3, -0.2, 7.0]])
    weights = module([vector, second * 5 * vector, third * vector])
    assert weights[0].tolist() == pytest.approx(expected, abs=5e-5)


def test_soft_attention_is_the_softmax_of_maxima() -> None:
    module = SalientValues((1, 2, 1))
    with torch.no_grad():
        for conv, (weight, bias) in zip(
            module.reduce, (([2.0], 0.5), ([1.0, -1.0], 0.0), ([1.0], 0.0)), strict=True
        ):
            conv.weight.copy_(torch.tensor(weight).view(1, -1, 1, 1))  # type: ignore[operator]
            conv.bias.fill_(bias)  # type: ignore[operator]
    features = [
        torch.tensor([[[[0.1, 0.25], [-3, 0]]]]),  # 2 * .25 + .5 = 1
        torch.tensor([[[[5.0, 1]], [[4, 3]]]]),  # 5 - 4 = 1
        torch.tensor([[[[-2.0]]]]),
    ]
    total = 2 * exp(1) + exp(-2)
    expected = [exp(1) / total, exp(1) / total, exp(-2) / total]
    assert module(features)[0].tolist() == pytest.approx(expected)


# ------------------------------------------------------------------------------------- the sum


class Given(nn.Module):
    """Attention that is given beforehand."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self.weights = torch.tensor(rows)

    def forward(self, features: list[Tensor]) -> Tensor:
        assert [x.shape[1] for x in features] == [1, 1, 2]
        return self.weights


def extractor(levels: tuple[int, ...], attention: nn.Module | None) -> AttentionExtractor:
    """One, one and two channels; the first level is lifted by (1, 10), the second by (0, -1)."""
    neck = AttentionExtractor((1, 1, 2), levels, attention, None, "none")
    for lift, number in zip(neck.lifts, levels, strict=True):
        if number < 2:
            value = torch.tensor(((1.0, 10.0), (0.0, -1.0))[number])
            lift.weight.data.copy_(value.view(2, 1, 1, 1))  # type: ignore[operator]
            assert lift.bias.tolist() == [0, 0]  # type: ignore[operator]
    return neck


def maps() -> list[Tensor]:
    """Two images; sides that halve to odd numbers."""
    c2 = torch.tensor([[1.0, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]])[None, None]
    c3 = torch.tensor([[100.0, 200, 300], [400, 500, 600]])[None, None]
    c4 = torch.tensor([[[1000.0, 2000]], [[3000, 4000]]])[None]
    return [torch.cat((x, -x)) for x in (c2, c3, c4)]


def test_weighted_sum_by_hand() -> None:
    neck = extractor((0, 1, 2), Given([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]))
    (found,) = neck(maps())
    assert found.shape == (2, 2, 3, 5)
    # Columns 0, 0, 1, 1, 2 and rows 0, 0, 1 of C3; columns 0, 0, 0, 1, 1 of C4.
    assert found[0, 0].tolist() == [
        [250.5, 251, 251.5, 502, 502.5],
        [253, 253.5, 254, 504.5, 505],
        [255.5, 256, 256.5, 507, 507.5],
    ]
    assert found[0, 1, 0].tolist() == [
        5 - 25 + 750, 10 - 25 + 750, 15 - 50 + 750, 20 - 50 + 1000, 25 - 75 + 1000,
    ]  # fmt: skip
    assert found[1, 1].tolist() == [[-3000, -3000, -3000, -4000, -4000]] * 3


@pytest.mark.parametrize(
    ("chosen", "first_row"),
    [(0, [10, 20, 30, 40, 50]), (1, [-100, -100, -200, -200, -300]), (2, [3000] * 3 + [4000] * 2)],
)
def test_hard_attention_is_one_level_at_the_same_size(chosen: int, first_row: list[int]) -> None:
    neck = extractor((chosen,), None)
    (found,) = neck(maps()[: chosen + 1])
    assert found.shape == (2, 2, 3, 5)
    assert found[0, 1, 0].tolist() == first_row
    assert len(list(neck.parameters())) == (0 if chosen == 2 else 2)


@pytest.mark.parametrize("mode", ["mrae", "soft"])
def test_the_images_of_a_batch_do_not_meet(mode: str) -> None:
    neck = detector(mode=mode).neck
    features = [torch.randn(3, c, s, s) for c, s in ((64, 16), (128, 8), (256, 4))]
    with torch.no_grad():
        (together,) = neck(features)
        for index in range(3):
            (alone,) = neck([x[index : index + 1] for x in features])
            assert torch.allclose(together[index], alone[0], atol=1e-5)
        assert neck.attention is not None
        weights = neck.attention(features)  # type: ignore[operator]
    assert weights.shape == (3, 3)
    assert torch.allclose(weights.sum(dim=1), torch.ones(3))
    assert (weights[0] != weights[1]).any()


def test_reduced_precision_stays_reduced() -> None:
    """Weights in float32 would make the largest maps of the network twice as large."""
    neck = detector().neck
    features = [torch.randn(1, c, s, s) for c, s in ((64, 16), (128, 8), (256, 4))]
    with torch.autocast("cpu", torch.bfloat16):
        features = [x.bfloat16() for x in features]
        assert neck.attention(features).dtype == torch.float32  # type: ignore[operator]
        assert neck(features)[0].dtype == torch.bfloat16


# ----------------------------------------------------------------------------- the whole network


FORMS: list[dict[str, Any]] = [
    {},
    {"neck": {"norm": "group"}},
    {"mode": "soft"},
    {"mode": "hard", "level": 1},
    {"mode": "hard", "level": 3},
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
    found = {name for name, _ in network.backbone.named_children()}
    assert found == {"stem", *(f"layer{n}" for n in range(1, stages + 1))}
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
        backbone = build_backbone(sections.Backbone.model_construct(**content))
        network = mrae.build(backbone, build.detector_config(suite, 5), suite.methods[0].switches)
        stage = network.train().head.classifier.box_head  # type: ignore[attr-defined]
        assert isinstance(stage, Res5)
        assert not any(m.training for m in stage.modules() if isinstance(m, nn.BatchNorm2d))
        assert all(p.requires_grad for p in stage.parameters()) == ("norm" in changes)


def test_res5_needs_a_second_stage() -> None:
    suite = tiny_suite(methods=[{"name": "mrae", "box_head": "res5"}])
    with pytest.raises(RequestError, match=r"box_head has no effect under head 'retinanet'"):
        plan(suite, "data")


def test_res5_needs_a_resnet() -> None:
    with torch.device("meta"), pytest.raises(SuiteError, match=r"write `backbone: \{name: resnet"):
        detector(box_head="res5", head="faster_rcnn", backbone={"name": "vgg16"})


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
        backbone = build_backbone(sections.Backbone.model_construct(**content))
        channels, image = backbone.channels, torch.zeros(1, 3, 64, 64)
        stages = [backbone.get_submodule(f"layer{n}") for n in (4, 3)]
        assert [backbone.pop_last_stage() for _ in stages] == stages
        maps = backbone.train()(image)
    assert backbone.channels == channels[:2]
    assert backbone.strides == (4, 8)
    assert backbone.freeze == ("stem",)
    assert [x.shape[1] for x in maps] == list(channels[:2])


# ------------------------------------------------------------------------------------- anchors


SIZES = np.array([[4.0, 4], [4, 4], [9, 9], [10, 40], [60, 15]])


def test_anchors() -> None:
    sides, ratios = cluster_anchors(SIZES)
    fixed = AnchorSpec(((8.0, 16.0, 24.0, 32.0),), (0.5, 1.0, 2.0))
    cases: list[tuple[str, FloatArray | None, AnchorSpec]] = [
        ("clustered", SIZES, AnchorSpec((sides,), ratios)),
        ("clustered", None, fixed),
        ("fixed", SIZES, fixed),
        ("suite", SIZES, retinanet_anchors(tiny_suite().anchors, (4,))),
    ]
    assert sides == pytest.approx((4, 9, 20, 30))
    assert ratios == pytest.approx((0.25, 1, 4))
    for kind, sizes, expected in cases:
        head = detector(sizes, anchors=kind).head
        assert head.anchor_spec == expected  # type: ignore[attr-defined]
        assert head.strides == (4,)  # type: ignore[attr-defined]


class Quiet:
    """A watcher that says nothing."""

    def stage(self, text: str) -> None: ...
    def step(self, progress: Progress) -> None: ...
    def images(self, done: int, total: int) -> None: ...
    def warn(self, message: str) -> None: ...


def test_a_run_clusters_its_training_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    built: list[Detector] = []

    def keep(*arguments: Any) -> Detector:
        built.append(build.build_detector(*arguments))
        return built[0]

    monkeypatch.setattr("sobench.runs.weights.build_detector", keep)
    run = tiny_run(
        input={"size": [128, 96]}, methods=["mrae"], schedule={"epochs": 1, "milestones": []}
    )
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
    assert box_sizes(dataset.first(0), suite.input) is None
    found = box_sizes(dataset.first(2), suite.input)
    assert found is not None
    assert len(found) == sum(len(image.boxes) for image in dataset.images[:2])


def test_the_loss_falls() -> None:
    suite = tiny_suite(
        dataset={"train": 4, "objects": [4, 8]},
        neck={"channels": 32, "norm": "group", "tower_convs": 1},
        augment={"hflip": 0},
        schedule={"batch_size": 4, "optimizer": "adamw", "lr": 0.002},
        methods=["mrae"],
    )
    run = Run(suite, suite.methods[0], 0, "")
    sizes = box_sizes(training_scenes(suite), suite.input)
    network = build.build_detector(suite, run.entry, 5, 0, sizes)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(network, suite.schedule)
    batch = first_batch(suite, 4)
    losses = [
        train_step(network, optimizer, batch, 0.002 * min(1, step / 5), run, CPU)["total"]
        for step in range(1, 25)
    ]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
