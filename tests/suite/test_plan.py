from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.errors import RequestError, SuiteError
from sobench.suite import plan, reader
from sobench.suite.heads import HEADS, Head
from sobench.suite.methods import get_method
from sobench.suite.plan import Run
from sobench.suite.reader import load
from tests.suite.shipped import SHIPPED
from tests.suite.trained_runs import write_run
from tests.tiny_suite import CONTENT, tiny_suite

DATA = "0123456789ab"
BOTH = ["fpn", "ssd"]
OTHER = Head("Another head", "", octaves=3, sections=())
VOC = {"format": "voc", "root": "/a", "train": "x", "val": "y"}


def ids(data: str = DATA, limit: int | None = None, **changes: Any) -> dict[str, str]:
    """Method -> id of its run, in a suite with both."""
    suite = tiny_suite(**{"methods": BOTH} | changes)
    return {run.entry.name: run.id for run in plan.plan(suite, data, limit)}


def run_of(row: str | dict[str, Any] = "fpn", **changes: Any) -> Run:
    return plan.plan(tiny_suite(methods=[row], **changes), DATA)[0]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_suites_plan(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOBENCH_DATA", raising=False)
    monkeypatch.setenv("SOBENCH_STARTS", str(tmp_path))
    suite = load(path)
    for row in suite.methods if suite.init_from else ():
        classes = tuple(suite.init_classes.values())
        write_run(tmp_path / row.label, row.label.encode(), classes=classes)
    runs = plan.plan(suite, DATA)
    assert len(runs) == len(suite.methods) * len(suite.seeds)
    assert len({run.id for run in runs}) == len(runs)


def test_order_is_seed_by_seed() -> None:
    runs = plan.plan(tiny_suite(methods=BOTH, seeds=[4, 2]), DATA)
    assert [(run.seed, run.entry.name) for run in runs] == [
        (4, "fpn"), (4, "ssd"), (2, "fpn"), (2, "ssd"),
    ]  # fmt: skip


def test_folder_is_a_function_of_the_run() -> None:
    run = run_of({"name": "fpn", "label": "mine"})
    assert run.folder(Path("results")) == Path("results/tiny/fpn") / run.id
    assert re.fullmatch(r"s0-[0-9a-f]{12}", run.id)


# --- what changes a run's identity -----------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"title": "Other"},
        {"seeds": [0, 1, 2]},
        {"protocol": "tiny"},
        {"engine": "pycocotools"},
        {"device": "cuda"},
        {"compile": "off"},
        {"evaluate_every": 2},
        {"methods": ["ssd", {"name": "fpn", "label": "plain", "fuse": False}, "fpn"]},
        {"methods": [{"name": "ssd", "label": "x"}, {"name": "fpn", "label": "y"}]},
    ],
    ids=str,
)
def test_settings_without_effect_on_results_keep_the_ids(changes: dict[str, Any]) -> None:
    suite = tiny_suite(**{"methods": BOTH} | changes)
    # All runs of seed 0 that the plain suite has are among those of this one.
    ids_of_seed_0 = {run.id for run in plan.plan(suite, DATA) if run.seed == 0}
    assert set(ids().values()) <= ids_of_seed_0


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [1]},
        {"limit": 3},
        {"data": "ba9876543210"},
        {"schedule": {"lr": 0.0123}},
        {"schedule": {"warmup": {"steps": 17, "start": 0.1}}},
        {"input": {"resize": "letterbox"}},
        {"augment": {"hflip": 0.25}},
        {"backbone": {"name": "resnet34"}},
        {"neck": {"channels": 24}},
        {"dataset": {"train": 11}},
        {"precision": "bf16"},
        {"detect": {"nms": 0.6}},
    ],
    ids=str,
)
def test_settings_with_effect_on_results_change_every_id(changes: dict[str, Any]) -> None:
    before, after = ids(), ids(**changes)
    assert before.keys() == after.keys()
    for name, id_ in before.items():
        assert after[name] != id_


def test_switches_change_the_id() -> None:
    assert run_of({"name": "fpn", "fuse": False}).id != run_of().id
    assert run_of({"name": "fpn", "fuse": True}).id == run_of().id


