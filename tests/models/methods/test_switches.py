"""What a switch turns in the network, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sobench.errors import RequestError, SuiteError
from sobench.models import build
from sobench.models.build import build_detector
from sobench.models.check import check_detector
from sobench.models.methods.libra.model import BalancedPyramid, NonLocal
from sobench.models.methods.mrae.model import SalientValues, TemplateSimilarity
from sobench.models.methods.nas_fpn.model import GlobalPooling
from sobench.models.methods.ta_fpn.model import DetailEnhancement
from sobench.models.parts.losses import smooth_l1
from sobench.models.parts.pyramid import FeaturePyramid
from sobench.suite.conditions import FEW_IMAGES, WITHOUT_CROPS
from sobench.suite.methods import methods
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.tiny_suite import tiny_suite, write_tiny


def network(head: str, name: str, **switches: Any) -> Any:
    small = {"pre_nms_top_n": 20, "post_nms_top_n": 10, "batch_size_per_image": 8, "channels": 8}
    suite = tiny_suite(head=head, regions=small, methods=[{"name": name, **switches}])
    return build_detector(suite, suite.methods[0], 2, 0)


def branches(detector: Any) -> set[Any]:
    return {conv.dilation[0] for module in detector.neck.attention for conv in module.branches}


def pools(detector: Any) -> set[Any]:
    return {m.pool for m in detector.neck.modules() if isinstance(m, GlobalPooling)}


def enhanced(detector: Any) -> list[bool]:
    return [isinstance(module, DetailEnhancement) for module in detector.neck.output]


def squeezed(detector: Any) -> set[int]:
    return {m.residual_attention[0][0].out_channels for m in detector.neck.attention}


CASES: list[tuple[str, str, dict[str, Any], Callable[[Any], Any], Any]] = [
    ("retinanet", "fpn", {"fuse": False}, lambda d: d.neck.fuse, False),
    ("retinanet", "pafpn", {}, lambda d: type(d.neck.act), nn.Identity),
    ("retinanet", "pafpn", {"act": "relu"}, lambda d: type(d.neck.act), nn.ReLU),
    ("retinanet", "nas_fpn", {}, lambda d: len(d.neck.cells), 7),
    ("retinanet", "nas_fpn", {"stack": 2}, lambda d: len(d.neck.cells), 2),
    ("retinanet", "nas_fpn", {}, pools, {F.adaptive_avg_pool2d}),
    ("retinanet", "nas_fpn", {"pool": "max"}, pools, {F.adaptive_max_pool2d}),
    ("retinanet", "nas_fpn", {"separate_bn": True}, lambda d: len(d.head.class_tower.norms[0]), 5),
    ("retinanet", "libra", {}, lambda d: d.neck.mean_level, 1),
    ("faster_rcnn", "libra", {}, lambda d: d.neck.mean_level, 2),
    ("retinanet", "libra", {}, lambda d: type(d.neck.refine), NonLocal),
    ("retinanet", "libra", {"refine": "none"}, lambda d: type(d.neck.refine), nn.Identity),
    ("retinanet", "libra", {"refine": "conv"}, lambda d: type(d.neck.refine), nn.Sequential),
    ("retinanet", "libra", {"zero_init": True},
     lambda d: d.neck.refine.output.weight.abs().sum().item(), 0.0),
    ("retinanet", "libra", {}, lambda d: d.head.box_loss.keywords, {"beta": 0.11}),
    ("faster_rcnn", "libra", {}, lambda d: d.head.box_loss.keywords, {"beta": 1.0}),
    ("faster_rcnn", "libra", {"balanced_l1": False}, lambda d: d.head.box_loss.func, smooth_l1),
    ("faster_rcnn", "libra", {}, lambda d: d.head.sampler.keywords, {"code_compat": False}),
    ("faster_rcnn", "libra", {"code_compat": True},
     lambda d: d.head.sampler.keywords, {"code_compat": True}),
    ("faster_rcnn", "libra", {"balanced_sampling": False}, lambda d: d.head.sampler, None),
    ("faster_rcnn", "libra", {"balanced_pyramid": False}, lambda d: type(d.neck), FeaturePyramid),
    ("faster_rcnn", "libra", {}, lambda d: type(d.neck), BalancedPyramid),
    ("retinanet", "refinedet", {}, lambda d: (d.head.theta, d.head.cascade), (0.99, True)),
    ("retinanet", "refinedet", {"filter_negatives": False}, lambda d: d.head.theta, 1.0),
    ("retinanet", "refinedet", {"cascade": False}, lambda d: d.head.cascade, False),
    ("retinanet", "refinedet", {"clip_anchors": True}, lambda d: d.head.clip_anchors, True),
    ("retinanet", "refinedet", {"tcb": False},
     lambda d: (d.head.arm, len(d.neck.blocks)), (None, 0)),
    ("faster_rcnn", "ta_fpn", {}, branches, {1, 3, 5}),
    ("faster_rcnn", "ta_fpn", {"dilations": "3-4-5"}, branches, {3, 4, 5}),
    ("faster_rcnn", "ta_fpn", {}, lambda d: len(d.neck.attention), 3),
    ("faster_rcnn", "ta_fpn", {"tam": False}, lambda d: len(d.neck.attention), 0),
    ("faster_rcnn", "ta_fpn", {}, enhanced, [True] * 4),
    ("faster_rcnn", "ta_fpn", {"sodem": False}, enhanced, [False] * 4),
    ("faster_rcnn", "ta_fpn", {"levels": "2-4"}, enhanced, [True, False, True, False]),
    ("retinanet", "ta_fpn", {"levels": "2-4"}, enhanced, [False, True, False]),
    ("faster_rcnn", "ta_fpn", {}, lambda d: d.neck.cascade, True),
    ("faster_rcnn", "ta_fpn", {"tam_input": "lateral"}, lambda d: d.neck.cascade, False),
    ("faster_rcnn", "ta_fpn", {}, squeezed, {16}),
    ("faster_rcnn", "ta_fpn", {"reduction": 4}, squeezed, {4}),
    ("faster_rcnn", "ta_fpn", {"downsample": "avg"},
     lambda d: d.neck.output[0].downsample, F.adaptive_avg_pool2d),
    ("retinanet", "mrae", {}, lambda d: d.neck.attention.template, 1),
    ("retinanet", "mrae", {"template": 3}, lambda d: d.neck.attention.template, 2),
    ("retinanet", "mrae", {}, lambda d: type(d.neck.attention), TemplateSimilarity),
    ("retinanet", "mrae", {"mode": "soft"}, lambda d: type(d.neck.attention), SalientValues),
    ("retinanet", "mrae", {"mode": "hard", "level": 2}, lambda d: d.neck.levels, (1,)),
]  # fmt: skip


@pytest.mark.parametrize(("head", "name", "switches", "look", "expected"), CASES)
def test_a_switch_reaches_the_network(
    head: str, name: str, switches: dict[str, Any], look: Callable[[Any], Any], expected: Any
) -> None:
    assert look(network(head, name, **switches)) == expected


@pytest.mark.parametrize(("form", "dilation"), [("ssd", 6), ("refinedet", 3)])
def test_fc6_of_vgg_is_dilated(form: str, dilation: int) -> None:
    size = {"ssd": 300, "refinedet": 320}[form]
    suite = tiny_suite(
        input={"size": [size, size]},
        backbone={"name": "vgg16", "weights": "none"},
        methods=[form],
    )
    detector: Any = build_detector(suite, suite.methods[0], 2, 0)
    fc = detector.neck.fc if form == "ssd" else detector.neck.sources.fc
    (conv,) = (m for m in fc if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))
    assert conv.dilation == conv.padding == (dilation, dilation)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"name": "mrae", "template": 1, "mode": "hard"}, "no effect with mode: hard"),
        ({"name": "ta_fpn", "tam": False, "dilations": "1-2-3"}, "no effect with tam: false"),
        ({"name": "libra", "balanced_pyramid": False, "refine": "conv"}, "balanced_pyramid: true"),
        (
            {"name": "refinedet", "tcb": False, "cascade": False},
            "cascade has no effect with tcb: f",
        ),
    ],
)
def test_a_switch_without_effect_is_refused(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=problem):
        tiny_suite(methods=[row])


def deviations(**changes: Any) -> list[str]:
    (run,) = plan(tiny_suite(**changes), "")
    return list(run.deviations)


def test_rows_say_which_switches_they_turn_and_what_follows() -> None:
    assert deviations(methods=["fpn"]) == []
    assert deviations(methods=[{"name": "fpn", "fuse": False}]) == [
        "switch fuse: false (default true)"
    ]
    (loss,) = deviations(methods=["libra"])
    assert loss.startswith("own box loss: balanced L1")
    assert len(deviations(methods=["libra"], head="faster_rcnn")) == 2
    off = {"name": "libra", "balanced_l1": False}
    assert deviations(methods=[off]) == ["switch balanced_l1: false (default true)"]


def test_norms_of_a_method_are_named_where_the_suite_has_none() -> None:
    said = "batch normalisation in the pyramid"
    group = {"channels": 16, "norm": "group"}
    for name, others in (("nas_fpn", 0), ("ta_fpn", 1)):
        assert deviations(methods=[name])[:2] == [said, FEW_IMAGES]
        assert len(deviations(methods=[name], neck=group)) == others
    base = {"name": "ta_fpn", "tam": False, "sodem": False}
    assert {said, FEW_IMAGES}.isdisjoint(deviations(methods=[base]))


@pytest.mark.parametrize(("size", "said"), [(15, True), (16, False)])
def test_batch_statistics_of_few_images_are_named(size: int, said: bool) -> None:
    schedule = {"batch_size": size}
    for name in ("nas_fpn", "ta_fpn", "refinedet"):
        assert (FEW_IMAGES in deviations(methods=[name], schedule=schedule)) == said
    vgg = {"name": "vgg16", "weights": "none"}
    found = deviations(methods=["refinedet"], schedule=schedule, backbone=vgg)
    assert not [text for text in found if "batch normalisation" in text]


def test_the_missing_crops_of_single_shot_detectors_are_named() -> None:
    for name in ("ssd", "refinedet"):
        assert WITHOUT_CROPS in deviations(methods=[name])
        jitter = {"scale_jitter": [0.5, 2.0]}
        assert WITHOUT_CROPS not in deviations(methods=[name], augment=jitter)
    assert WITHOUT_CROPS not in deviations(methods=["fpn"])


def test_the_reading_of_ta_fpns_input_is_named() -> None:
    def readings(**switches: Any) -> list[str]:
        found = deviations(methods=[{"name": "ta_fpn"} | switches])
        return [text for text in found if "lateral" in text and not text.startswith("switch")]

    assert len(readings()) == 1
    assert readings(tam_input="lateral") == readings(tam=False) == []


def test_deviations_are_short() -> None:
    for method in methods().values():
        texts = [case if isinstance(case, str) else case.text for case in method.deviations]
        assert max(map(len, texts), default=0) <= 90


def test_every_condition_of_a_row_can_hold() -> None:
    for method in methods().values():
        for case in method.deviations:
            if isinstance(case, str):
                continue
            for key, value in case.switches.items():
                assert value in method.switches[key].values
            assert case.head in ("", *method.heads)
        for switch in method.switches.values():
            for key, value in switch.needs.items():
                assert value in method.switches[key].values
            assert switch.head in ("", *method.heads)


def test_a_row_that_cannot_run_is_found_before_any_training(tmp_path: Path) -> None:
    """Batch normalisation of a single cell of a single image."""
    path = write_tiny(
        tmp_path,
        schedule={"epochs": 1, "batch_size": 1, "lr": 0.1},
        methods=["fpn", "nas_fpn"],
    )
    suite = load(path)
    check_detector(suite, suite.methods[0])
    with pytest.raises(RequestError, match=r"nas_fpn does not run with input.size \[64, 64\]"):
        check_detector(suite, suite.methods[1])


@pytest.mark.parametrize("look", [torch.nonzero, lambda x: x.sum().item()])
def test_an_operation_that_looks_at_values_is_not_held_against_a_row(
    monkeypatch: pytest.MonkeyPatch, look: Callable[[Any], Any]
) -> None:
    class Looks(nn.Module):
        def predict(self, images: Any) -> Any:
            return look(images)

    monkeypatch.setattr(build, "builder", lambda _: lambda *_: Looks())
    suite = tiny_suite()
    check_detector(suite, suite.methods[0])


def test_the_check_neither_needs_weights_nor_touches_the_generator(tmp_path: Path) -> None:
    missing = {"name": "resnet18", "weights": str(tmp_path / "none.pt"), "norm": "train"}
    suite = tiny_suite(backbone=missing, methods=["mrae"])
    before = torch.get_rng_state()
    check_detector(suite, suite.methods[0])
    assert torch.equal(torch.get_rng_state(), before)
