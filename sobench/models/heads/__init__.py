"""The heads that a suite can pin, by the keys of ``suite.heads.HEADS``."""

from __future__ import annotations

from importlib import import_module

from sobench.models.detector import DetectorConfig, Head, HeadOptions
from sobench.models.parts.pyramid import Levels


def head_levels(head: str) -> Levels:
    """The pyramid levels that a head reads."""
    levels: Levels = import_module(f"sobench.models.heads.{head}").LEVELS
    return levels


def build_head(
    config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions | None = None
) -> Head:
    """The head that the suite pins, over a pyramid of these strides.

    Raises:
        ValueError: the head does not have one of the options.
    """
    module = import_module(f"sobench.models.heads.{config.head}")
    head: Head = module.build(config, strides, options or HeadOptions())
    return head
