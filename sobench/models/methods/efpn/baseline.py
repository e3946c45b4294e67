"""A detector that takes over a finished FPN and never trains it further; EFPN, section IV-A3."""

from __future__ import annotations

from typing import Self

from torch import nn

from sobench.models.detector import Detector
from sobench.models.methods.efpn.heads import ExtendedHead, SingleMapFasterRcnn
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid


class OnFinishedFpn(Detector):
    """``load_required`` takes over the ``baseline``: backbone, neck and ``head.original``.

    They have no gradients and stay in eval mode with their statistics.
    """

    backbone: Backbone
    neck: FeaturePyramid
    head: ExtendedHead | SingleMapFasterRcnn

    def __init__(
        self,
        backbone: Backbone,
        neck: FeaturePyramid,
        head: ExtendedHead | SingleMapFasterRcnn,
    ) -> None:
        super().__init__(backbone, neck, head)
        # Without gradients their forward passes keep no graph either.
        for part in self.shared:
            part.requires_grad_(False)

    @property
    def shared(self) -> tuple[nn.Module, ...]:
        """The modules that come from the baseline and never train."""
        return self.backbone, self.neck, self.head.original

    @property
    def frozen(self) -> tuple[nn.Module, ...]:
        """The shared modules."""
        return self.shared

    def train(self, mode: bool = True) -> Self:
        """As in ``nn.Module``, but the shared modules stay in eval mode with their statistics."""
        super().train(mode)
        for part in self.shared:
            part.eval()
        return self

    def load_required(self, role: str, detector: Detector) -> None:
        """The weights of the ``baseline`` become the shared ones and the start of the new head."""
        if role != "baseline":
            super().load_required(role, detector)
            return
        for part, name in zip(self.shared, ("backbone", "neck", "head"), strict=True):
            part.load_state_dict(detector.get_submodule(name).state_dict())
        self.head.copy_original()