@pytest.mark.parametrize(
    "changes", [{"smallest": 2}, {"octaves": 2}, {"ratios": [1]}, "fit"], ids=str
)
def test_anchors_change_every_method(changes: dict[str, Any] | str) -> None:
    before, after = ids(), ids(anchors=changes)
    assert after["fpn"] != before["fpn"]
    assert after["ssd"] != before["ssd"]


def test_head_changes_only_methods_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids()
    monkeypatch.setitem(HEADS, "other", OTHER)
    with pytest.raises(RequestError, match="fpn: does not work with head 'other'; it works wi"):
        ids(head="other")
    other_fpn = replace(get_method("fpn"), heads=("other",))
    rows = {"fpn": other_fpn, "ssd": get_method("ssd")}
    for module in (plan, reader):
        monkeypatch.setattr(module, "get_method", rows.__getitem__)
    after = ids(head="other")
    assert after["fpn"] != before["fpn"]
    assert after["ssd"] == before["ssd"]


def test_head_of_a_deviation_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS, "other", OTHER)
    with pytest.raises(RequestError, match="fpn: does not work with head 'other'"):
        run_of({"name": "fpn", "deviations": {"head": "other", "reason": "a try"}})


def test_place_of_the_data_changes_no_id(tmp_path: Path) -> None:
    def id_of(**dataset: Any) -> str:
        path = tmp_path / "a.yaml"
        path.write_text(yaml.safe_dump(CONTENT | {"dataset": VOC | dataset}))
        return plan.plan(load(path), DATA)[0].id

    assert id_of(root="/elsewhere") == id_of()
    assert id_of(train="z") != id_of()
    assert id_of(classes=["a"]) != id_of()


def test_weights_count_by_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"

    def id_of(weights: Path | str) -> str:
        return run_of(backbone={"weights": str(weights)}).id

    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    before = id_of(first)
    assert id_of(second) == before
    assert id_of("imagenet") != before
    assert id_of("none") != before
    first.write_bytes(b"others!")
    os.utime(first, ns=(1, 1))
    assert id_of(first) != before
    with pytest.raises(RequestError, match=r"backbone.weights: .*gone.pth: No such file.*; write"):
        id_of(tmp_path / "gone.pth")


def test_settings_id_leaves_the_data_out() -> None:
    suite = tiny_suite()
    one, two = (plan.plan(suite, data)[0] for data in ("a", "b"))
    assert one.settings_id == two.settings_id
    assert one.id != two.id


# --- deviations ------------------------------------------------------------------------------

DEVIATING = {
    "name": "fpn",
    "label": "fast",
    "deviations": {"schedule.lr": 0.5, "reason": "its paper does"},
}


def test_deviations_change_their_row_only() -> None:
    suite = tiny_suite(methods=["fpn", "ssd", DEVIATING])
    runs = {run.entry.label: run for run in plan.plan(suite, DATA)}
    rate = suite.schedule.lr
    rates = {label: run.suite.schedule.lr for label, run in runs.items()}
    assert rates == {"fpn": rate, "ssd": rate, "fast": 0.5}
    assert rate != 0.5
    assert runs["fast"].id != runs["fpn"].id
    assert {"fpn": runs["fpn"].id, "ssd": runs["ssd"].id} == ids()
    assert runs["fast"].id == run_of(schedule={"lr": 0.5}).id  # it is that training


def test_deviations_are_listed() -> None:
    suite = tiny_suite(methods=["fpn", "ssd", DEVIATING])
    runs = {run.entry.label: run for run in plan.plan(suite, DATA)}
    assert runs["fpn"].deviations == ()
    assert runs["fast"].deviations == ("schedule.lr: 0.5 (its paper does)",)
    expected = get_method("ssd").deviating(runs["ssd"].entry.switches, suite)
    assert runs["ssd"].deviations == expected != ()


def test_head_of_a_deviation_is_listed_with_its_anchors() -> None:
    row = {"name": "fpn", "deviations": {"head": "faster_rcnn", "reason": "two stages"}}
    run = run_of(row, anchors={"smallest": 6, "octaves": 3})
    assert run.deviations == ("head: faster_rcnn, with anchors of octaves 1 (two stages)",)
    expected = {"smallest": 6, "octaves": 1, "ratios": [0.5, 1.0, 2.0], "fit": False}
    assert run.settings["anchors"] == expected
    assert run.settings["regions"]["post_nms_top_n"] == 1000
    config = run_of(head="faster_rcnn", anchors={"smallest": 6})
    assert run.settings == config.settings  # it is that training


