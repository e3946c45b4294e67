"""A detector is a backbone, a neck and a head; ``forward`` reads in that order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, overload

import torch
from torch import Tensor, nn

from sobench.data.dataset import FloatArray
from sobench.data.targets import Targets
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.losses import BoxLoss
from sobench.models.parts.nms import Detections
from sobench.models.parts.sampling import Sampler
from sobench.suite.sections import Anchors, Detect, Neck, Regions

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

HeadOutput = dict[str, list[Tensor]]
"""Raw predictions by name, a map for each level."""


def all_predictions(output: HeadOutput) -> list[Tensor]:
    """Every raw prediction: the flops_outputs of a head without a second stage."""
    return [x for maps in output.values() for x in maps]


@dataclass(frozen=True)
class DetectorConfig:
    """What a suite pins for every method's network.

    Attributes:
        num_classes: without a background.
        size: height and width of the network input.
        neck: channels and normalisation of the pyramid and of the head's towers.
        head: key of ``catalog.HEADS``.
        regions: proposals and samples of a two-stage head.
        box_wh: ``[N, 2]`` width and height of the training boxes in pixels of the input, for
            anchors that are fitted to them; ``None`` where no data are at hand.
    """

    num_classes: int
    size: tuple[int, int]
    neck: Neck
    head: str
    anchors: Anchors
    detect: Detect
    regions: Regions = field(default_factory=Regions)
    box_wh: FloatArray | None = field(default=None, compare=False)


class BoxHead(Protocol):
    """What a two-stage head asks of its second stage; region heads are ``nn.Module``.

    Attributes:
        resolution: side of the pooled map that it takes.
        outputs: length of the vector that it gives.
    """

    resolution: int
    outputs: int

    def __call__(self, pooled: Tensor) -> Tensor:
        """``[N, C, resolution, resolution]`` -> ``[N, outputs]``."""
        ...


@dataclass(frozen=True)
class HeadOptions:
    """What a method may change in the suite's head; everything else is the suite's.

    Attributes:
        channels: of the pyramid, where they are not the suite's.
        anchors: of every level, instead of the suite's.
        box_loss: summed over the encoded boxes of positives, instead of the head's own.
        sampler: chooses the regions that a second stage trains on, instead of at random.
        box_head: second stage, instead of two fully connected layers.
        level_norm: batch normalisation in the towers, of its own for every level.
        tower_convs: depth of the towers, where it is not the suite's.
        upsample: the towers' maps are doubled before classes and boxes are read from them; the
            head's strides are then half of the pyramid's.
    """

    channels: int | None = None
    anchors: AnchorSpec | None = None
    box_loss: BoxLoss | None = None
    sampler: Sampler | None = None
    box_head: BoxHead | None = None
    level_norm: bool = False
    tower_convs: int | None = None
    upsample: bool = False


class Head(Protocol):
    """What a detector asks of its head; heads are ``nn.Module``."""

    def __call__(self, pyramid: list[Tensor]) -> HeadOutput:
        """Raw predictions from ``[B, C, h, w]`` maps, finest first."""
        ...

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Scalar loss parts by name; their sum is minimised."""
        ...

    def detect(self, output: HeadOutput) -> Detections:
        """Detections in pixels of the network input."""
        ...

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """Tensors that depend on every product that one image may cost, for counting them."""
        ...


@dataclass(frozen=True)
class Stage:
    """A part of a training, with an optimizer and a course of the learning rate of its own.

    Attributes:
        name: in the log and in the progress.
        share: of the suite's epochs, rounded up.
        images_2x: its batches carry the images at twice the size as well.
    """

    name: str = "train"
    share: float = 1.0
    images_2x: bool = False


class Detector(nn.Module):
    """Images in; losses out while targets are given, detections otherwise.

    Attributes:
        stages: of its training, in order.
        measured: scalars of the last losses that a method wants logged beside them; they are no
            part of the sum.
    """

    stages: tuple[Stage, ...] = (Stage(),)
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

    def start_stage(self, stage: Stage) -> None:
        """Make ready for a stage: what trains, what stays as it is, and which losses are on.

        Called once before the first step of the stage, and again where a training is picked up in
        it. With a single stage there is nothing to do.
        """

    def load_required(self, role: str, network: Detector) -> None:
        """Take over what a finished run has learnt; called before the first stage.

        Args:
            role: ``init_from``, which takes all its weights, or one of the method's ``needs``.
            network: of that run, with its trained weights.
        """
        if role != "init_from":
            raise ValueError(f"{type(self).__name__} has no use for a {role}")
        self.load_state_dict(network.state_dict())

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """What the neck makes of ``[B, 3, H, W]`` pixels in 0..255, finest level first."""
        maps: list[Tensor] = self.neck(self.backbone((images - self.mean) / self.std))
        return maps

    def predict(self, images: Tensor) -> HeadOutput:
        """Raw predictions of the head from ``[B, 3, H, W]`` pixels in 0..255."""
        return self.head(self.pyramid(images))

    @overload
    def forward(
        self, images: Tensor, targets: Targets, images_2x: Tensor | None = None
    ) -> dict[str, Tensor]: ...

    @overload
    def forward(self, images: Tensor, targets: None = None) -> Detections: ...

    def forward(
        self, images: Tensor, targets: Targets | None = None, images_2x: Tensor | None = None
    ) -> dict[str, Tensor] | Detections:
        """Losses by name if ``targets`` are given, else ``Detections``.

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
        """What a training step minimises the sum of; the head's losses, unless a method has more.

        Scalars by name; arguments as in ``forward``.
        """
        return self.head.loss(self.predict(images), targets)
