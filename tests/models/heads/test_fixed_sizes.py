"""The sizes that a GPU works with, which hold padding, give what a CPU's exact ones give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sobench.models.detector import Detector
from sobench.models.parts import bipartite, chosen, roi, suppression
from sobench.models.parts.bipartite import bipartite_match
from sobench.models.parts.chosen import choose
from sobench.models.parts.roi import filter_proposals
from sobench.suite.network import Regions
from tests.models.parts.random_boxes import random_boxes
from tests.models.small_config import SIZE, targets
from tests.training.rehearsal import Case, built, empty_batch, planned

CPU = torch.device("cpu")


@pytest.fixture
def fix_sizes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to have everything work as on a GPU."""

    def fix() -> None:
        for module in (chosen, roi, suppression, bipartite):
            monkeypatch.setattr(module, "has_fixed_sizes", lambda _: True)

    return fix


def outcome(detector: Detector, run: Any, images_2x: bool) -> tuple[dict[str, Tensor], Tensor]:
    """The losses of a batch, and the gradients of all weights in one row."""
    torch.manual_seed(1)
    batch = empty_batch(run, images_2x, boxes=3)
    images = torch.rand(2, 3, *run.suite.input.size) * 255
    detector.zero_grad()
    losses = detector(images, batch.targets)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    weights = [p.grad.flatten() for p in detector.parameters() if p.grad is not None]
    return losses, torch.cat(weights)


@pytest.mark.parametrize(
    ("case", "samples"),
    [
        (Case("fpn", "faster_rcnn"), 4),
        (Case("libra", "faster_rcnn"), 64),
        (Case("efpn", "faster_rcnn", stage=1), 64),
        (Case("mrae", "faster_rcnn"), 64),
    ],
    ids=str,
)
def test_losses_gradients_and_detections_are_the_same(
    case: Case, samples: int, fix_sizes: Callable[[], None]
) -> None:
    """Also where an image has fewer regions than are sampled, so that most of them are padding."""
    regions = {"pre_nms_top_n": 40, "post_nms_top_n": 20, "batch_size_per_image": samples}
    run = planned(case, precision="fp32", regions=regions | {"channels": 16})
    detector = built(run, CPU)
    stage = detector.stages[case.stage]
    detector.start_stage(stage)
    detector.train()
    images = torch.rand(2, 3, *run.suite.input.size) * 255
    exact, slope = outcome(detector, run, stage.images_2x)
    with torch.no_grad():
        expected = detector.eval()(images)
    fix_sizes()
    with torch.no_grad():
        detections = detector(images)
    assert torch.equal(detections.labels, expected.labels)
    assert torch.allclose(detections.boxes, expected.boxes, atol=1e-2)
    assert torch.allclose(detections.scores, expected.scores, atol=1e-4)
    fixed, fixed_slope = outcome(detector.train(), run, stage.images_2x)
    for name, loss in exact.items():
        assert fixed[name].item() == pytest.approx(loss.item(), rel=1e-4), name
    assert torch.allclose(fixed_slope, slope, rtol=1e-3, atol=1e-4 * slope.abs().max().item())


def test_suppression_in_rounds_keeps_the_same_boxes(fix_sizes: Callable[[], None]) -> None:
    """Also along chains of overlapping boxes that are longer than the rounds between two looks."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(3, 300, 2, generator=generator) * 60
    side = 1 + torch.rand(3, 300, 2, generator=generator) * 20
    boxes = torch.cat((corner, corner + side), dim=-1)
    boxes[0, :40] = torch.tensor([0.0, 0, 20, 20]) + torch.arange(40.0).view(-1, 1) * 1.5
    boxes[1, 5:9] = torch.nan
    scores = torch.randn(3, 300, generator=generator)
    scores[0, :40] = torch.arange(40.0, 0, -1)
    scores[2, 50:90] = 1.5  # of equal ones the first is kept
    settings = Regions(post_nms_top_n=200, nms=0.5)
    levels = [(boxes[:, a:b], scores[:, a:b]) for a, b in ((0, 200), (200, 300))]
    expected = filter_proposals(levels, SIZE, settings)
    fix_sizes()
    proposals = filter_proposals(levels, SIZE, settings)
    assert torch.equal(proposals.real, expected.real)
    assert torch.equal(proposals.boxes, expected.boxes)


def test_padding_is_taken_from_other_places_and_put_nowhere(fix_sizes: Callable[[], None]) -> None:
    fix_sizes()
    mask = torch.tensor([[False, True, False, True], [False, False, False, True]])
    places = choose(mask, 3)
    assert places.index.tolist() == [1, 3, 0, 7, 4, 5]
    assert places.real.tolist() == [True, True, False, True, False, False]
    assert places.image.tolist() == [0, 0, 0, 1, 1, 1]
    values = torch.arange(1.0, 9).view(2, 4)
    assert places.take(values).tolist() == [2, 4, 1, 8, 5, 6]
    assert places.put(places.take(values)).tolist() == [[0, 2, 0, 4], [0, 0, 0, 8]]
    assert len(choose(mask, 9).index) == 8


def test_more_rounds_of_asking_match_the_same_objects(fix_sizes: Callable[[], None]) -> None:
    boxes = random_boxes(2, 60, seed=3)
    anchors = random_boxes(1, 400, seed=4)[0]
    truth = targets(boxes.tolist(), [[0] * 60, [0] * 60])
    expected = bipartite_match(truth, anchors)
    fix_sizes()
    assert torch.equal(bipartite_match(truth, anchors), expected)
    assert (expected >= 0).sum() > 100
