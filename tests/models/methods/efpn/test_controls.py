"""EFPN's controls: P2 of the image at twice its size, and detection from one map alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from sobench.models.build import build_detector, build_without_storage
from sobench.models.check import check_detector
from sobench.models.detector import Detector
from sobench.models.methods.efpn.controls import SingleMap, TargetLevel
from sobench.models.methods.efpn.model import SingleTransferredMap
from sobench.models.parts.chosen import choose
from sobench.suite.plan import plan
from tests.models.methods.efpn.networks import baseline, batch, suite_of, total

HEAD = "faster_rcnn"
TWICE = {"input.size": [128, 128], "reason": "P2 is of the image at twice its size"}


def control(
    form: str, size: tuple[int, int] = (64, 64), plain: Detector | None = None, **switches: Any
) -> Any:
    """A control, with the weights of a baseline."""
    row = {"name": "efpn", "detect_from": form, **switches}
    suite = suite_of(row, head=HEAD, input={"size": list(size)})
    detector = build_detector(suite, suite.methods[0], 5, 0)
    detector.load_required("baseline", plain or baseline(HEAD))
    return detector.eval()


# ------------------------------------------------------------ P2 of the image at twice its size


def test_the_finest_level_is_p2_of_the_image_at_twice_its_size() -> None:
    plain = baseline(HEAD).eval()
    detector = control("p2_2x", (128, 128), plain)
    assert isinstance(detector, TargetLevel)
    _, _, images_2x = batch()
    with torch.no_grad():
        finest, *levels = detector.pyramid(images_2x)
        target = plain.pyramid(images_2x)
        once = plain.pyramid(F.avg_pool2d(images_2x.float(), 2))
    assert torch.equal(finest, target[0])
    assert all(torch.equal(a, b) for a, b in zip(levels, once, strict=True))
    assert finest.shape[-1] == 2 * levels[0].shape[-1] == 32


def test_proposals_and_coarse_detections_are_those_of_once_the_size_at_twice_the_scale() -> None:
    plain = baseline(HEAD).eval()
    detector = control("p2_2x", (128, 128), plain, small_below=14)
    _, _, images_2x = batch()
    images = F.avg_pool2d(images_2x.float(), 2)
    with torch.no_grad():
        output, once = detector.predict(images_2x), plain.predict(images)
        proposals = detector.head.original.proposals(output)
        expected = plain.head.proposals(once)  # type: ignore[attr-defined]
        assert torch.allclose(proposals.boxes, 2 * expected.boxes, atol=1e-3)
        assert torch.equal(proposals.real, expected.real)
        # Regions of 28 px and more at twice the size are pooled as they were, also from P5.
        mine = detector.head.original.second_stage(output, proposals.boxes, proposals.chosen())
        theirs = plain.head.second_stage(  # type: ignore[attr-defined]
            once, expected.boxes, expected.chosen()
        )
    assert torch.allclose(mine[0], theirs[0], atol=1e-4)
    assert torch.allclose(mine[1], theirs[1], atol=1e-4)
    assert detector.head.original.pooled_strides == (8, 16, 32, 64)


def test_small_regions_are_pooled_from_it_by_the_head_that_was_there() -> None:
    detector = control("p2_2x", (128, 128))
    assert (detector.head.small_below, detector.head.stride) == (112, 4)
    small, original = detector.head.small, detector.head.original.classifier
    own, other = small.state_dict(), original.state_dict()
    assert all(torch.equal(x, other[key]) for key, x in own.items())
    finest = torch.rand(1, 16, 32, 32)
    boxes, chosen = torch.tensor([[[8.0, 8.0, 30.0, 40.0]]]), choose(torch.tensor([[True]]), 1)
    with torch.no_grad():
        logits, _ = detector.head.forward_rois({"finest": [finest]}, boxes, chosen)
        rois = torch.tensor([[0.0, 8, 8, 30, 40]])
        pooled = roi_align(finest, rois, 7, 0.25, sampling_ratio=2, aligned=True)
        assert torch.allclose(logits, original(pooled)[0], atol=1e-6)


@pytest.mark.parametrize("side", [2.0, 4.0, 20.0])
def test_fitted_anchors_too_are_those_of_the_baseline_at_twice_the_scale(side: float) -> None:
    """Also where objects are so small that the least side of anchors counts."""
    wh = side * np.array([[1.0, 1], [1, 2], [2, 1], [3, 3], [6, 5], [12, 9]])
    row = {"name": "efpn", "detect_from": "p2_2x"}
    once = suite_of("fpn", head=HEAD, anchors="fit")
    twice = suite_of(row, head=HEAD, anchors="fit", input={"size": [128, 128]})
    plain = build_without_storage(once, once.methods[0], wh).head
    head = build_without_storage(twice, twice.methods[0], 2 * wh).head
    pairs = zip(head.anchor_levels, plain.anchor_levels, strict=True)  # type: ignore[attr-defined]
    for own, other in pairs:
        assert own.stride == 2 * other.stride
        assert np.array(own.shapes) == pytest.approx(2 * np.array(other.shapes))


def test_it_requires_the_baseline_of_half_its_input() -> None:
    """Which is the suite's own row of fpn."""
    row = {"name": "efpn", "label": "up", "detect_from": "p2_2x", "deviations": TWICE}
    runs = {run.entry.label: run for run in plan(suite_of("fpn", row, head=HEAD))}
    ((role, required),) = runs["up"].requires
    assert role == "baseline"
    assert required.suite.input.size == (64, 64)
    assert required.settings_id == runs["fpn"].settings_id
    assert "no training beyond that of fpn" in runs["up"].deviations
    assert not [text for text in runs["up"].deviations if "OHEM" in text or "distils" in text]