# --- a part of the matrix --------------------------------------------------------------------


def test_rows_by_label_or_name() -> None:
    both = [{"name": "ssd", "label": f"ssd {n}", "deviations": {"schedule.lr": n, "reason": "r"}}
            for n in (1, 2)]  # fmt: skip
    rows = ["fpn", {"name": "fpn", "label": "plain", "fuse": False}, *both]
    suite = tiny_suite(methods=rows)

    def labels(*methods: str) -> list[str]:
        return [run.entry.label for run in plan.plan(suite, DATA, methods=methods)]

    assert labels() == ["fpn", "plain", "ssd 1", "ssd 2"]
    assert labels("plain") == ["plain"]
    assert labels("fpn") == ["fpn"]  # a label is one row
    assert labels("ssd") == ["ssd 1", "ssd 2"]  # the name of a method that no row is called by
    assert labels("ssd 2", "plain") == ["plain", "ssd 2"]
    with pytest.raises(RequestError, match="--methods: suite tiny has no row 'plane'; did you me"):
        labels("plane")


def test_seeds_replace_the_suites() -> None:
    suite = tiny_suite(seeds=[0, 1])
    assert [run.seed for run in plan.plan(suite, DATA, seeds=[7])] == [7]
    with pytest.raises(RequestError, match="--seeds: 7, 7: give every seed once"):
        plan.plan(suite, DATA, seeds=[7, 7])


def test_rows_that_are_one_training() -> None:
    suite = tiny_suite(methods=["fpn", {"name": "fpn", "label": "again", "fuse": True}])
    with pytest.raises(RequestError, match="methods: 'fpn' and 'again' are the same training; l"):
        plan.plan(suite, DATA)


@pytest.mark.parametrize(
    ("deviations", "idle"),
    [
        ({"multi_scale.scales": [0.5, 1]}, "multi_scale.scales changes nothing in it"),
        ({"multi_scale.scales": [0.5, 1], "regions.nms": 0.5},
         "multi_scale.scales, regions.nms change nothing in it"),
    ],
)  # fmt: skip
def test_rows_that_deviate_in_nothing_that_is_trained(
    deviations: dict[str, Any], idle: str
) -> None:
    row = {"name": "fpn", "label": "again", "deviations": {**deviations, "reason": "a test"}}
    suite = tiny_suite(methods=["fpn", row])
    with pytest.raises(RequestError, match=f"same training; {idle}; leave one of the rows out"):
        plan.plan(suite, DATA)


def needed(run: Run) -> dict[str, Run]:
    return dict(run.requires)


def test_a_needed_run_is_of_the_same_suite_and_seed() -> None:
    (run,) = plan.plan(tiny_suite(methods=["zoominnet"], seeds=[4]), DATA, limit=5)
    teacher = needed(run)["teacher"]
    assert teacher.entry.name == "fpn"
    assert (teacher.seed, teacher.limit, teacher.data) == (4, 5, DATA)
    assert teacher.suite.input.size == (128, 128)
    assert teacher.suite.schedule == run.suite.schedule
    assert teacher.deviations == ("input.size: [128, 128] (the teacher of zoominnet)",)
    row = {"name": "fpn", "deviations": {"input.size": [128, 128], "reason": "as a row"}}
    (same,) = plan.plan(tiny_suite(methods=[row], seeds=[4]), DATA, limit=5)
    assert same.id == teacher.id
    (baseline,) = (required for _, required in run_of("efpn").requires)
    assert baseline.id == run_of("fpn").id


def test_a_need_may_depend_on_a_switch() -> None:
    assert run_of({"name": "zoominnet", "distill": False}).requires == ()
    assert run_of("fpn").requires == ()


def test_a_run_changes_with_the_runs_that_it_requires() -> None:
    run = run_of("zoominnet")
    assert replace(run, requires=()).id != run.id
    ((role, teacher),) = run.requires
    other = replace(teacher, suite=run.suite)
    assert replace(run, requires=((role, other),)).id != run.id


