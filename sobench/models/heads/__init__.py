"""The heads of a suite, by the keys of ``catalog.HEADS``."""

from __future__ import annotations

from importlib import import_module

from sobench.models.detector import Blueprint, Head


def levels(head: str) -> tuple[int, int]:
    """First and last pyramid level that a head reads."""
    first, last = import_module(f"sobench.models.heads.{head}").LEVELS
    return first, last


def build_head(blueprint: Blueprint, strides: tuple[int, ...]) -> Head:
    """The head that the suite pins, over a pyramid of these strides."""
    module = import_module(f"sobench.models.heads.{blueprint.head}")
    head: Head = module.build(blueprint, strides)
    return head
