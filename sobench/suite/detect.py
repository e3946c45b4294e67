"""The sections of a suite file about tests: from predictions to detections, at several sizes."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from sobench.suite.section import Section


class Detect(Section):
    """How predictions become detections, for every method."""

    score_threshold: float = Field(0.05, ge=0, lt=1)
    """Score that a detection must exceed."""
    top_k: int = Field(1000, gt=0, le=10**6)
    """Predictions with the best scores that go into the suppression: of each level, or, with two
    stages, of the image."""
    nms: float = Field(0.5, gt=0, le=1)
    """IoU above which the worse of two detections of a class is suppressed."""
    max_detections: int = Field(100, gt=0, le=10**5)
    """Detections of an image that are kept, best first; at least as many as the protocol scores."""


class MultiScale(Section):
    """A further test that sees every image at several input sizes.

    The candidates of all (boxes before the suppression, ``detect.top_k`` of each size) are mapped
    back to the image, joined, and suppressed once, with the settings of ``detect``.
    """

    scales: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field((), max_length=10)
    """Factors of ``input.size``, rounded to pixels; 1 is the input itself. By default there is no
    such test."""
    flip: bool = False
    """Whether the mirror image of every input is tested as well. By default it is not."""

    @model_validator(mode="after")
    def _joins(self) -> Self:
        if self.flip and not self.scales:
            raise ValueError(
                "flip: has no effect without scales; write scales: [1], or leave both out"
            )
        if len(self.scales) == 1 and not self.flip:
            raise ValueError(
                "scales: one joins nothing; write several, or flip: true, or use eval_sizes"
            )
        return self

    def sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The input sizes (height, width) that the scales make of ``size``, in their order."""
        height, width = size
        return tuple((round(scale * height), round(scale * width)) for scale in self.scales)
