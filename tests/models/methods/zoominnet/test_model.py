"""ZoomInNet: maps that fit, a teacher that stays as it is, and a student that learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.build import build_detector
from sobench.models.detector import Detector, Stage
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.methods.zoominnet.distillation import key_positions, key_positions_by_map
from sobench.models.methods.zoominnet.model import ZoomInNet
from sobench.models.parts.anchors import AnchorSpec, pyramid_anchors
from sobench.suite.methods import methods
from tests.models.small_config import targets
from tests.tiny_suite import tiny_suite

SIDE = 64
FORMS: list[dict[str, Any]] = [
    {"align": "none"},
    {"align": "none", "distill_on": "towers"},
    {"align": "la"},
    {"align": "fa"},
    {"align": "fa", "distill_on": "towers"},
    {"align": "fa", "thin": True, "distill_on": "towers"},
    {"align": "la", "distill_loss": "by_map"},
    {"align": "fa", "distill_loss": "by_map"},
]


def network(
    name: str, size: tuple[int, int] = (SIDE, SIDE), device: str = "cpu", **switches: Any
) -> Any:
    suite = tiny_suite(input={"size": list(size)}, methods=[{"name": name, **switches}])
    with torch.device(device):
        return build_detector(suite, suite.methods[0], 2, 0)


def student(size: tuple[int, int] = (SIDE, SIDE), device: str = "cpu", **switches: Any) -> Any:
    """A student with its teacher."""
    detector = network("zoominnet", size, device, **switches)
    detector.load_required("teacher", network("fpn", (2 * size[0], 2 * size[1]), device))
    return detector.train()


def scene() -> tuple[Tensor, Targets, Tensor]:
    """Two images, the second with one object and a padded row, and both at twice the size."""
    generator = torch.Generator().manual_seed(3)
    images_2x = torch.randint(0, 256, (2, 3, 2 * SIDE, 2 * SIDE), generator=generator)
    images = images_2x.reshape(2, 3, SIDE, 2, SIDE, 2).float().mean(dim=(3, 5)).to(torch.uint8)
    truth = targets([[(3, 5, 15, 16), (30, 28, 52, 47)], [(40, 8, 49, 20)]], [[0, 1], [1]])
    return images, truth, images_2x.to(torch.uint8)


def backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


# --------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("switches", FORMS, ids=str)
@pytest.mark.parametrize("size", [(128, 128), (240, 240), (256, 256), (100, 150)], ids=str)
def test_what_is_compared_is_of_one_shape(size: tuple[int, int], switches: dict[str, Any]) -> None:
    """Also where the input is no multiple of 128."""
    detector = student(size, "meta", **switches)
    pyramid = detector.pyramid(torch.zeros(1, 3, *size, device="meta"))
    output = detector.head(pyramid)
    images_2x = torch.zeros(1, 3, 2 * size[0], 2 * size[1], device="meta", dtype=torch.uint8)
    teacher_features = detector.teacher_features(images_2x)
    distilled_features = detector.distilled_features(pyramid, output)
    towers = switches.get("distill_on") == "towers" or switches["align"] == "la"
    assert len(distilled_features) == len(teacher_features) == 1 + towers
    finest = 8 if switches["align"] == "none" else 4
    cells = [(ceil(size[0] / s), ceil(size[1] / s)) for s in (finest * 2**i for i in range(5))]
    for own, theirs in zip(distilled_features, teacher_features, strict=True):
        assert [tuple(x.shape) for x in own] == [tuple(x.shape) for x in theirs]
        assert [tuple(x.shape[-2:]) for x in own] == cells
    assert [tuple(x.shape[-2:]) for x in output["logits"]] == cells
    assert len(detector.head.anchors(output)) == 9 * sum(h * w for h, w in cells)


@pytest.mark.parametrize("align", ["la", "fa"])
def test_masks_are_those_of_the_teachers_frame(align: str) -> None:
    """Its anchors at twice the strides and sides, its boxes at twice the size."""
    detector = network("zoominnet", align=align)
    teacher = network("fpn", (2 * SIDE, 2 * SIDE))
    images, truth, images_2x = scene()
    own, theirs = detector.predict(images), teacher.predict(images_2x)
    sizes = [(x.shape[-2], x.shape[-1]) for x in own["logits"]]
    at_double_size = replace(truth, boxes=2 * truth.boxes)
    assert torch.equal(2 * detector.head.anchors(own), teacher.head.anchors(theirs))
    for mode in ("literal", "nonzero", "fixed"):
        masks = key_positions(truth, detector.head.anchors(own), sizes, 9, mode)
        seen = key_positions(at_double_size, teacher.head.anchors(theirs), sizes, 9, mode)
        assert all(torch.equal(a, b) for a, b in zip(masks, seen, strict=True))
        assert any(mask.any() for mask in masks)


# ---------------------------------------------------------------------------------------- loss


def expected_distance(
    own: Sequence[Tensor], theirs: Sequence[Tensor], masks: Sequence[Tensor]
) -> float:
    """Eq. 21, cell by cell."""
    total, cells = 0.0, 0
    for s, t, mask in zip(own, theirs, masks, strict=True):
        assert s.shape == t.shape
        for image, row, column in mask.nonzero().tolist():
            total += (t - s)[image, :, row, column].square().sum().item()
            cells += 1
    return 0.01 * total / max(1, cells)


@pytest.mark.parametrize("mode", ["literal", "nonzero", "fixed"])
@pytest.mark.parametrize("switches", FORMS, ids=str)
def test_the_distillation_loss(switches: dict[str, Any], mode: str) -> None:
    detector = student(lambda_mode=mode, **switches).eval()
    (teacher,) = detector.teacher
    images, truth, images_2x = scene()
    losses = detector(images, truth, images_2x)
    assert set(losses) == {"class", "box", "distill"}
    pyramid, teacher_features = detector.pyramid(images), teacher.pyramid(images_2x)
    output, theirs = detector.head(pyramid), teacher.head(teacher_features)
    plain = detector.head.loss(output, truth)
    assert {name: losses[name].item() for name in plain} == pytest.approx(
        {name: value.item() for name, value in plain.items()}
    )
    pairs = [(pyramid, teacher_features)]
    if switches["align"] == "la" or switches.get("distill_on") == "towers":
        pairs = [(output[name], theirs[name]) for name in ("class_tower", "box_tower")]
    if switches["align"] == "none":
        pairs = [(own, [x[:, :, ::2, ::2] for x in maps]) for own, maps in pairs]
    sizes = [(x.shape[-2], x.shape[-1]) for x in output["logits"]]
    by_map = switches.get("distill_loss") == "by_map"
    chosen: Any = key_positions_by_map if by_map else key_positions
    masks = chosen(truth, detector.head.anchors(output), sizes, 9, mode)
    if by_map:
        pairs = [([a], [b]) for own, theirs in pairs for a, b in zip(own, theirs, strict=True)]
        masks_of = [[mask] for mask in masks] * (len(pairs) // len(masks))
    else:
        masks_of = [masks] * len(pairs)
    expected = sum(
        expected_distance(own, theirs, each)
        for (own, theirs), each in zip(pairs, masks_of, strict=True)
    )
    assert expected > 0
    assert losses["distill"].item() == pytest.approx(expected, rel=1e-4)
    on, cells = sum(mask.sum().item() for mask in masks), sum(mask.numel() for mask in masks)
    assert 0 < on < cells
    assert detector.log_vars["mask"].item() == pytest.approx(on / cells)


def test_a_student_that_is_like_its_teacher_has_nothing_to_learn() -> None:
    detector = student(align="fa")
    images, truth, images_2x = scene()
    (teacher,) = detector.teacher
    teacher.pyramid = lambda _: detector.pyramid(images)
    assert detector(images, truth, images_2x)["distill"].item() == 0


def test_without_objects_there_is_nothing_to_distil() -> None:
    detector = student()
    images, truth, images_2x = scene()
    nothing = replace(truth, labels=torch.full_like(truth.labels, -1))
    losses = detector(images, nothing, images_2x)
    assert losses["distill"].item() == 0
    assert detector.log_vars["mask"].item() == 0
    backward(losses["distill"])
    assert not any(p.grad.any() for p in detector.parameters() if p.grad is not None)


def test_distillation_in_full_precision_under_bfloat16() -> None:
    detector = student()
    images, truth, images_2x = scene()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = detector(images, truth, images_2x)
        assert detector.pyramid(images)[0].dtype == torch.bfloat16
    assert losses["distill"].dtype == torch.float32
    assert losses["distill"].item() == pytest.approx(
        detector(images, truth, images_2x)["distill"].item(), rel=0.1
    )


# ------------------------------------------------------------------------------------- teacher


@pytest.mark.parametrize("switches", FORMS, ids=str)
def test_the_student_learns_and_the_teacher_stays(switches: dict[str, Any]) -> None:
    """From the distillation alone: the student's maps come nearer, the teacher's stay."""
    detector = student(**switches)
    (teacher,) = detector.teacher
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    images, truth, images_2x = scene()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    values = []
    for _ in range(4):
        distill = detector.train()(images, truth, images_2x)["distill"]
        optimizer.zero_grad()
        backward(distill)
        optimizer.step()
        values.append(distill.item())
    assert values[-1] < 0.95 * values[0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    assert detector.training


@pytest.mark.parametrize("switches", FORMS, ids=str)
def test_where_the_gradient_of_the_distillation_goes(switches: dict[str, Any]) -> None:
    detector = student(**switches)
    images, truth, images_2x = scene()
    backward(detector(images, truth, images_2x)["distill"])
    teacher_features = {name for name, p in detector.named_parameters() if p.grad is not None}
    towers = switches["align"] == "la" or switches.get("distill_on") == "towers"
    parts = ("backbone.", "neck.") + (("head.class_tower.", "head.box_tower.") if towers else ())
    assert teacher_features == {
        name for name, _ in detector.named_parameters() if name.startswith(parts)
    }


def test_the_teacher_works_without_a_graph_and_the_student_with_one() -> None:
    detector = student()
    seen: list[bool] = []
    for each in (detector, *detector.teacher):
        each.neck.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    detector(*scene())
    assert seen == [True, False]


def test_the_teacher_is_no_part_of_the_student() -> None:
    alone, detector = network("zoominnet"), student()
    assert detector.state_dict().keys() == alone.state_dict().keys()
    assert sum(p.numel() for p in detector.parameters()) == sum(
        p.numel() for p in alone.parameters()
    )
    (teacher,) = detector.teacher
    assert teacher not in set(detector.modules())
    # A checkpoint is loaded after the teacher came: it concerns the student alone.
    before = teacher.state_dict()["head.class_logits.weight"].clone()
    detector.load_state_dict({name: value + 1 for name, value in alone.state_dict().items()})
    assert torch.equal(teacher.state_dict()["head.class_logits.weight"], before)


def test_what_a_run_may_be_given() -> None:
    detector, origin = network("zoominnet"), network("zoominnet")
    torch.nn.init.constant_(origin.head.box_offsets.bias, 3.0)
    detector.load_required("init_from", origin)
    assert detector.head.box_offsets.bias.eq(3).all()
    assert detector.teacher == ()
    with pytest.raises(ValueError, match="no use for a friend"):
        detector.load_required("friend", origin)


def test_losses_need_the_teacher_and_its_images_and_detections_do_not() -> None:
    images, truth, _images_2x = scene()
    lonely = network("zoominnet")
    with pytest.raises(ValueError, match="needs its teacher"):
        lonely(images, truth)
    with pytest.raises(ValueError, match="images at twice the size"):
        student()(images, truth)
    assert lonely.eval()(images).boxes.isfinite().all()


# ------------------------------------------------------------------------------------ switches


def form(detector: Detector) -> tuple[Any, ...]:
    """Strides and depth of the head, and what is distilled how."""
    assert isinstance(detector.head, RetinaNetHead)
    shape = (detector.head.strides[0], len(detector.head.class_tower.convs), detector.head.upsample)
    if not isinstance(detector, ZoomInNet):
        return shape
    by_map = ("by_map",) if detector.by_map else ()
    return (*shape, detector.place, detector.aligned, detector.lambda_mode, *by_map)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, (4, 4, False, "neck", True, "literal")),
        ({"thin": True}, (4, 2, False, "neck", True, "literal")),
        ({"align": "la"}, (4, 4, True, "towers", True, "literal")),
        ({"align": "none"}, (8, 4, False, "neck", False, "literal")),
        ({"align": "none", "distill_on": "towers"}, (8, 4, False, "towers", False, "literal")),
        ({"lambda_mode": "fixed"}, (4, 4, False, "neck", True, "fixed")),
        ({"distill_loss": "by_map"}, (4, 4, False, "neck", True, "literal", "by_map")),
        ({"distill": False}, (4, 4, False)),
        ({"distill": False, "thin": True}, (4, 2, False)),
        ({"distill": False, "align": "la"}, (4, 4, True)),
    ],
)
def test_a_switch_reaches_the_network(switches: dict[str, Any], expected: tuple[Any, ...]) -> None:
    detector = network("zoominnet", **switches)
    assert form(detector) == expected
    images_2x = "distill" not in switches
    assert detector.stages == (Stage(images_2x=images_2x),)
    assert len(methods()["zoominnet"].needs) == 1
    (need,) = methods()["zoominnet"].needs
    assert (need.role, need.method, need.scale) == ("teacher", "fpn", 2)
    assert need.switches == {"distill": True}


def test_without_distillation_there_are_the_losses_of_the_head() -> None:
    images, truth, _images_2x = scene()
    assert set(network("zoominnet", distill=False)(images, truth)) == {"class", "box"}


def test_students_start_with_the_same_weights() -> None:
    """Alignment ``none`` is FPN, number by number; ``la`` differs only in what it does."""
    fpn, none, la = network("fpn"), network("zoominnet", align="none"), student(align="la")
    for other in (none, la):
        assert other.state_dict().keys() == fpn.state_dict().keys()
        assert all(torch.equal(other.state_dict()[k], v) for k, v in fpn.state_dict().items())


def test_a_subsampled_teacher_has_the_students_cells() -> None:
    """Every second cell lies where the student's does: half as far in half as large an image."""
    shapes = AnchorSpec(((8.0,),), (1.0,))
    of_teacher = pyramid_anchors(((8, 6),), (8,), shapes, torch.device("cpu")).view(8, 6, 4)[
        ::2, ::2
    ]
    of_student = pyramid_anchors(((4, 3),), (8,), shapes, torch.device("cpu")).view(4, 3, 4)
    centres = [(boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (of_teacher, of_student)]
    assert torch.equal(centres[0] / 2, centres[1])


def test_norms_are_those_of_the_suite() -> None:
    group = {"channels": 16, "norm": "group"}
    suite = tiny_suite(neck=group, methods=["zoominnet", {"name": "fpn"}])
    detector, teacher = (build_detector(suite, entry, 2, 0) for entry in suite.methods)
    norms = [m for m in detector.modules() if isinstance(m, torch.nn.GroupNorm)]
    assert len(norms) == 4 + 4 + 1 + 2 * 4  # laterals, outputs, P6, towers
    detector.load_required("teacher", teacher)
    assert detector(*scene())["distill"].item() > 0
