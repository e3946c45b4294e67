"""RefineDet: single-shot refinement neural network, arXiv:1711.06897."""

from __future__ import annotations

from sobench.suite.conditions import (
    FEW_IMAGES,
    WITHOUT_CROPS,
    batches_are_small,
    training_images_are_not_cropped,
)
from sobench.suite.methods import Method, Switch, When
from sobench.suite.sections import Suite


def the_backbone_is_a_resnet(suite: Suite) -> bool:
    """Only there have the new layers batch normalisation, as in the authors' models."""
    return suite.backbone.name != "vgg16"


def batches_on_a_resnet_are_small(suite: Suite) -> bool:
    """Whether there is batch normalisation, with statistics of few images."""
    return the_backbone_is_a_resnet(suite) and batches_are_small(suite)


METHOD = Method(
    title="Single-Shot Refinement Neural Network",
    paper="Zhang et al., CVPR 2018, arXiv:1711.06897",
    switches={
        "filter_negatives": Switch(
            True,
            (True, False),
            "drop negatives that the anchor refinement is sure of",
            {"tcb": True},
        ),
        "cascade": Switch(
            True,
            (True, False),
            "detect from refined anchors, not from the tiled ones",
            {"tcb": True},
        ),
        "tcb": Switch(
            True,
            (True, False),
            "transfer connection blocks; false leaves the anchor refinement out with them and "
            "detects from the sources, as SSD does",
        ),
        "anchors": Switch(
            "suite",
            ("suite", "paper"),
            "the suite's, or the paper's: one side of 4 strides, three ratios",
        ),
        "clip_anchors": Switch(False, (True, False), "clip the tiled anchors to the input"),
    },
    deviations=(
        "own head: anchor refinement and object detection modules",
        When("own anchors: one side of 4 strides, three ratios", {"anchors": "paper"}),
        "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1",
        "detect.top_k counts over the image, not over each level",
        When(
            "batch normalisation in its new layers",
            norm="none",
            where=the_backbone_is_a_resnet,
        ),
        When(FEW_IMAGES, norm="none", where=batches_on_a_resnet_are_small),
        When(WITHOUT_CROPS, where=training_images_are_not_cropped),
    ),
)
