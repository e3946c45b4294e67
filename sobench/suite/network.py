"""The sections of a suite file about networks: backbone, neck, anchors and proposals."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sobench.suite.section import FilePath, Section


class Backbone(Section):
    """The feature extractor, the same network with the same initial weights for every method."""

    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101",
        "resnext101_32x8d", "resnext101_64x4d", "vgg16",
    ]  # fmt: skip
    """The architecture, as torchvision has it."""
    weights: FilePath = "imagenet"
    """``imagenet`` (downloaded on first use), ``none`` (from scratch), or the path of a state dict;
    ``${VAR}`` and ``~`` work, and a relative path is relative to the suite file."""
    freeze: tuple[Literal["stem", "layer1", "layer2", "layer3", "layer4"], ...] = Field(
        (), max_length=5
    )
    """Stages that do not train. By default all of them train."""
    norm: Literal["frozen", "train"] = "frozen"
    """Running statistics of batch normalisation: ``frozen`` keeps those of the weights while scale
    and shift still learn; ``train`` updates them, which training from scratch needs."""

    @model_validator(mode="after")
    def _from_scratch(self) -> Self:
        if self.weights == "none" and self.freeze:
            raise ValueError("freeze: random layers cannot be frozen; write freeze: [] or weights:")
        if self.weights == "none" and self.norm == "frozen" and self.name != "vgg16":
            raise ValueError("norm: frozen needs weights; from scratch write norm: train")
        return self


class Neck(Section):
    """The pyramid, and the towers of the head behind it."""

    channels: int = Field(256, gt=0, le=8192, multiple_of=8)
    """Channels of every level of the pyramid and of the towers."""
    norm: Literal["none", "group"] = "none"
    """``group`` puts GroupNorm behind every convolution of pyramid and towers, as training from
    scratch needs it (He et al., arXiv:1811.08883). The default is the papers' and has none."""
    tower_convs: int = Field(4, ge=0, le=8)
    """Convolutions of each tower of RetinaNet's head; the default is the paper's. Short schedules
    learn faster with fewer."""


class Anchors(Section):
    """Anchors of every method, in pixels of the input.

    A switch of a method may ask for those of its paper instead, which is printed with the row.
    ``anchors: fit`` is short for ``anchors: {fit: true}``.
    """

    smallest: float = Field(32.0, gt=0, le=16384)
    """Side in pixels of the smallest anchor, on the finest level; every further level doubles it.
    The default is that of the papers of both heads."""
    octaves: int = Field(3, ge=1, le=6)
    """Anchor sizes to a level, each ``2^(1 / octaves)`` times the one before. The default depends
    on the head: 3 for ``retinanet``, 1 for ``faster_rcnn``."""
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.5, 1.0, 2.0), min_length=1, max_length=20
    )
    """Height over width of the anchors; each size has all of them."""
    fit: bool = False
    """Whether ``smallest`` and ``ratios`` come from a clustering of the training boxes, for every
    method by the same rule: the smallest of four clusters of sides, but at least 1.5 strides of the
    head's finest level, and three clusters of ratios."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        fields = type(self).model_fields
        # Those of a row's deviations are laid over all values of the suite, defaults too.
        given = [k for k in ("smallest", "ratios") if getattr(self, k) != fields[k].default]
        if self.fit and given:
            raise ValueError(
                f"fit: true finds {' and '.join(given)} itself; leave one of the two out, or "
                "write anchors: fit for the whole section"
            )
        return self


class Regions(Section):
    """Proposals of a two-stage head, those that train its second stage, and its box losses.

    ``retinanet`` does not read them.
    """

    pre_nms_top_n: int = Field(2000, gt=0, le=10**6)
    """Anchors of each level and image with the best scores, which go into the suppression."""
    nms: float = Field(0.7, gt=0, le=1)
    """IoU above which the worse of two proposals of a level is suppressed."""
    post_nms_top_n: int = Field(1000, gt=0, le=10**6)
    """Proposals of an image, over all levels, that the second stage classifies."""
    batch_size_per_image: int = Field(512, ge=4, le=10**6)
    """Proposals of an image that train the second stage; at most a quarter of them are objects."""
    channels: int = Field(1024, gt=0, le=2**16)
    """Width of the two fully connected layers of the second stage."""
    rpn_beta: float = Field(0.0, ge=0)
    """Knee of the proposals' smooth L1: the difference of encoded offsets below which it is
    quadratic. The default 0 is plain L1; torchvision and Libra R-CNN's code have 1/9."""
    box_beta: float = Field(0.0, ge=0)
    """The same for the boxes of the second stage; a method with its own box loss does not read it.
    The default 0 is plain L1; Fast R-CNN and Libra R-CNN's baseline have 1."""
    box_weight: float = Field(1.0, gt=0)
    """Factor of the box losses of both stages, also of a method's own. The default weighs them like
    the losses of classes; TensorFlow's Faster R-CNN has 2."""
