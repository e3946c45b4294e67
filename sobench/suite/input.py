"""The sections of a suite file about images: the network's input, and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sobench.suite.section import Section
from sobench.yaml_text import shown

SHORTEST, LONGEST = 32, 16384
"""Sides of an input in pixels that networks and memory bear."""

Side = Annotated[int, Field(ge=SHORTEST, le=LONGEST)]
"""A side of the network's input in pixels."""


class Input(Section):
    """The network's input, which every image is resized to."""

    size: tuple[Side, Side]
    """Height and width in pixels. With ``resize: shorter_side`` the length of the shorter side and
    the limit of the longer one."""
    resize: Literal["stretch", "letterbox", "shorter_side"] = "stretch"
    """``stretch`` changes the aspect ratio to fill the input; the others keep it and pad right and
    below: ``letterbox`` to the input's size, ``shorter_side`` to the largest height and width in
    the batch, rounded up to multiples of 32. There a training batch holds tall images or others
    (what is left of both may share the last one), and an image is tested on a canvas of its own.
    Anchors and proposals wholly in the padding are not trained on as background."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.resize == "shorter_side" and self.size[0] > self.size[1]:
            raise ValueError(f"size: write [shorter, longer], not {shown(self.size)}")
        return self


class Augment(Section):
    """Augmentation of the training images: a flip, then scale jitter, then photometric distortion.

    For one seed every method sees the same draws.
    """

    hflip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    scale_jitter: tuple[float, float] | None = None
    """Lowest and highest factor by which an image is scaled before a crop of the input's size, with
    padding where it is smaller. With ``resize: shorter_side`` the crop has at most the image's own
    size, and nothing is padded before the batch is. The default does not scale."""
    photometric: float = Field(0.0, ge=0, le=1)
    """Probability of each change of brightness, contrast, saturation, hue and channel order. The
    default changes no colour."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.scale_jitter and not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise ValueError(
                f"scale_jitter: {shown(self.scale_jitter)} is not a range; write [low, high]"
            )
        return self
