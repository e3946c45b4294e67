"""EFPN: a further, finer pyramid level for small objects; arXiv:2003.07021.

The finished ``fpn`` run of the same suite and seed is taken over and never trained further. An
extension (``extension.py``) computes the new level from its maps. In the first stage it learns to
give the maps that the same layers give for the image at twice its size. In the second stage a new
head for that level is trained, and the extension with it (``heads.py``).

From the paper, all for Faster R-CNN: C2' from a stem without max-pooling (Table I); feature texture
transfer (Eq. 1, 3 and 4) with two residual blocks in both extractors; cross resolution distillation
with its balanced loss (Eq. 5 to 8); frozen layers; the new head and its OHEM (section IV-A); ESPCN
and nearest neighbour instead of the transfer (Tables II and III). Regions below 56 pixels are small
on Tsinghua-Tencent 100K, those below 112 on COCO.

From the authors' code: the transfer reads the sums of the pyramid before their 3x3 convolutions,
and its map is trained towards such a sum; the sum of Eq. 1 has a 1x1 convolution before it and a
3x3 one after it, both without bias; the loss takes means; the extension goes on training with the
new head. The paper's own forms are switches: ``ftt_in: out`` reads ``P_2`` and ``P_3`` and trains
towards ``P_3`` (Eq. 3 and 5), ``fusion: plain`` only adds (Eq. 1), and ``freeze_extension`` trains
the new head alone at the end (section IV-A3). In that code the proposals come from the frozen
layers alone, although the paper names the region proposal network among the supervision of a level
without distillation. The code lets small regions pass the old head as well (``duplicate_small``),
the paper does not.

Ours, where both are silent: cells in ignore regions count for the distillation only where an
object touches them, as anchors there count only if they match one; the lengths of the stages; the
number of hard regions; a new head that starts as a copy of the old one, since P2' is trained to be
like the level that the old one reads. RetinaNet, which the paper does not treat, gets everything a
level higher: C3' of stride 4 extends P3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import Detector, DetectorConfig, Stage
from sobench.models.heads import build_head, head_levels
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.methods.efpn.baseline import OnFinishedFpn
from sobench.models.methods.efpn.controls import single_map, target_level
from sobench.models.methods.efpn.extension import (
    AuthorsTransfer,
    Espcn,
    Extension,
    FeatureTextureTransfer,
    Nearest,
)
from sobench.models.methods.efpn.heads import (
    ExtendedHead,
    SingleMapFasterRcnn,
    extended_head,
)
from sobench.models.methods.efpn.losses import (
    covered_cells,
    foreground_balanced_l1,
    ignored_cells,
)
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid


@dataclass(frozen=True)
class Distillation:
    """Cross resolution distillation, section III-C.

    Attributes:
        weight: lambda of Eq. 8; 0 leaves the positive patch loss out.
        transfer: whether the transfer's map has a target too, not only the finest level.
    """

    weight: float
    transfer: bool


class Efpn(OnFinishedFpn):
    """FPN with a further level.

    Args:
        level: the pyramid's lowest, ``f``.
        reads_outputs: the transfer reads the pyramid's levels and learns from one, not from the
            sums before their 3x3.
        distillation: of the first stage; ``None`` trains the head from the first step.
        freeze_extension: the second stage trains the new head alone.
    """

    head: ExtendedHead
    compiled = ("predict", "base_maps", "extend", "teacher_features")

    def __init__(
        self,
        backbone: Backbone,
        neck: FeaturePyramid,
        head: ExtendedHead | SingleMapFasterRcnn,
        extension: Extension,
        level: int,
        reads_outputs: bool,
        distillation: Distillation | None,
        freeze_extension: bool = False,
    ) -> None:
        super().__init__(backbone, neck, head)
        self.extension = extension
        self.level = level
        self.reads_outputs = reads_outputs
        self.distillation = distillation
        self.freeze_extension = freeze_extension
        self.distillation_of_stage: Distillation | None = None
        self.stages = (
            Stage("extension", 1.0, images_2x=distillation is not None),
            Stage("head", 0.5),
        )

    def start_stage(self, stage: Stage) -> None:
        """With the images at twice the size only the extension trains, else the new head too."""
        self.distillation_of_stage = self.distillation if stage.images_2x else None
        trains_head = self.distillation_of_stage is None
        self.head.small.requires_grad_(trains_head)
        self.extension.requires_grad_(not (trains_head and self.freeze_extension))

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The extended pyramid, finest level first."""
        features, finer, inner = self.base_maps(images)
        pyramid = self.neck.levels(inner, features[-1])
        finest, _ = self.extend(pyramid if self.reads_outputs else inner, finer)
        return [finest, *pyramid]

    def base_maps(self, images: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """C2..C5, ``C_f'``, and the pyramid's sums before their 3x3."""
        normalised = (images - self.mean) / self.std
        features, finer = self.backbone.forward_with_finer(normalised, self.level)
        return features, finer, self.neck.fused(features)

    def extend(self, maps: list[Tensor], finer: Tensor) -> tuple[Tensor, Tensor]:
        """``P_f'`` and ``P_f+1'``, from the sums or the levels, whichever the transfer reads."""
        lower, upper = maps[:2]
        finest, transferred = self.extension(upper, lower, finer)
        return finest, transferred

    def losses(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The losses of the stage: first of distillation, then of the new head."""
        if self.distillation_of_stage is None:
            return super().losses(images, targets)
        return self.distillation_losses(images, targets, images_2x, self.distillation_of_stage)

    def distillation_losses(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None, settings: Distillation
    ) -> dict[str, Tensor]:
        """``distill``, the distance of ``P_f'`` from its target, and ``distill_transfer``; Eq. 5.

        Raises:
            ValueError: no ``images_2x``.
        """
        features, finer, inner = self.base_maps(images)
        maps = self.neck.levels(inner, features[-1]) if self.reads_outputs else inner
        finest, transferred = self.extend(maps, finer)
        finest_target, transferred_target = self.teacher_features(images_2x)

        def balanced(student: Tensor, target: Tensor, stride: float) -> Tensor:
            size = (student.shape[-2], student.shape[-1])
            covered = covered_cells(targets, stride, size)
            left_out = ignored_cells(targets, stride, size, covered)
            return foreground_balanced_l1(student, target, covered, settings.weight, left_out)

        stride = 2**self.level
        losses = {"distill": balanced(finest, finest_target, stride / 2)}
        if settings.transfer:
            losses["distill_transfer"] = balanced(transferred, transferred_target, stride)
        return losses

    def teacher_features(self, images_2x: Tensor | None) -> tuple[Tensor, Tensor]:
        """``P_f`` of the images at twice their size, and ``P_f+1`` or the sum that it is made from.

        The second is of the kind that the transfer reads.
        """
        if images_2x is None:
            raise ValueError(
                "efpn distils from the images at twice the size, which the batch does not have"
            )
        inner = self.neck.fused(self.backbone((images_2x - self.mean) / self.std))
        finest: Tensor = self.neck.output[0](inner[0])
        return finest, self.neck.output[1](inner[1]) if self.reads_outputs else inner[1]


class SingleTransferredMap(Efpn):
    """EFPN without its new head: all regions are pooled from the transfer's map; ``controls.py``.

    Of the two stages of the training, there is only the first.
    """

    head: SingleMapFasterRcnn  # type: ignore[assignment]

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.stages = self.stages[:1]

    def start_stage(self, stage: Stage) -> None:
        """The only stage trains the extension."""
        del stage
        self.distillation_of_stage = self.distillation

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """``P_f+1'``, then the levels of the pyramid."""
        features, finer, inner = self.base_maps(images)
        pyramid = self.neck.levels(inner, features[-1])
        _, transferred = self.extend(pyramid if self.reads_outputs else inner, finer)
        return [transferred, *pyramid]


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid and head of ``fpn``, then the extension and its head."""
    levels = head_levels(config.head)
    detect_from, small_below = switches["detect_from"], switches["small_below"]
    duplicate = switches["duplicate_small"]
    if detect_from == "p2_2x":
        return target_level(backbone, config, levels, small_below, duplicate)
    if detect_from == "p3":
        return single_map(backbone, config, levels)
    neck = FeaturePyramid(backbone, config.neck, levels)
    original = build_head(config, levels.strides)
    transfer = _transfer(config.neck.channels, switches)
    plain_sum = switches["fusion"] == "plain"
    extension = Extension(backbone.channels[levels.first - 2], config.neck, transfer, plain_sum)
    reads_outputs = switches["ftt_in"] == "out"
    distillation = _distillation(switches) if switches["distill"] else None
    if detect_from == "p3_ftt":
        assert isinstance(original, FasterRCNNHead)
        single = SingleMapFasterRcnn(original, levels.strides[0])
        return SingleTransferredMap(
            backbone, neck, single, extension, levels.first, reads_outputs, distillation
        )
    head = extended_head(original, small_below, duplicate)
    return Efpn(
        backbone, neck, head, extension, levels.first, reads_outputs, distillation,
        bool(switches["freeze_extension"]),
    )  # fmt: skip


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
    has_weights = switches["ftt"] != "nearest"
    return Distillation(weight, has_weights and switches["distill_ftt"])
