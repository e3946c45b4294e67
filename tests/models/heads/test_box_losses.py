"""The box losses of Faster R-CNN: knees of smooth L1 and their weight, as the suite pins them."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sobench.models.build import build_detector
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.methods.libra.loss import balanced_l1
from sobench.models.parts.losses import smooth_l1, smooth_l1_of_boxes
from sobench.models.parts.roi import Proposals
from sobench.suite.network import Regions
from tests.models.heads.faster_rcnn_heads import (
    OBJECT,
    SMALL,
    bias_only_head,
    bias_only_output,
    set_bias,
)
from tests.models.methods.efpn.networks import network
from tests.models.small_config import targets
from tests.tiny_suite import tiny_suite

EXACT = Proposals(torch.tensor([[[36.0, 16.0, 60.0, 48.0]]]), torch.tensor([[True]]))
"""The object of ``OBJECT`` itself, so that the predicted offsets are the errors."""


def regions(**changes: Any) -> Regions:
    return SMALL.model_copy(update=changes)


def box_loss(errors: list[float], **changes: Any) -> tuple[float, list[float]]:
    """The second stage's box loss for these errors of class 1, and its gradient."""
    head = bias_only_head(regions=regions(**changes))
    set_bias(head.classifier.box_offsets, [9.0] * 4 + errors + [9.0] * 4)
    loss = head.region_loss(bias_only_output(), targets(OBJECT, [[1]]), EXACT)["box"]
    loss.backward()  # type: ignore[no-untyped-call]
    grad = head.classifier.box_offsets.bias.grad
    assert grad is not None
    assert not grad[:4].any()
    assert not grad[8:].any()
    return loss.item(), grad[4:8].tolist()


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 0.11, 1.0, 2.5])
def test_smooth_l1_is_torchs(beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(3, 50, 4, generator=generator, requires_grad=True)
    target = torch.randn(3, 50, 4, generator=generator)
    positive = torch.rand(3, 50, generator=generator) < 0.4
    loss = smooth_l1(prediction, target, positive, beta)
    expected = F.smooth_l1_loss(prediction[positive], target[positive], beta=beta, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (ours,), (theirs,) = (torch.autograd.grad(x, prediction) for x in (loss, expected))
    assert torch.allclose(ours, theirs)
    assert not ours[~positive].any()


def test_without_a_knee_it_is_the_sum_of_absolute_differences_to_the_last_bit() -> None:
    prediction, target = torch.randn(2, 500, 4), torch.randn(2, 500, 4)
    expected = (prediction - target).abs().sum(dim=-1)
    assert torch.equal(smooth_l1_of_boxes(prediction, target), expected)


@pytest.mark.parametrize(
    ("beta", "loss", "slopes"),
    [
        # |x|: .1 + .5 + 1 + 2.
        (0.0, 3.6, [1.0, -1.0, 1.0, -1.0]),
        # TA-FPN, Eq. 12: .5 x^2 below 1, |x| - .5 from there: .005 + .125 + .5 + 1.5.
        (1.0, 2.13, [0.1, -0.5, 1.0, -1.0]),
        # .5 * .01 * 9, and |x| - 1/18 for the others.
        (1 / 9, 0.045 + 3.5 - 3 / 18, [0.9, -1.0, 1.0, -1.0]),
    ],
)
def test_the_knee_of_the_second_stage(beta: float, loss: float, slopes: list[float]) -> None:
    value, gradient = box_loss([0.1, -0.5, 1.0, -2.0], box_beta=beta)
    assert value == pytest.approx(loss)
    assert gradient == pytest.approx(slopes)
    # The other stage's knee does not matter here.
    assert box_loss([0.1, -0.5, 1.0, -2.0], box_beta=beta, rpn_beta=0.7)[0] == value


@pytest.mark.parametrize(
    ("beta", "loss", "slope"),
    [(0.0, log(4 / 3), 1.0), (1.0, log(4 / 3) ** 2 / 2, log(4 / 3)),
     (1 / 9, log(4 / 3) - 1 / 18, 1.0)],
)  # fmt: skip
def test_the_knee_of_the_first_stage(beta: float, loss: float, slope: float) -> None:
    head, output = bias_only_head(regions=regions(rpn_beta=beta, box_beta=0.7)), bias_only_output()
    # Three quarters as wide as the anchor at row 2, column 3, with an IoU of .75; 24 are sampled.
    narrow = targets([[(36.0, 16.0, 60.0, 48.0)]], [[1]])
    proposal = head.anchor_loss(output, narrow)["proposal"]
    assert proposal.item() == pytest.approx(loss / 24)
    proposal.backward()  # type: ignore[no-untyped-call]
    grad = output["offsets"][0].grad
    assert grad is not None
    assert grad[0, 2, 2, 3].item() == pytest.approx(slope / 24)
    assert grad.count_nonzero() == 1


def test_the_weight_is_of_both_box_losses_and_of_no_other() -> None:
    truth = targets(OBJECT, [[1]])

    def losses(head: FasterRCNNHead) -> dict[str, Tensor]:
        set_bias(head.classifier.box_offsets, [0.5] * 12)
        output = bias_only_output()
        return head.anchor_loss(output, truth) | head.region_loss(output, truth, EXACT)

    once, twice = (losses(bias_only_head(regions=regions(box_weight=w))) for w in (1.0, 2.0))
    factors = {name: twice[name].item() / value.item() for name, value in once.items()}
    assert factors == {"objectness": 1, "proposal": 2, "class": 1, "box": 2}


def test_balanced_l1_replaces_the_knee_but_not_the_weight() -> None:
    head = network_of("libra", box_beta=0.3, rpn_beta=0.2, box_weight=2.0).head
    assert (head.box_loss.func, head.box_loss.keywords) == (balanced_l1, {"beta": 1.0})
    assert (head.config.regions.rpn_beta, head.config.regions.box_weight) == (0.2, 2.0)
    plain = network_of("libra", box_beta=0.3, balanced_l1=False).head
    assert (plain.box_loss.func, plain.box_loss.keywords) == (smooth_l1, {"beta": 0.3})


def network_of(name: str, **changes: Any) -> Any:
    row = {"name": name} | {k: changes.pop(k) for k in ("balanced_l1",) if k in changes}
    suite = tiny_suite(head="faster_rcnn", regions=changes | {"channels": 8}, methods=[row])
    return build_detector(suite, suite.methods[0], 2, 0)


@pytest.mark.parametrize(
    ("beta", "weight", "expected"),
    [(0.0, 1.0, 2.0), (1.0, 1.0, 1.0 + 0.125), (1.0, 2.0, 2.25)],
)
def test_efpns_second_stage_has_the_suites_knee(
    monkeypatch: pytest.MonkeyPatch, beta: float, weight: float, expected: float
) -> None:
    """Errors of 1.5 and .5 of one small region, which is the only hard one."""
    head: Any = network(regions=regions_of(beta, weight)).head
    region = torch.tensor([[[4.0, 4.0, 14.0, 14.0]]])
    monkeypatch.setattr(
        head.original, "proposals", lambda _: Proposals(region, torch.tensor([[True]]))
    )
    with torch.no_grad():
        head.small.box_offsets.weight.zero_()
        head.small.box_offsets.bias.copy_(torch.tensor([1.5, -0.5, 0, 0] * 5))
    output = {"finest": [torch.rand(1, 16, 32, 32)], "pyramid": []}
    truth = targets([[(4.0, 4.0, 14.0, 14.0)]], [[2]])
    loss = head.loss(output, truth)["box"]
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    grad = head.small.box_offsets.bias.grad
    assert grad is not None
    slopes = [1.0, -1.0] if beta == 0 else [1.0, -0.5]
    assert grad[8:12].tolist() == pytest.approx([weight * s for s in slopes] + [0, 0])


def regions_of(beta: float, weight: float) -> dict[str, Any]:
    return {
        "pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16,
        "box_beta": beta, "box_weight": weight,
    }  # fmt: skip
