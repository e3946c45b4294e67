"""Layers of detectors on VGG-16 against hand values."""

from __future__ import annotations

import torch

from sobench.models.parts.vgg import L2Norm


def test_l2norm_scales_every_channel() -> None:
    norm = L2Norm(2, 20.0)
    assert norm.scale.tolist() == [20, 20]
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert torch.allclose(norm(x)[0, :, 1, 0], torch.tensor([12.0, 16.0]))
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 10.0]))
    assert torch.allclose(norm(x.bfloat16())[0, :, 0, 1], torch.tensor([0.6, 8.0]))
    assert norm(torch.zeros(1, 2, 1, 1)).isfinite().all()
