"""The last stage of a ResNet as second stage of a head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sobench.models.methods.mrae.res5 import Res5
from sobench.models.parts.backbone import build_backbone
from sobench.suite.network import Backbone


@pytest.mark.parametrize("frozen", [True, False])
def test_the_last_stage_of_a_resnet_as_box_head(frozen: bool) -> None:
    settings = Backbone(name="resnet18", weights="none", norm="train")
    stage = build_backbone(settings).layer4
    head = Res5(stage, 512, frozen).train()
    assert head.resolution == 14
    norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {m.training for m in norms} == {not frozen}
    assert not any(m.training for m in head.eval().modules())
    pooled = torch.rand(2, 256, 14, 14)
    with torch.no_grad():
        vectors = head(pooled)
        assert stage(pooled).shape == (2, 512, 7, 7)
        assert torch.allclose(vectors, stage(pooled).mean(dim=(2, 3)), atol=1e-6)
    assert vectors.shape == (2, head.outputs)
