"""EFPN: a further, finer pyramid level for small objects; arXiv:2003.07021.

The finished ``fpn`` run of the same suite and seed is taken over and stays as it is. An extension
(``extension.py``) makes the new level from it, and first learns to give what the same layers give
for the image at twice its size. Then a new head for that level is trained, and the extension with
it (``heads.py``).

The paper's, all for Faster R-CNN: C2' from a stem without max-pooling (Table I); feature texture
transfer (Eq. 1, 3 and 4) with two residual blocks in both extractors; cross resolution distillation
with its balanced loss (Eq. 5 to 8); frozen layers; the new head and its OHEM (section IV-A); ESPCN
and nearest neighbour instead of the transfer (Tables II and III). Regions below 56 pixels are small
on Tsinghua-Tencent 100K, those below 112 on COCO.

From the authors' code: the transfer reads the sums of the pyramid before their 3x3 convolutions
(``ftt_in: out`` reads behind them), and its map is drawn to such a sum; a 1x1 convolution before
and a 3x3 one behind the sum of Eq. 1, both without bias; the means of the loss; an extension that
goes on training with the new head. Its proposals come from the frozen layers alone, also where the
paper names their network among what supervises a level without distillation. That code lets small
regions pass the old head as well (``duplicate_small``), the paper does not.

Ours, where both are silent: the lengths of the stages; how many hard regions there are; a new head
that starts as a copy of the old one, since P2' is to become what that one reads. RetinaNet, which
the paper has not, gets everything a level higher: C3' of stride 4 extends P3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import Detector, DetectorConfig, Stage
from sobench.models.heads import build_head, head_levels
from sobench.models.methods.efpn.extension import (
    AuthorsTransfer,
    Espcn,
    Extension,
    FeatureTextureTransfer,
    Nearest,
)
from sobench.models.methods.efpn.heads import ExtendedHead, extended_head
from sobench.models.methods.efpn.losses import covered_cells, foreground_balanced_l1
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid


@dataclass(frozen=True)
class Distillation:
    """Cross resolution distillation, section III-C.

    Attributes:
        weight: lambda of Eq. 8; 0 leaves the positive patch loss out.
        transfer: the transfer's map is drawn to its target too, not only the finest level.
    """

    weight: float
    transfer: bool


class Efpn(Detector):
    """FPN with a further level; ``receive`` takes over the ``baseline`` that it extends.

    Args:
        level: the pyramid's lowest, ``f``.
        behind: the transfer reads the pyramid's levels, not the sums that they are made of.
        distillation: of the first stage; ``None`` trains the head from the first step.
    """

    backbone: Backbone
    neck: FeaturePyramid
    head: ExtendedHead

    def __init__(
        self,
        backbone: Backbone,
        neck: FeaturePyramid,
        head: ExtendedHead,
        extension: Extension,
        level: int,
        behind: bool,
        distillation: Distillation | None,
    ) -> None:
        super().__init__(backbone, neck, head)
        self.extension = extension
        self.level = level
        self.behind = behind
        self.distillation = distillation
        self.teaching: Distillation | None = None
        self.stages = (
            Stage("extension", 1.0, images_2x=distillation is not None),
            Stage("head", 0.5),
        )
        # Nothing of it asks for gradients, so its forward passes keep no graph either.
        for part in self.shared:
            part.requires_grad_(False)

    @property
    def shared(self) -> tuple[nn.Module, ...]:
        """What comes from the baseline, and never trains."""
        return self.backbone, self.neck, self.head.original

    def train(self, mode: bool = True) -> Efpn:
        """As in ``nn.Module``, but what is shared stays in eval mode, and so its statistics."""
        super().train(mode)
        for part in self.shared:
            part.eval()
        return self

    def start_stage(self, stage: Stage) -> None:
        """With the images at twice the size only the extension trains, else the new head too."""
        self.teaching = self.distillation if stage.images_2x else None
        self.head.small.requires_grad_(self.teaching is None)

    def load_required(self, role: str, network: Detector) -> None:
        """The weights of the ``baseline`` become the shared ones and the start of the new head."""
        if role != "baseline":
            super().load_required(role, network)
            return
        for part, name in zip(self.shared, ("backbone", "neck", "head"), strict=True):
            part.load_state_dict(network.get_submodule(name).state_dict())
        self.head.start()

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The extended pyramid, finest level first."""
        features, finer, inner = self.read(images)
        pyramid = self.neck.levels(inner, features[-1])
        finest, _ = self.extended(pyramid if self.behind else inner, finer)
        return [finest, *pyramid]

    def read(self, images: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """C2..C5, ``C_f'``, and the pyramid's sums before their 3x3."""
        normalised = (images - self.mean) / self.std
        features, finer = self.backbone.forward_with_finer(normalised, self.level)
        return features, finer, self.neck.fused(features)

    def extended(self, maps: list[Tensor], finer: Tensor) -> tuple[Tensor, Tensor]:
        """``P_f'`` and ``P_f+1'``, from the sums or the levels, whichever the transfer reads."""
        lower, upper = maps[:2]
        made: tuple[Tensor, Tensor] = self.extension(upper, lower, finer)
        return made

    def losses(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Those of the stage: first of distillation, then of the new head."""
        if self.teaching is None:
            return super().losses(images, targets)
        return self.distilled(images, targets, images_2x, self.teaching)

    def distilled(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None, settings: Distillation
    ) -> dict[str, Tensor]:
        """``distill``, how far ``P_f'`` is from its target, and ``distill_transfer``; Eq. 5.

        Raises:
            ValueError: no ``images_2x``.
        """
        features, finer, inner = self.read(images)
        maps = self.neck.levels(inner, features[-1]) if self.behind else inner
        finest, transferred = self.extended(maps, finer)
        finest_target, transferred_target = self.teacher_features(images_2x)

        def balanced(student: Tensor, target: Tensor, stride: float) -> Tensor:
            covered = covered_cells(targets, stride, (student.shape[-2], student.shape[-1]))
            return foreground_balanced_l1(student, target, covered, settings.weight)

        stride = 2**self.level
        losses = {"distill": balanced(finest, finest_target, stride / 2)}
        if settings.transfer:
            losses["distill_transfer"] = balanced(transferred, transferred_target, stride)
        return losses

    def teacher_features(self, images_2x: Tensor | None) -> tuple[Tensor, Tensor]:
        """``P_f``, and the sum behind ``P_f+1``, of the images at twice their size."""
        if images_2x is None:
            raise ValueError(
                "efpn distils from the images at twice the size, which the batch lacks"
            )
        inner = self.neck.fused(self.backbone((images_2x - self.mean) / self.std))
        return self.neck.output[0](inner[0]), inner[1]


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid and head of ``fpn``, then the extension and its head."""
    levels = head_levels(config.head)
    neck = FeaturePyramid(backbone, config.neck, levels)
    original = build_head(config, levels.strides)
    transfer = _transfer(config.neck.channels, switches)
    extension = Extension(backbone.channels[levels.first - 2], config.neck, transfer)
    head = extended_head(original, switches["small_below"], switches["duplicate_small"])
    reads_outputs = switches["ftt_in"] == "out"
    distillation = _distillation(switches) if switches["distill"] else None
    return Efpn(backbone, neck, head, extension, levels.first, reads_outputs, distillation)


def _transfer(channels: int, switches: Mapping[str, Any]) -> nn.Module:
    match switches["ftt"], switches["preset"]:
        case "nearest", _:
            return Nearest()
        case "espcn", _:
            return Espcn(channels)
        case _, "author":
            return AuthorsTransfer(channels)
        case _:
            return FeatureTextureTransfer(channels)


def _distillation(switches: Mapping[str, Any]) -> Distillation:
    weight = float(switches["lambda_pos"]) if switches["balanced"] else 0.0
    learns = switches["ftt"] != "nearest"
    return Distillation(weight, learns and switches["distill_ftt"])
