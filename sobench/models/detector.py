"""A detector is a backbone, a neck and a head; its ``forward`` runs them in that order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

import torch
from torch import Tensor, nn

from sobench.data.dataset import FloatArray
from sobench.data.targets import Targets
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.losses import BoxLoss
from sobench.models.parts.nms import Candidates, Detections
from sobench.models.parts.sampling import Sampler
from sobench.suite.detect import Detect
from sobench.suite.network import Anchors, Neck, Regions

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

HeadOutput = dict[str, list[Tensor]]
"""Raw predictions by name, one map for each level."""


def all_predictions(output: HeadOutput) -> list[Tensor]:
    """Every raw prediction: the ``flops_outputs`` of a head without a second stage."""
    return [x for maps in output.values() for x in maps]


@dataclass(frozen=True)
class DetectorConfig:
    """The settings of a suite that every method's network shares.

    Attributes:
        num_classes: without a background.
        size: (height, width) of the network input, or of the largest one if it varies.
        neck: channels and normalisation of the pyramid and of the head's towers.
        head: key of ``suite.heads.HEADS``.
        anchors: sizes and ratios of the anchors, in numbers even if the suite has them fitted.
        detect: thresholds and limits of its detections.
        regions: proposals and samples of a two-stage head.
        box_wh: ``[N, 2]`` (width, height) of the training boxes in pixels of the input, for
            anchors that are fitted to them; ``None`` if no data are at hand.
    """

    num_classes: int
    size: tuple[int, int]
    neck: Neck
    head: str
    anchors: Anchors
    detect: Detect
    regions: Regions = field(default_factory=Regions)
    box_wh: FloatArray | None = field(default=None, compare=False)

    def canvas(self, finest: Tensor, stride: int) -> tuple[int, int]:
        """(height, width) of the input that a ``[B, C, h, w]`` map of this stride is made from.

        It follows from the map, since an input that varies is a multiple of 32; one that does not
        vary is ``size``, of which the map may have been rounded up.

        Args:
            stride: a divisor of 32.
        """
        height, width = (int(side) * stride for side in finest.shape[-2:])
        return min(self.size[0], height), min(self.size[1], width)


class BoxHead(Protocol):
    """Turns pooled regions into vectors, in the second stage of a head; an ``nn.Module``.

    Attributes:
        resolution: side of the pooled maps that it takes, in cells.
        outputs: length of the vectors that it returns.
    """

    resolution: int
    outputs: int

    def __call__(self, pooled: Tensor) -> Tensor:
        """``[N, C, resolution, resolution]`` -> ``[N, outputs]``."""
        ...


@dataclass(frozen=True)
class HeadOptions:
    """The changes that a method may make to the suite's head; all else is the suite's.

    Each head has some of these options and refuses the others; see ``refuse_options``.

    Attributes:
        channels: of the pyramid, if they differ from the suite's.
        anchors: of every level, instead of the suite's.
        box_loss: loss of the positives' encoded boxes, instead of the head's.
        sampler: chooses the regions that a second stage trains on, instead of a random choice.
        box_head: part of the second stage, instead of two fully connected layers.
        level_norm: whether the towers have separate batch normalisation for every level.
        tower_convs: depth of the towers, if it differs from the suite's.
        upsample: whether the towers' maps are doubled before classes and boxes are predicted from
            them; the head's strides are then half of the pyramid's.
    """

    channels: int | None = None
    anchors: AnchorSpec | None = None
    box_loss: BoxLoss | None = None
    sampler: Sampler | None = None
    box_head: BoxHead | None = None
    level_norm: bool = False
    tower_convs: int | None = None
    upsample: bool = False


def refuse_options(head: str, options: HeadOptions, missing: Sequence[str]) -> None:
    """Refuse options that a head does not have, since ignoring them would hide a mistake.

    Args:
        head: class name of the head, for the message.
        missing: fields of ``HeadOptions`` that the head does not have.

    Raises:
        ValueError: one of them differs from its default.
    """
    default = HeadOptions()
    for name in missing:
        if getattr(options, name) != getattr(default, name):
            raise ValueError(
                f"{head}: there is no option {name!r}; leave it out of HeadOptions, or build the "
                "method on a head that has it"
            )


class Head(Protocol):
    """The contract of a detector's head; heads are ``nn.Module``.

    A head may also have ``candidates(output) -> Candidates``, which ``detect`` suppresses; only
    with it can a network be tested at several inputs together.
    """

    def __call__(self, pyramid: list[Tensor]) -> HeadOutput:
        """Raw predictions from ``[B, C, h, w]`` maps, finest first."""
        ...

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Scalar losses by name; their sum is minimised."""
        ...

    def detect(self, output: HeadOutput) -> Detections:
        """Detections in pixels of the network input."""
        ...

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """Tensors that depend on every multiply-add that one image may cost, to count these."""
        ...


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own optimizer and its own learning-rate schedule.

    Attributes:
        name: shown in the log and in the progress.
        share: fraction of the suite's epochs; epochs are rounded up. 0 is no training at all.
        images_2x: whether its batches also carry the images at twice the size.
    """

    name: str = "train"
    share: float = 1.0
    images_2x: bool = False


class Detector(nn.Module):
    """Maps images to losses if targets are given, and to detections otherwise.

    Attributes:
        stages: of its training, in order.
        compiled: names of the methods that ``losses`` calls and that a compiler may replace:
            functions of tensors, of the same shapes in every step, which hold most of the network.
        log_vars: scalars by name that a method logs beside its last losses; they are not part of
            the sum.
    """

    stages: tuple[Stage, ...] = (Stage(),)
    compiled: tuple[str, ...] = ("predict",)
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: Head) -> None:
        super().__init__()
        self.log_vars: dict[str, Tensor] = {}
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    @property
    def frozen(self) -> tuple[nn.Module, ...]:
        """Modules with weights that do not train, which are used only where autocast may cast them.

        By default the frozen stages of the backbone.
        """
        if not isinstance(self.backbone, Backbone):
            return ()
        return tuple(self.backbone.get_submodule(name) for name in self.backbone.freeze)

    def start_stage(self, stage: Stage) -> None:
        """Prepare for a stage: choose the weights that train and the losses that count.

        Called once before the first step of the stage, and again if a training is resumed within
        it. With a single stage there is nothing to do.
        """

    def load_required(self, role: str, detector: Detector) -> None:
        """Take over the weights of a finished run; called before the first stage.

        Args:
            role: ``init_from``, which takes all its weights, or one of the method's ``needs``.
            detector: of that run, with its trained weights.

        Raises:
            ValueError: the detector has no such role.
        """
        if role != "init_from":
            raise ValueError(f"{type(self).__name__} has no use for a {role}")
        self.load_state_dict(detector.state_dict())

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The neck's maps for ``[B, 3, H, W]`` pixels in 0..255, finest level first."""
        maps: list[Tensor] = self.neck(self.backbone((images - self.mean) / self.std))
        return maps

    def predict(self, images: Tensor) -> HeadOutput:
        """Raw predictions of the head from ``[B, 3, H, W]`` pixels in 0..255."""
        return self.head(self.pyramid(images))

    def candidates(self, images: Tensor) -> Candidates:
        """What the head would suppress, for ``[B, 3, H, W]`` pixels in 0..255.

        Raises:
            AttributeError: the head has no ``candidates``.
        """
        candidates: Candidates = self.head.candidates(self.predict(images))  # type: ignore[attr-defined]
        return candidates

    @overload
    def forward(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None = None
    ) -> dict[str, Tensor]: ...

    @overload
    def forward(self, images: Tensor, targets: None = None) -> Detections: ...

    def forward(
        self, images: Tensor, targets: Targets | None = None, images_2x: Tensor | None = None
    ) -> dict[str, Tensor] | Detections:
        """Losses by name if ``targets`` are given, ``Detections`` otherwise.

        Args:
            images: ``[B, 3, H, W]`` uint8 or float, RGB in 0..255.
            targets: padded ground truth in pixels of the input.
            images_2x: ``[B, 3, 2H, 2W]``, the images at twice the size, if the stage asks for them.
        """
        if targets is None:
            return self.head.detect(self.predict(images))
        return self.losses(images, targets, images_2x)

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        images_2x: Tensor | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Scalar losses by name, whose sum a training step minimises.

        These are the head's losses, unless a method adds its own. Arguments are those of
        ``forward``.
        """
        return self.head.loss(self.predict(images), targets)