# ------------------------------------------------------------------------------- one map alone


def regions(detector: Any, output: Any) -> tuple[Any, Any]:
    proposals = detector.head.original.proposals(output)
    return proposals.boxes, proposals.real


def test_all_regions_are_pooled_from_p3(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = baseline(HEAD).eval()
    detector = control("p3", plain=plain)
    assert [type(detector)] == [SingleMap]
    images, _, _ = batch()
    with torch.no_grad():
        levels = plain.pyramid(images)
        output = detector.predict(images)
        assert torch.equal(output["single"][0], levels[1])
        boxes, real = regions(detector, output)
        theirs = plain.head.proposals(plain.predict(images))  # type: ignore[attr-defined]
        assert torch.equal(boxes, theirs.boxes)
        seen: list[Any] = []
        classifier = detector.head.original.classifier
        forward = classifier.forward_rois

        def spy(maps: Any, strides: Any, *rest: Any) -> Any:
            seen.append((maps, strides))
            return forward(maps, strides, *rest)

        monkeypatch.setattr(classifier, "forward_rois", spy)
        detections = detector(images)
    ((maps, strides),) = seen
    assert strides == (8,)
    assert torch.equal(maps[0], levels[1])
    assert detections.boxes.isfinite().all()
    assert real.any()


def test_all_regions_are_pooled_from_the_transfers_map() -> None:
    detector = control("p3_ftt")
    assert [type(detector)] == [SingleTransferredMap]
    assert detector.head.stride == 4
    images, _, _ = batch()
    with torch.no_grad():
        features, finer, inner = detector.base_maps(images)
        _, transferred = detector.extend(inner, finer)
        output = detector.predict(images)
        levels = detector.neck.levels(inner, features[-1])
        assert torch.equal(output["single"][0], transferred)
        assert all(torch.equal(a, b) for a, b in zip(output["pyramid"], levels, strict=True))
        assert detector(images).boxes.isfinite().all()


def test_the_transfers_map_is_trained_and_no_head() -> None:
    detector = control("p3_ftt").train()
    (stage,) = detector.stages
    assert (stage.name, stage.share, stage.images_2x) == ("extension", 1.0, True)
    detector.start_stage(stage)
    losses = detector(*batch())
    assert list(losses) == ["distill", "distill_transfer"]
    total(losses).backward()  # type: ignore[no-untyped-call]
    reached = {name.partition(".")[0] for name, p in detector.named_parameters()
               if p.grad is not None}  # fmt: skip
    assert reached == {"extension"}


@pytest.mark.parametrize("form", ["p2_2x", "p3"])
def test_nothing_is_trained(form: str) -> None:
    detector = control(form, (128, 128)).train()
    (stage,) = detector.stages
    assert stage.share == 0
    for part in (detector.backbone, detector.neck, detector.head.original):
        assert not any(p.requires_grad for p in part.parameters())
        assert not any(module.training for module in part.modules())


@pytest.mark.parametrize("form", ["p2_2x", "p3", "p3_ftt"])
def test_shapes_alone_go_through_it(form: str) -> None:
    suite = suite_of({"name": "efpn", "detect_from": form}, head=HEAD, input={"size": [128, 128]})
    check_detector(suite, suite.methods[0])
