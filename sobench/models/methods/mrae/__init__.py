"""MRAE: the multi-resolution attention extractor, arXiv:2006.05941."""

from __future__ import annotations

from collections.abc import Mapping

from sobench.suite.methods import Method, Switch, SwitchValue, When
from sobench.suite.sections import Suite


def res5_is_of_a_resnet(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Only a ResNet has a last stage that can be the second stage of the head."""
    if switches["box_head"] == "res5" and suite.backbone.name == "vgg16":
        return (
            "box_head: res5 is the last stage of a ResNet, which vgg16 does not have; "
            "write `backbone: {name: resnet101}` or leave box_head out"
        )
    return ""


METHOD = Method(
    title="Multi-Resolution Attention Extractor",
    paper="Zhang et al., 2020, arXiv:2006.05941",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "mode": Switch(
            "mrae",
            ("mrae", "soft", "hard"),
            "weights of the levels: similarity to a template, softmax of maxima, one level",
        ),
        "template": Switch(
            2, (1, 2, 3), "level that the others are compared with", {"mode": "mrae"}
        ),
        "level": Switch(1, (1, 2, 3), "the only level that is used", {"mode": "hard"}),
        "plain": Switch(
            False,
            (True, False),
            "leave the only level at its own stride of 4, 8 or 16, neither lifted nor enlarged",
            {"mode": "hard"},
        ),
        "anchors": Switch(
            "suite",
            ("suite", "paper"),
            "four sides that double from the suite's smallest; or k-means on the training boxes",
        ),
        "box_head": Switch(
            "fc",
            ("fc", "res5"),
            "second stage: two layers as in the suite, or the paper's res5",
            head="faster_rcnn",
        ),
    },
    deviations=(
        When("one map of stride 4 instead of a pyramid", {"plain": False}),
        *(
            When(
                f"one map of stride {4 * 2**index} instead of a pyramid",
                {"plain": True, "level": index + 1},
            )
            for index in range(3)
        ),
        When(
            "the level has the size and channels of MRAE's sum; the paper's baselines are plain",
            {"mode": "hard", "plain": False},
        ),
        When("no C5 of the backbone", {"mode": "mrae", "box_head": "fc"}),
        When("no C5 of the backbone", {"mode": "soft", "box_head": "fc"}),
        When("no C5 of the backbone", {"mode": "hard", "level": 3, "box_head": "fc"}),
        When("neither C4 nor C5 of the backbone", {"mode": "hard", "level": 2}),
        When("of the backbone only C2", {"mode": "hard", "level": 1}),
        When("the suite's anchors in four sides, all on that map", {"anchors": "suite"}),
        When(
            "own anchors, clustered from the training boxes: four sides, three ratios",
            {"anchors": "paper"},
        ),
        When("own second stage: the backbone's res5", {"box_head": "res5"}, "faster_rcnn"),
    ),
    rules=(res5_is_of_a_resnet,),
)
