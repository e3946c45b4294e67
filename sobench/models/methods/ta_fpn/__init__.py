"""TA-FPN: two-layer attention and small-object detail enhancement; CMES 141(1), 2024."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from sobench.suite.conditions import FEW_IMAGES, batches_are_small
from sobench.suite.methods import Method, Switch, SwitchValue, When
from sobench.suite.sections import Suite

FINEST_LEVEL = {"retinanet": 3, "faster_rcnn": 2}
"""The finest pyramid level that each head reads."""

_LEVEL_CHOICES = tuple(
    "-".join(levels) for count in (1, 2, 3, 4) for levels in combinations("2345", count)
)


def enhanced_levels_are_read(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Detail enhancement needs a level that the head reads."""
    levels, finest = str(switches["levels"]), FINEST_LEVEL[suite.head]
    if switches["sodem"] and max(map(int, levels.split("-"))) < finest:
        return (
            f"levels: {levels}: {suite.head} reads no level below {finest}; "
            f"name one of {finest} to 5, or write sodem: false"
        )
    return ""


METHOD = Method(
    title="Two-layer Attention Feature Pyramid Network",
    paper="Xiang et al., CMES 141(1), 2024, doi:10.32604/cmes.2024.052759",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "tam": Switch(True, (True, False), "two-layer attention in the top-down path"),
        "sodem": Switch(True, (True, False), "small-object detail enhancement from C2"),
        "dilations": Switch(
            "1-3-5",
            ("1-2-3", "1-3-5", "3-4-5"),
            "dilation rates of the attention's three branches",
            {"tam": True},
        ),
        "levels": Switch(
            "2-3-4-5",
            _LEVEL_CHOICES,
            "pyramid levels that the detail enhancement works on",
            {"sodem": True},
        ),
        "tam_input": Switch(
            "cascade",
            ("cascade", "lateral"),
            "input of the attention from the level above: its enhanced map, or its lateral",
            {"tam": True},
        ),
        "reduction": Switch(1, (1, 4), "channel reduction inside both attentions", {"tam": True}),
        "downsample": Switch(
            "max",
            ("max", "avg", "nearest"),
            "how C2 is brought to the size of a level",
            {"sodem": True},
        ),
    },
    deviations=(
        When("batch normalisation in the pyramid", {"tam": True}, norm="none"),
        When("batch normalisation in the pyramid", {"sodem": True}, norm="none"),
        When(FEW_IMAGES, {"tam": True}, norm="none", where=batches_are_small),
        When(FEW_IMAGES, {"sodem": True}, norm="none", where=batches_are_small),
        When(
            "attention reads the enhanced map above; the paper can be read as the lateral there",
            {"tam": True, "tam_input": "cascade"},
        ),
    ),
    rules=(enhanced_levels_are_read,),
)
