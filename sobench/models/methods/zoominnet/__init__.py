"""ZoomInNet: cross-scale knowledge distillation; Remote Sensing 2021, 13(6):1198."""

from __future__ import annotations

from collections.abc import Mapping

from sobench.suite.methods import Method, Need, Switch, SwitchValue, When
from sobench.suite.sections import Suite

AUTO_PLACE = {"none": "neck", "la": "towers", "fa": "neck"}
"""Whose maps are distilled with ``distill_on: auto``, by ``align``; ``la`` enlarges only the
towers' maps."""


def differs_from_fpn(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Without alignment and distillation there is nothing of the method."""
    del suite
    if switches["align"] == "none" and not switches["distill"]:
        return (
            "align: none with distill: false is nothing but fpn; "
            "name fpn instead, or turn one of them on"
        )
    return ""


def place_is_not_the_automatic_one(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Two ways to write one training would be trained twice."""
    del suite
    place = AUTO_PLACE[str(switches["align"])]
    if switches["distill"] and switches["distill_on"] == place:
        return f"distill_on: {place} is what align: {switches['align']} does anyway; leave it out"
    return ""


def thin_towers_have_depth(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Half of a tower needs two convolutions."""
    if switches["thin"] and suite.neck.tower_convs < 2:
        return (
            "thin: true halves the head's towers, and the suite has "
            f"neck.tower_convs: {suite.neck.tower_convs}; leave it out, or write 2 to 8"
        )
    return ""


def fitted(suite: Suite) -> bool:
    """Whether anchors have the sizes of the objects, whatever the strides are."""
    return suite.anchors.fit


def not_fitted(suite: Suite) -> bool:
    """Whether anchors are halved with the strides."""
    return not suite.anchors.fit


METHOD = Method(
    title="ZoomInNet: cross-scale knowledge distillation",
    paper="Liu et al., Remote Sensing 2021, 13(6):1198",
    heads=("retinanet",),
    switches={
        "align": Switch(
            "fa",
            ("none", "la", "fa"),
            "alignment with the teacher's maps: by finer pyramid levels (fa), by enlarging the "
            "towers' maps (la), or none",
        ),
        "thin": Switch(False, (True, False), "towers of half the suite's depth", {"align": "fa"}),
        "distill": Switch(True, (True, False), "learn from fpn trained at twice the input size"),
        "distill_on": Switch(
            "auto",
            ("auto", "towers"),
            "maps that are distilled; auto: of the towers with align: la, else of the neck",
            {"distill": True},
        ),
        "lambda_mode": Switch(
            "literal",
            ("literal", "nonzero", "fixed"),
            "threshold of the key positions: mean and deviation of all IoUs as in the paper, "
            "of those that are not zero, or .5",
            {"distill": True},
        ),
        "distill_loss": Switch(
            "pooled",
            ("pooled", "by_map"),
            "key positions and loss of all levels together, or of every map alone and then summed",
            {"distill": True},
        ),
    },
    deviations=(
        When("pyramid levels 2 to 6 instead of 3 to 7", {"align": "fa"}),
        *(
            When("anchors of half the size, half as far apart", {"align": align}, where=not_fitted)
            for align in ("fa", "la")
        ),
        *(
            When("anchors half as far apart", {"align": align}, where=fitted)
            for align in ("fa", "la")
        ),
        When("towers of half the depth", {"thin": True}),
        When("distils from fpn trained at twice the input size", {"distill": True}),
        When(
            "one distillation loss over all levels; the paper's equations are for one map",
            {"distill": True, "distill_loss": "pooled"},
        ),
    ),
    needs=(Need("teacher", "fpn", scale=2, switches={"distill": True}),),
    images_2x=({"distill": True},),
    rules=(differs_from_fpn, place_is_not_the_automatic_one, thin_towers_have_depth),
)
