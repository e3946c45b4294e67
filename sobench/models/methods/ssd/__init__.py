"""SSD: single-shot multi-box detector, arXiv:1512.02325."""

from __future__ import annotations

from collections.abc import Mapping

from sobench.suite.conditions import WITHOUT_CROPS, training_images_are_not_cropped
from sobench.suite.methods import Method, Switch, SwitchValue, When
from sobench.suite.sections import Suite

PAPER_SIZES = (300, 512)
"""Sides in pixels of the square inputs that the paper has models for."""


def paper_sizes_on_vgg16(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """On VGG-16 there are only the paper's two models, in training and in tests."""
    del switches  # it holds for both kinds of default boxes
    if suite.backbone.name != "vgg16":
        return ""
    if suite.input.resize == "shorter_side":
        return (
            "input.resize: on vgg16 there are models for two sizes alone, and with shorter_side "
            "inputs vary; write stretch or letterbox, or take a ResNet"
        )
    for key, size in [("input.size", suite.input.size), *_further_sizes(suite)]:
        if size[0] != size[1] or size[0] not in PAPER_SIZES:
            without = "multi_scale: {} among the row's deviations"
            instead = without if key == "multi_scale.scales" else "one of them"
            return (
                f"{key}: on vgg16 there are models for [300, 300] and [512, 512], not "
                f"{[*size]}; write {instead} or take a ResNet"
            )
    return ""


def papers_boxes_are_of_the_trained_input(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """At another size they would be other boxes than those that the network was trained for."""
    for key, size in _further_sizes(suite):
        if switches["anchors"] == "paper" and size != suite.input.size:
            row_key, none = key.partition(".")[0], "{}" if key != "eval_sizes" else "[]"
            return (
                f"{key}: with anchors: paper default boxes are shares of the input, so that a "
                f"network trained at {[*suite.input.size]} has none for {[*size]}; write "
                f"{row_key}: {none} among the row's deviations or leave anchors out"
            )
    return ""


def _further_sizes(suite: Suite) -> list[tuple[str, tuple[int, int]]]:
    """The inputs that networks are tested at beside the suite's, with the key that asks for it."""
    sizes = [("eval_sizes", size) for size in suite.eval_sizes]
    scaled = suite.multi_scale.sizes(suite.input.size)
    return sizes + [("multi_scale.scales", size) for size in scaled]


METHOD = Method(
    title="Single Shot MultiBox Detector",
    paper="Liu et al., ECCV 2016, arXiv:1512.02325",
    switches={
        "anchors": Switch(
            "suite", ("suite", "paper"), "default boxes: the suite's anchors, or the paper's"
        ),
        "boxes": Switch(
            "coco",
            ("coco", "voc"),
            "default-box sizes of the paper's COCO or VOC models",
            {"anchors": "paper"},
        ),
    },
    deviations=(
        "own head: one 3x3 convolution per level for classes and one for boxes",
        When(
            "own default boxes: shares of the input, as in the paper's models", {"anchors": "paper"}
        ),
        "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1",
        When(WITHOUT_CROPS, where=training_images_are_not_cropped),
    ),
    rules=(paper_sizes_on_vgg16, papers_boxes_are_of_the_trained_input),
)
