"""What a method cannot be combined with is found where the suite is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.errors import SuiteError
from sobench.models.heads import head_levels
from sobench.models.methods import ta_fpn
from sobench.suite.heads import HEADS
from sobench.suite.methods import methods
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.tiny_suite import tiny_suite, write_tiny

VGG16 = {"name": "vgg16", "weights": "none"}

CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    # method, rule, switches of the row, sections of the suite, the message behind the label
    (
        "ssd", "paper_sizes_on_vgg16", {}, {"backbone": VGG16, "input": {"size": [320, 320]}},
        "input.size: on vgg16 there are models for [300, 300] and [512, 512], not [320, 320]; "
        "write one of them or take a ResNet",
    ),
    (
        "ssd", "paper_sizes_on_vgg16", {},
        {"backbone": VGG16, "input": {"size": [300, 300]}, "eval_sizes": [[300, 512]]},
        "eval_sizes: on vgg16 there are models for [300, 300] and [512, 512], not [300, 512]; ",
    ),
    (
        "ssd", "paper_sizes_on_vgg16", {},
        {"backbone": VGG16, "input": {"size": [300, 300]}, "multi_scale": {"scales": [1, 2]}},
        "multi_scale.scales: on vgg16 there are models for [300, 300] and [512, 512], not "
        "[600, 600]; write multi_scale: {} among the row's deviations or take a ResNet",
    ),
    (
        "ssd", "paper_sizes_on_vgg16", {},
        {"backbone": VGG16, "input": {"size": [512, 512], "resize": "shorter_side"}},
        "input.resize: on vgg16 there are models for two sizes alone, and with shorter_side inputs "
        "vary; write stretch or letterbox, or take a ResNet",
    ),
    (
        "ssd", "papers_boxes_are_of_the_trained_input", {"anchors": "paper"},
        {"input": {"size": [64, 64]}, "eval_sizes": [[64, 64], [48, 48]]},
        "eval_sizes: with anchors: paper default boxes are shares of the input, so that a network "
        "trained at [64, 64] has none for [48, 48]; write eval_sizes: [] among the row's "
        "deviations or leave anchors out",
    ),
    (
        "ssd", "papers_boxes_are_of_the_trained_input", {"anchors": "paper"},
        {"input": {"size": [64, 64]}, "multi_scale": {"scales": [1, 0.75]}},
        "multi_scale.scales: with anchors: paper default boxes are shares of the input, so that a "
        "network trained at [64, 64] has none for [48, 48]; write multi_scale: {} among the",
    ),
    (
        "nas_fpn", "separate_norms_need_towers", {"separate_bn": True},
        {"neck": {"tower_convs": 0}},
        "separate_bn: true concerns the head's towers, and the suite has neck.tower_convs: 0; ",
    ),
    (
        "ta_fpn", "enhanced_levels_are_read", {"levels": "2"}, {},
        "levels: 2: retinanet reads no level below 3; name one of 3 to 5, or write sodem: false",
    ),
    (
        "efpn", "stem_is_of_a_resnet", {}, {"backbone": VGG16},
        "its finer map comes from a ResNet's stem without max-pooling, which vgg16 does not have; "
        "write `backbone: {name: resnet50}` or leave the row out",
    ),
    (
        "efpn", "distilled_transfer_learns", {"ftt": "nearest", "distill_ftt": False}, {},
        "distill_ftt has no effect with ftt: nearest, which learns nothing; leave it out, or",
    ),
    (
        "efpn", "plain_sum_is_of_one_width", {"fusion": "plain"}, {},
        "fusion: plain adds a map of resnet18 with 128 channels, and the suite has neck.channels: "
        "16; write 128 there, or leave fusion out",
    ),
    (
        "efpn", "extension_has_weights", {"fusion": "plain", "ftt": "nearest"},
        {"neck": {"channels": 128}},
        "ftt: nearest with fusion: plain has no weights that could be distilled into; leave one",
    ),
    (
        "efpn", "switches_have_a_use", {"detect_from": "p3", "ftt_in": "out"},
        {"head": "faster_rcnn"},
        "ftt_in has no effect with detect_from: p3; leave it out",
    ),
    (
        "efpn", "transferred_map_learns", {"detect_from": "p3_ftt", "ftt": "nearest"},
        {"head": "faster_rcnn"},
        "ftt: nearest makes no map of its own with detect_from: p3_ftt; write p3 instead",
    ),
    (
        "efpn", "doubled_input_has_a_half", {"detect_from": "p2_2x"},
        {"head": "faster_rcnn", "input": {"size": [64, 66]}, "eval_sizes": [[64, 65]]},
        "eval_sizes: [64, 65] is not twice a size, as detect_from: p2_2x needs it; write even",
    ),
    (
        "mrae", "res5_is_of_a_resnet", {"box_head": "res5"},
        {"backbone": VGG16, "head": "faster_rcnn"},
        "box_head: res5 is the last stage of a ResNet, which vgg16 does not have; "
        "write `backbone: {name: resnet101}` or leave box_head out",
    ),
    (
        "zoominnet", "differs_from_fpn", {"align": "none", "distill": False}, {},
        "align: none with distill: false is nothing but fpn; name fpn instead, or turn one",
    ),
    (
        "zoominnet", "place_is_not_the_automatic_one", {"align": "la", "distill_on": "towers"}, {},
        "distill_on: towers is what align: la does anyway; leave it out",
    ),
    (
        "zoominnet", "thin_towers_have_depth", {"thin": True}, {"neck": {"tower_convs": 1}},
        "thin: true halves the head's towers, and the suite has neck.tower_convs: 1; "
        "leave it out, or write 2 to 8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rule", "switches", "sections", "words"), CASES)
def test_a_rule_names_the_file_and_the_row(
    tmp_path: Path,
    name: str,
    rule: str,
    switches: dict[str, Any],
    sections: dict[str, Any],
    words: str,
) -> None:
    row = {"name": name, "label": "mine", **switches}
    path = write_tiny(tmp_path, **sections, methods=["fpn", row])
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: methods: mine: {words}")
    assert "; " in words
    # It is this rule that fails, and no other rule of the method.
    suite = tiny_suite(**sections)
    defaults = {key: switch.default for key, switch in methods()[name].switches.items()}
    problems = {r.__name__: r(defaults | switches, suite) for r in methods()[name].rules}
    assert [key for key, problem in problems.items() if problem] == [rule]


def test_every_rule_can_fail() -> None:
    rules = {(name, rule.__name__) for name, method in methods().items() for rule in method.rules}
    assert rules == {case[:2] for case in CASES}


@pytest.mark.parametrize("head", HEADS)
def test_no_rule_is_against_a_method_as_it_is(head: str) -> None:
    names = [name for name, method in methods().items() if head in (method.heads or HEADS)]
    assert len(tiny_suite(head=head, methods=names).methods) == len(names)


@pytest.mark.parametrize(
    ("row", "sections"),
    [
        ({"name": "ssd"}, {"backbone": VGG16, "input": {"size": [300, 300]}}),
        ({"name": "ssd"}, {"input": {"size": [480, 500], "resize": "shorter_side"}}),
        (
            {"name": "ssd"},
            {"backbone": VGG16, "input": {"size": [512, 512], "resize": "letterbox"}},
        ),
        ({"name": "ssd"}, {"input": {"size": [320, 320]}}),
        (
            {"name": "ssd", "anchors": "paper"},
            {"eval_sizes": [[64, 64]], "multi_scale": {"scales": [1], "flip": True}},
        ),
        ({"name": "ssd"}, {"eval_sizes": [[48, 48]]}),
        ({"name": "nas_fpn"}, {"neck": {"tower_convs": 0}}),
        ({"name": "ta_fpn", "levels": "2"}, {"head": "faster_rcnn"}),
        ({"name": "ta_fpn", "levels": "2-3"}, {}),
        ({"name": "mrae"}, {"backbone": VGG16}),
        ({"name": "zoominnet", "align": "none", "distill_on": "towers"}, {}),
        ({"name": "zoominnet", "thin": True}, {"neck": {"tower_convs": 2}}),
    ],
)
def test_what_rules_allow(row: dict[str, Any], sections: dict[str, Any]) -> None:
    assert tiny_suite(**sections, methods=[row]).methods


def test_a_rule_sees_the_deviations_of_its_row(tmp_path: Path) -> None:
    deviations = {"neck.tower_convs": 1, "reason": "a try"}
    row = {"name": "zoominnet", "thin": True, "deviations": deviations}
    path = write_tiny(tmp_path, methods=["fpn", row])
    with pytest.raises(SuiteError, match=r"zoominnet: thin: true .* neck.tower_convs: 1"):
        load(path)


def test_a_head_that_a_method_has_no_form_for(tmp_path: Path) -> None:
    path = write_tiny(tmp_path, head="faster_rcnn", methods=["fpn", "zoominnet"])
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: methods: zoominnet: does not work with head 'faster_rcnn'; "
        "it works with retinanet"
    )


@pytest.mark.parametrize(
    "row", [{"name": "libra", "balanced_sampling": False}, {"name": "mrae", "box_head": "res5"}]
)
def test_a_switch_that_this_head_does_not_read(tmp_path: Path, row: dict[str, Any]) -> None:
    path = write_tiny(tmp_path, methods=[row])
    (key,) = row.keys() - {"name"}
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: methods: {row['name']}: {key} has no effect under head 'retinanet', only under "
        "faster_rcnn; leave it out"
    )
    suite = load(write_tiny(tmp_path, head="faster_rcnn", methods=[row]))
    assert plan(suite, "")


def test_a_plan_holds_a_changed_suite_against_the_rules() -> None:
    suite = tiny_suite(head="faster_rcnn", methods=[{"name": "libra", "balanced_sampling": False}])
    assert plan(suite, "")
    with pytest.raises(SuiteError, match="tiny: methods: libra: balanced_sampling has no effect"):
        plan(suite.model_copy(update={"head": "retinanet"}), "")


def test_levels_of_the_heads_are_those_that_ta_fpn_knows() -> None:
    assert {head: head_levels(head).first for head in HEADS} == ta_fpn.FINEST_LEVEL


def test_networks_leave_the_suite_to_its_reader() -> None:
    folder = Path(__file__).parents[2] / "sobench" / "models"
    assert [file for file in folder.rglob("*.py") if "SuiteError" in file.read_text()] == []
