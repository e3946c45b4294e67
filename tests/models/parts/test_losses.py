"""The shared losses against torchvision and hand values."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from sobench.models.parts.losses import focal_loss, mined_cross_entropy, smooth_l1


def random_anchors() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, labels, positives, counted: a third each of objects, ignored and background."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 60, 7, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(7, (2, 60), generator=generator)
    kind = torch.randint(3, (2, 60), generator=generator)
    return logits.requires_grad_(), labels, kind == 0, kind != 1


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 1.0), (0.25, 0.0)])
def test_focal_loss_is_torchvisions(alpha: float, gamma: float) -> None:
    logits, labels, positive, counted = random_anchors()
    target = F.one_hot(labels, 7).double() * positive.unsqueeze(-1)
    loss_of_each = sigmoid_focal_loss(logits, target, alpha, gamma)
    expected = (loss_of_each * counted.unsqueeze(-1)).sum()
    loss = focal_loss(logits, labels, positive, counted, alpha, gamma)
    assert torch.allclose(loss, expected, rtol=1e-10)
    (ours,) = torch.autograd.grad(loss, logits)
    (theirs,) = torch.autograd.grad(expected, logits)
    assert torch.allclose(ours, theirs, atol=1e-10)
    assert (ours[~counted] == 0).all()
    assert (ours[counted] != 0).all()


def test_focal_loss_by_hand() -> None:
    label = torch.zeros(1, 1, dtype=torch.int64)
    yes, no = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)
    logits = torch.zeros(1, 1, 1)
    assert focal_loss(logits, label, no, yes).item() == pytest.approx(0.75 * 0.25 * log(2))
    assert focal_loss(logits, label, yes, yes).item() == pytest.approx(0.25 * 0.25 * log(2))
    assert focal_loss(logits, label, no, no).item() == 0


def test_focal_loss_of_extreme_logits_is_finite() -> None:
    logits = torch.tensor([[[200.0, -200.0], [-200.0, 200.0]]], requires_grad=True)
    positive = torch.tensor([[True, False]])
    loss = focal_loss(logits, torch.tensor([[1, 0]]), positive, torch.ones_like(positive))
    loss.backward()  # type: ignore[no-untyped-call]
    # A wrong background logit costs .75 * 200, twice; a missed object .25 * 200.
    assert loss.item() == pytest.approx(2 * 150 + 50)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("beta", "expected"), [(0.0, 0.5 + 2.0), (1.0, 0.125 + 1.5), (2.0, 0.0625 + 1.0)]
)
def test_smooth_l1_by_hand(beta: float, expected: float) -> None:
    prediction = torch.tensor([[[0.5, -2.0, 0, 0], [9, 9, 9, 9]]], requires_grad=True)
    positive = torch.tensor([[True, False]])
    loss = smooth_l1(prediction, torch.zeros(1, 2, 4), positive, beta)
    assert loss.item() == pytest.approx(expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert prediction.grad is not None
    assert (prediction.grad[0, 1] == 0).all()
    assert prediction.grad[0, 0, 1] == -1


def background_loss(logit: float) -> float:
    """Cross-entropy of the background, whose logit is 0, if the only class has this logit."""
    return log(1 + exp(logit))


def test_the_three_hardest_negatives_of_a_positive_count() -> None:
    # There is one class, whose logits are listed; the background's logit is 0.
    class_logits = [
        [2.0, 3.0, -1.0, 0.5, 1.0, 5.0, -2.0],  # the first is an object, 5.0 takes no part
        [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0],  # without an object
    ]
    logits = torch.tensor([[[0.0, x] for x in image] for image in class_logits], requires_grad=True)
    classes = torch.zeros(2, 7, dtype=torch.int64)
    classes[0, 0] = 1
    positive = classes > 0
    negative = ~positive
    negative[0, 5] = False
    loss = mined_cross_entropy(logits, classes, positive, negative)
    expected = sum(background_loss(logit) for logit in (-2.0, 3.0, 1.0, 0.5))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    trained = (logits.grad != 0).any(dim=-1)
    assert trained[0].tolist() == [True, True, False, True, True, False, False]
    assert not trained[1].any()


def test_negatives_are_counted_image_by_image() -> None:
    logits = torch.zeros(2, 8, 3)
    classes = torch.zeros(2, 8, dtype=torch.int64)
    classes[0, :1], classes[1, :2] = 1, 2
    positive = classes > 0
    # Four terms in the first image; in the second two positives and all six negatives.
    loss = mined_cross_entropy(logits, classes, positive, ~positive)
    assert loss.item() == pytest.approx((4 + 8) * log(3), rel=1e-6)
    one_to_one = mined_cross_entropy(logits, classes, positive, ~positive, ratio=1)
    assert one_to_one.item() == pytest.approx((2 + 4) * log(3), rel=1e-6)


def test_more_positives_than_negatives_counts_nothing_twice() -> None:
    logits = torch.zeros(1, 4, 2)
    classes = torch.tensor([[1, 1, 1, 0]])
    positive = classes > 0
    loss = mined_cross_entropy(logits, classes, positive, ~positive)
    assert loss.item() == pytest.approx(4 * log(2), rel=1e-6)
