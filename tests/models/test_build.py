"""Initial weights of neck and head come from the seed, not from what the backbone has drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.models.build import build_detector
from tests.tiny_suite import tiny_suite


def _weights(seed: int, backbone: str = "resnet18") -> dict[str, Tensor]:
    """Of neck and head, which fit both of the backbones below."""
    suite = tiny_suite(methods=["fpn"], backbone={"name": backbone})
    weights = build_detector(suite, suite.methods[0], 5, seed).state_dict()
    return {name: w for name, w in weights.items() if name.startswith(("neck.", "head."))}


def test_another_backbone_leaves_the_rest_as_it_is() -> None:
    one, other = _weights(0), _weights(0, "resnet34")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], weight) for name, weight in _weights(1).items())