def test_a_needed_run_deviates_as_the_row_that_needs_it() -> None:
    narrow = {"neck.channels": 8, "reason": "narrow"}
    row = {"name": "efpn", "deviations": narrow}
    plain, efpn = plan.plan(tiny_suite(methods=["fpn", row]), DATA)
    baseline = needed(efpn)["baseline"]
    assert baseline.suite.neck.channels == 8
    assert baseline.entry.label == "fpn for efpn"
    assert baseline.deviations == ("neck.channels: 8 (narrow)",)
    assert baseline.id != plain.id


def test_required_runs_come_first_and_once() -> None:
    big = {"name": "fpn", "label": "big", "deviations": {"input.size": [128, 128], "reason": "a"}}
    tuned = {"name": "fpn", "label": "tuned", "init_from": "big"}
    rows = ["zoominnet", tuned, {"name": "zoominnet", "label": "la", "align": "la"}, big]
    runs = plan.plan(tiny_suite(methods=rows, seeds=[0, 1]), DATA)
    order = [(run.entry.label, run.seed) for run in plan.with_required(runs)]
    labels = ["big", "zoominnet", "tuned", "la"]
    assert order == [(label, seed) for seed in (0, 1) for label in labels]
    only = plan.with_required(runs, lambda run: run.entry.label == "tuned")
    assert [run.entry.label for run in only][:3] == ["zoominnet", "big", "tuned"]
    tuned_run = runs[1]
    assert tuned_run.deviations == ("starts from the weights of big",)
    assert needed(tuned_run)["init_from"].id == runs[3].id


@pytest.mark.parametrize(
    ("origins", "problem"),
    [
        ({"a": "c"}, "a: init_from: no row is called 'c'; known: a, b"),
        ({"a": "a"}, "a: init_from: a <- a is a cycle"),
        ({"a": "b", "b": "a"}, "a: init_from: a <- b <- a is a cycle"),
        ({"a": ""}, "a: init_from: '' is not a label; write that of another row"),
        ({"a": None}, "a: init_from: null is not a label"),
    ],
)
def test_wrong_origins(origins: dict[str, Any], problem: str) -> None:
    rows = [
        {"name": "fpn", "label": label}
        | ({"init_from": origins[label]} if label in origins else {})
        for label in ("a", "b")
    ]
    with pytest.raises(SuiteError, match=re.escape(problem)):
        tiny_suite(methods=rows)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"eval_sizes": [[64, 64], [64, 64]]}, "eval_sizes: [64, 64] is given twice"),
        ({"eval_sizes": [[16, 64]]}, "eval_sizes.0.0: 16 is wrong; it must be at least 32"),
        (
            {"eval_sizes": [[96, 64]], "input": {"resize": "shorter_side"}},
            "eval_sizes: write [shorter, longer], not [96, 64]",
        ),
        (
            {"multi_scale": {"flip": True}},
            "multi_scale.flip: has no effect without scales; write scales: [1]",
        ),
        (
            {"multi_scale": {"scales": [2]}},
            "multi_scale.scales: one joins nothing; write several, or flip: true, or use eval_s",
        ),
        (
            {"multi_scale": {"scales": [1, 0.25]}},
            "multi_scale.scales: 0.25 makes an input of [16, 16]; sides must be 32 to 16384",
        ),
        (
            {"multi_scale": {"scales": [1, 1.001]}},
            "multi_scale.scales: two make [64, 64]; leave one out",
        ),
        (
            {"multi_scale": {"scales": [1, 2], "flip": "often"}},
            "multi_scale.flip: often is wrong; write true or false",
        ),
        ({"keep_background": [1, 2, 1]}, "keep_background: 1 is given twice; leave one out"),
        ({"keep_background": [0]}, "keep_background.0: 0 is wrong; it must be greater than 0"),
        (
            {
                "multi_scale": {"scales": [0.5, 1]},
                "methods": [{"name": "fpn", "deviations": {"input.size": [32, 64], "reason": "a"}}],
            },
            "deviations: multi_scale.scales: 0.5 makes an input of [16, 32]; sides must be 32 to",
        ),
        (
            {"methods": [{"name": "fpn", "deviations": {"keep_background": [1], "reason": "a"}}]},
            "deviations: keep_background must be the same for every row; ",
        ),
        ({"methods": [{"name": "fpn", "label": ""}]}, "label: '' is wrong; write some text"),
    ],
)
def test_wrong_sizes_and_labels(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(problem)):
        tiny_suite(**changes)
