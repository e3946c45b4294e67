"""ZoomInNet: a detector learns from a teacher of its kind that sees the images at twice the size.

Remote Sensing 2021, 13(6):1198; section 3 and Table 3. Teacher and student are RetinaNets on FPN.
The teacher is trained first, on inputs of twice the height and width. Its maps would be twice as
large as the student's of the same level, so ``align`` fits them (section 3.2):

- ``la``, layer adaption: the student's two towers end with 2x nearest neighbour, so that classes
  and boxes are read from maps of the teacher's size; Eq. 7.
- ``fa``, feature level alignment: the student detects on P2 to P6, whose maps have the size of the
  teacher's P3 to P7; Eq. 10. ``thin`` halves the depth of its towers (FA_ThinHead).
- ``none``: the student stays as it is, and the teacher's maps are subsampled.

With ``distill`` the student's maps are trained towards the teacher's at the key positions
(``distillation.py``; section 3.3), of all levels together or of each alone (``distill_loss``).

The levels of ``fa`` and the place of the upsampling of ``la`` follow from the paper's counts of
multiply-adds (Table 3), which no other choice gives.

Ours, where the paper is silent: under ``la`` the towers' enlarged outputs are distilled, of classes
and of boxes, each with a separate loss, since no map before them has the teacher's size; otherwise
the outputs of the neck are distilled. The teacher is subsampled by every second cell.
``lambda_distill``, which appears both in Eq. 21 and in the sum of the losses, is applied once. The
teacher works in evaluation mode. The anchors of ``fa`` and ``la`` have half the sides of the
suite's, as in the paper, whose anchors are counted in strides; fitted ones are not halved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import Detector, DetectorConfig, HeadOptions, HeadOutput, Stage
from sobench.models.heads.retinanet import LEVELS, RetinaNetHead
from sobench.models.methods.zoominnet import AUTO_PLACE
from sobench.models.methods.zoominnet.distillation import (
    LambdaMode,
    key_positions,
    key_positions_by_map,
    position_aware_l2,
)
from sobench.models.parts.anchors import suite_anchors
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid, Levels
from sobench.models.parts.whole_batch import whole_mean

Place = Literal["neck", "towers"]

_SHALLOW = Levels(2, 6, extra="convolution")
"""The levels of feature level alignment."""

_LAMBDA_DISTILL = 0.01


class ZoomInNet(Detector):
    """A student; its losses need the teacher, which ``load_required`` takes, and ``images_2x``.

    Args:
        place: whose maps are compared with the teacher's, those of the ``neck`` or the last ones
            of the ``towers``.
        aligned: its maps have the size of the teacher's; otherwise the teacher's are subsampled.
        lambda_mode: see ``key_positions``.
        by_map: whether every map has key positions and a loss of its own; otherwise the levels
            share them.
    """

    stages = (Stage(images_2x=True),)
    compiled = ("maps_and_output", "teacher_features")
    head: RetinaNetHead

    def __init__(
        self,
        backbone: Backbone,
        neck: FeaturePyramid,
        head: RetinaNetHead,
        place: Place,
        aligned: bool,
        lambda_mode: LambdaMode,
        by_map: bool = False,
    ) -> None:
        super().__init__(backbone, neck, head)
        self.place: Place = place
        self.aligned = aligned
        self.lambda_mode: LambdaMode = lambda_mode
        self.by_map = by_map
        # In a tuple, the teacher is not a submodule: not saved, not trained, never in train mode.
        self.teacher: tuple[Detector, ...] = ()

    @property
    def frozen(self) -> tuple[nn.Module, ...]:
        """The backbone's frozen stages and the teacher."""
        return *super().frozen, *self.teacher

    def load_required(self, role: str, detector: Detector) -> None:
        """A ``teacher`` is kept as it is, in evaluation mode."""
        if role != "teacher":
            super().load_required(role, detector)
            return
        self.teacher = (detector.eval().requires_grad_(False),)

    def losses(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The losses of the head, and ``distill``.

        Raises:
            ValueError: no ``images_2x``, or no teacher for them.
        """
        pyramid, output = self.maps_and_output(images)
        losses = self.head.loss(output, targets)
        return losses | {"distill": self.distillation(pyramid, output, targets, images_2x)}

    def maps_and_output(self, images: Tensor) -> tuple[list[Tensor], HeadOutput]:
        """The neck's maps, and the raw predictions of the head from them."""
        pyramid = self.pyramid(images)
        return pyramid, self.head(pyramid)

    def distillation(
        self,
        pyramid: list[Tensor],
        output: HeadOutput,
        targets: Targets,
        images_2x: Tensor | None,
    ) -> Tensor:
        """The distance of the student's maps from the teacher's at the key positions; Eq. 21.

        Their share of all cells is logged as ``mask``.
        """
        masks = (key_positions_by_map if self.by_map else key_positions)(
            targets,
            self.head.anchors(output),
            [(x.shape[-2], x.shape[-1]) for x in output["logits"]],
            self.head.anchor_spec.num_anchors,
            self.lambda_mode,
        )
        self.log_vars["mask"] = whole_mean(torch.cat([mask.flatten() for mask in masks]).float())
        student_features = self.distilled_features(pyramid, output)
        pairs = zip(student_features, self.teacher_features(images_2x), strict=True)
        distances = [position_aware_l2(own, theirs, masks, self.by_map) for own, theirs in pairs]
        return _LAMBDA_DISTILL * torch.stack(distances).sum()

    @torch.no_grad()
    def teacher_features(self, images_2x: Tensor | None) -> list[list[Tensor]]:
        """The teacher's maps of the enlarged images, at the size of the student's."""
        if not self.teacher or images_2x is None:
            raise ValueError("zoominnet needs its teacher, and the images at twice the size for it")
        (teacher,) = self.teacher
        pyramid = teacher.pyramid(images_2x)
        groups = self.distilled_features(
            pyramid, teacher.head(pyramid) if self.place == "towers" else {}
        )
        if self.aligned:
            return groups
        return [[x[..., ::2, ::2] for x in maps] for maps in groups]

    def distilled_features(self, pyramid: list[Tensor], output: HeadOutput) -> list[list[Tensor]]:
        """The maps of either network that are distilled; each group has a separate loss."""
        if self.place == "neck":
            return [pyramid]
        return [output["class_tower"], output["box_tower"]]


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid and RetinaNet head, aligned with a teacher of twice the input size."""
    align = switches["align"]
    levels = _SHALLOW if align == "fa" else LEVELS
    options = HeadOptions(
        tower_convs=config.neck.tower_convs // 2 if switches["thin"] else None,
        upsample=align == "la",
    )
    neck = FeaturePyramid(backbone, config.neck, levels)
    strides = LEVELS.strides if align == "none" else _SHALLOW.strides
    if align != "none":
        # One level finer with sides of half: as many anchors as before lie on an object. Anchors
        # that are fitted to the objects need no halving, and then are those of the teacher.
        finer = 0 if config.anchors.fit else 1
        anchors = suite_anchors(config.anchors, len(strides) - finer, finer)
        options = replace(options, anchors=anchors)
    head = RetinaNetHead(config, strides, options)
    if not switches["distill"]:
        return Detector(backbone, neck, head)
    distill_on = switches["distill_on"]
    place = cast(Place, AUTO_PLACE[align] if distill_on == "auto" else distill_on)
    by_map = switches["distill_loss"] == "by_map"
    return ZoomInNet(backbone, neck, head, place, align != "none", switches["lambda_mode"], by_map)
