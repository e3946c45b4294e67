from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sobench.data.resize import input_shape
from sobench.errors import SuiteError
from sobench.models.build import build_detector
from sobench.suite.heads import HEADS
from sobench.suite.methods import methods
from sobench.suite.reader import deviating, load
from sobench.suite.sections import Backbone, CocoData, SyntheticData, VocData
from tests.tiny_suite import CONTENT, tiny_suite

SHIPPED = sorted((Path(__file__).parents[2] / "suites").glob("**/*.yaml"))


SCHEDULE = {
    "epochs": 3, "batch_size": 2, "lr": 0.005, "milestones": [2],
    "warmup": {"steps": 2, "start": 0.1},
}  # fmt: skip


def text_of(**changes: Any) -> str:
    """The tiny suite with values laid over, as YAML; ``__`` stands for the dot of a key."""
    content = yaml.safe_load(yaml.safe_dump(CONTENT | {"schedule": SCHEDULE}))
    for key, value in changes.items():
        *parents, last = key.split("__")
        part = content
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return yaml.safe_dump(content)


def fpn(**deviations: Any) -> list[dict[str, Any]]:
    return [{"name": "fpn", "deviations": deviations}]


WRONG: dict[str, tuple[str, str]] = {
    # name: (content of the file, what the message says after its path)
    "unknown key": (text_of(schedul=1), ": unknown key 'schedul'; did you mean 'schedule'?"),
    "unknown key in a section": (
        text_of(schedule__epoch=1),
        ": unknown key 'schedule.epoch'; did you mean 'epochs'?",
    ),
    "unknown key in a section of a section": (
        text_of(schedule__warmup__step=1),
        ": unknown key 'schedule.warmup.step'; did you mean 'steps'?",
    ),
    "unknown key of a format": (
        text_of(
            dataset={"format": "coco", "root": ".", "train": "a", "val": "b", "train_imgs": ""}
        ),
        ": unknown key 'dataset.train_imgs'; did you mean 'train_images'?",
    ),
    "key of another format": (
        text_of(dataset__root="."),
        ": unknown key 'dataset.root'; known: format, train, val, size, objects, seed",
    ),
    "unknown key of a row": (
        text_of(methods=[{"name": "fpn", "fuze": True}]),
        ": methods: fpn: unknown key 'fuze'; did you mean 'fuse'?",
    ),
    "inner key of a row": (
        text_of(methods=[{"name": "fpn", "switches": {}}]),
        ": methods: fpn: unknown key 'switches'; known: fuse, label, init_from, deviations",
    ),
    "unknown key in deviations": (
        text_of(methods=fpn(**{"schedule.epoch": 1, "reason": "it learns fast"})),
        ": methods: fpn: deviations: unknown key 'schedule.epoch'; did you mean 'epochs'?",
    ),
    "unknown method": (
        text_of(methods=["fpm"]),
        ": methods: unknown method 'fpm'; did you mean 'fpn'?",
    ),
    "unknown head": (
        text_of(head="retina_net"),
        ": head: unknown 'retina_net'; did you mean 'retinanet'?",
    ),
    "unknown protocol": (
        text_of(protocol="visdrone_coco"),
        ": protocol: unknown 'visdrone_coco'; did you mean 'visdrone-coco'?",
    ),
    "unknown format": (
        text_of(dataset__format="cocoo"),
        ": dataset.format: unknown 'cocoo'; did you mean 'coco'?",
    ),
    "no format": (
        text_of(dataset={"train": 1, "val": 1}),
        ": dataset.format is missing; known: coco, visdrone, voc, yolo, tt100k, synthetic",
    ),
    "unknown engine": (
        text_of(engine="hotcocoa"),
        ": engine: unknown 'hotcocoa'; did you mean 'hotcoco'?",
    ),
    "unknown backbone": (
        text_of(backbone__name="resnet5"),
        ": backbone.name: unknown 'resnet5'; did you mean",
    ),
    "unknown stage": (
        text_of(backbone__freeze=["stm"]),
        ": backbone.freeze.0: unknown 'stm'; did you mean 'stem'?",
    ),
    "wrong value of a switch": (
        text_of(methods=[{"name": "ssd", "boxes": "cocoa"}]),
        ": methods: ssd: boxes: cocoa is not one of coco, voc",
    ),
    "number for a true or false": (
        text_of(methods=[{"name": "fpn", "fuse": 1}]),
        ": methods: fpn: fuse: 1 is not one of true, false",
    ),
    "milestone beyond the end": (
        text_of(schedule__milestones=[2, 3]),
        ": schedule.milestones: 3 is beyond the last epoch; epochs is 3, so write",
    ),
    "milestones that fall": (
        text_of(schedule__milestones=[2, 1]),
        ": schedule.milestones: [2.0, 1.0] must rise",
    ),
    "milestones twice the same": (
        text_of(schedule__milestones=[1, 1]),
        ": schedule.milestones: [1.0, 1.0] must rise",
    ),
    "milestones beside cosine": (
        text_of(schedule__decay="cosine"),
        ": schedule.milestones: have no meaning with decay: cosine; leave one out",
    ),
    "key twice": (
        "name: a\nschedule:\n  epochs: 1\n  epochs: 2\n",
        ": line 4, column 3: key 'epochs' stands twice",
    ),
    "unclosed bracket": ("name: a\nseeds: [0\nhead: x\n", ": line 3, column 5: "),
    "tab": ("name: a\n\tseeds: [0]\n", ": line 2, column 1: found character '\\t'"),
    "unreadable character": ("name: a\0b\n", ": unacceptable character #x0000"),
    "python tag": ("name: !!python/object:os.system a\n", ": line 1, column 7: could not"),
    "list": ("- fpn\n", ": a suite is a list of keys and values, such as `name: smoke`"),
    "empty": ("", ": a suite is a list of keys and values"),
    "same label twice": (
        text_of(methods=["fpn", {"name": "fpn", "fuse": False}]),
        ": methods: two rows are called 'fpn'; give one a label",
    ),
    "deviation without a reason": (
        text_of(methods=fpn(precision="bf16")),
        ': methods: fpn: deviations need a reason; write {key: value, reason: "..."}',
    ),
    "deviations as a list": (
        text_of(methods=[{"name": "fpn", "deviations": ["precision"]}]),
        ": methods: fpn: deviations need a reason;",
    ),
    "deviation with a wrong value": (
        text_of(methods=fpn(**{"schedule.lr": -1, "reason": "why not"})),
        ": methods: fpn: deviations: schedule.lr: -1 is wrong; it must be greater than 0",
    ),
    "deviation below a plain value": (
        text_of(methods=fpn(**{"head.name": "x", "reason": "why not"})),
        ": methods: fpn: deviations: head.name: head has no parts",
    ),
    "deviation of what is one for all": (
        text_of(methods=fpn(protocol="tiny", reason="looks better")),
        ": methods: fpn: deviations: protocol is the same for every row;",
    ),
    "deviation of the data": (
        text_of(methods=fpn(**{"dataset.train": 2, "reason": "looks better"})),
        ": methods: fpn: deviations: dataset.train is the same for every row;",
    ),
    "frozen norm without weights": (
        text_of(backbone__norm="frozen"),
        ": backbone.norm: frozen needs weights; from scratch write norm: train",
    ),
    "frozen layers without weights": (
        text_of(backbone__freeze=["stem"]),
        ": backbone.freeze: random layers cannot be frozen; write freeze: [] or weights:",
    ),
    "fewer detections than are scored": (
        text_of(protocol="visdrone-coco"),
        ": detect.max_detections: 100 is fewer than protocol visdrone-coco scores; "
        "write at least 500",
    ),
    "same seed twice": (text_of(seeds=[1, 1]), ": seeds: [1, 1] must be different"),
    "no seed": (text_of(seeds=[]), ": seeds: [] must be different and at least one"),
    "negative seed": (text_of(seeds=[-1]), ": seeds.0: -1 is wrong; it must be at least 0"),
    "no rows": (text_of(methods=[]), ": methods: [] is wrong; write at least 1"),
    "row that is a number": (text_of(methods=[3]), ": methods: row 1 is 3; write `- fpn` or"),
    "row without a name": (
        text_of(methods=[{"fuse": True}]),
        ": methods: row 1 is {'fuse': True};",
    ),
    "methods that are no list": (
        text_of(methods="fpn"),
        ": methods: fpn is wrong; write a list, such as [1, 2]",
    ),
    "missing section": ("input: {size: [64, 64]}\n", ": dataset is missing"),
    "missing key": (text_of(schedule={"batch_size": 1, "lr": 1}), ": schedule.epochs is missing"),
    "section that is a number": (
        text_of(augment=3),
        ": augment: 3 is wrong; write keys and values below it, such as {key: value}",
    ),
    "words for a number": (text_of(schedule__lr="fast"), ": schedule.lr: fast is wrong; write a"),
    "broken number": (
        text_of(schedule__epochs=1.5),
        ": schedule.epochs: 1.5 is wrong; write a whol",
    ),
    "nothing for a number": (text_of(schedule__epochs=None), ": schedule.epochs: null is wrong;"),
    "infinite number": (
        text_of(schedule__lr=float("inf")),
        ": schedule.lr: .inf is wrong; write a finite number",
    ),
    "too large a number": (text_of(augment__hflip=2), ": augment.hflip: 2 is wrong; it must be at"),
    "odd channels": (
        text_of(neck__channels=13),
        ": neck.channels: 13 is wrong; it must be a multi",
    ),
    "size of one number": (text_of(input__size=[64]), ": input.size: [64] has too few values"),
    "size of three": (
        text_of(input__size=[64, 64, 64]),
        ": input.size: [64, 64, 64] is wrong; write at most 2 values",
    ),
    "sides in the wrong order": (
        text_of(input={"size": [96, 64], "resize": "shorter_side"}),
        ": input.size: write [shorter, longer], not [96, 64]",
    ),
    "jitter in the wrong order": (
        text_of(augment__scale_jitter=[2, 1]),
        ": augment.scale_jitter: [2.0, 1.0] is no range; write [low, high]",
    ),
    "objects in the wrong order": (
        text_of(dataset__objects=[6, 3]),
        ": dataset.objects: [6, 3] is no range; write [fewest, most]",
    ),
    "scenes too small": (text_of(dataset__size=[64, 32]), ": dataset.size: [64, 32] is too small;"),
    "name with a blank": (text_of(name="a b"), ": name: a b is wrong; use letters, digits,"),
    "name that leaves the folder": (text_of(name="../b"), ": name: ../b is wrong; use letters"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_suite(tmp_path: Path, case: str) -> None:
    content, words = WRONG[case]
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    with pytest.raises(SuiteError, match=re.escape(f"{path}{words}")) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "nput should" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    with pytest.raises(SuiteError, match=re.escape(f"{path}: no such suite file; `sobench list")):
        load(path)
    with pytest.raises(SuiteError, match="cannot be read: Is a directory"):
        load(tmp_path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(SuiteError, match=r"cannot be read: .*utf-8"):
        load(path)


def test_shipped_suites_of_every_folder() -> None:
    names = {path.stem for path in SHIPPED}
    assert {"smoke", "visdrone", "coco", "voc", "refinedet_table2"} <= names
    assert len(names) == len(SHIPPED)  # a name is a folder of results


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_suites_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOBENCH_DATA", raising=False)
    suite = load(path)
    assert suite.name == path.stem
    assert suite.title


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.parent.name == "ablations"], ids=lambda p: p.stem
)
def test_rows_of_an_ablation_have_labels(path: Path) -> None:
    rows = yaml.safe_load(path.read_text())["methods"]
    assert all(row.get("label") for row in rows)
    # `--methods` takes them apart at commas.
    assert not [row["label"] for row in rows if "," in row["label"]]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_rows_of_shipped_suites_build(path: Path) -> None:
    suite = load(path)
    sizes = np.random.default_rng(0).uniform(4, 30, (50, 2))
    predicted: set[str] = set()
    for row in suite.methods:
        config = deviating(suite, row, path)
        weights = Backbone(name=config.backbone.name, weights="none", norm="train")
        config = config.model_copy(update={"backbone": weights})
        with torch.device("meta"):  # shapes alone: which switches and sizes go together
            detector = build_detector(config, row, num_classes=20, seed=0, box_sizes=sizes)
            if row.name not in predicted:
                assert detector.predict(torch.empty(1, 3, *input_shape(config.input)))
        predicted.add(row.name)


def test_rows_are_spelt_out() -> None:
    rows = tiny_suite(methods=["fpn", {"name": "fpn", "label": "plain", "fuse": False}]).methods
    assert [(row.name, row.label, row.switches) for row in rows] == [
        ("fpn", "fpn", {"fuse": True}),
        ("fpn", "plain", {"fuse": False}),
    ]


def test_every_switch_has_its_default_among_its_values() -> None:
    for method in methods().values():
        for switch in method.switches.values():
            assert switch.default in switch.values
        assert set(method.heads) <= set(HEADS)


def test_name_is_that_of_the_file(tmp_path: Path) -> None:
    content = {key: value for key, value in CONTENT.items() if key != "name"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert load(tmp_path / "mine.yaml").name == "mine"


def test_relative_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "a.yaml"
    data = {"format": "coco", "root": "../data", "train": "a.json", "val": "b.json"}
    path.write_text(text_of(dataset=data, backbone={"name": "resnet18", "weights": "w.pth"}))
    monkeypatch.chdir(tmp_path)
    suite = load(path)
    assert isinstance(suite.dataset, CocoData)
    assert suite.dataset.root == str(tmp_path / "data")
    assert suite.backbone.weights == str(tmp_path / "suites" / "w.pth")
    changed = load(path, {"dataset.root": "here", "backbone.weights": "imagenet"})
    assert isinstance(changed.dataset, CocoData)
    assert changed.dataset.root == str(tmp_path / "here")
    assert changed.backbone.weights == "imagenet"


@pytest.mark.parametrize("root", ["${SOME_DATA}/a", "~/a", "/a"])
def test_variables_wait(tmp_path: Path, root: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of(dataset={"format": "voc", "root": root, "classes": ["a", "b"]}))
    dataset = load(path).dataset
    assert isinstance(dataset, VocData)
    assert dataset.root == root
    assert dataset.classes == ("a", "b")


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of())
    suite = load(path, {"schedule.warmup.steps": 7, "detect.nms": 0.6, "methods": ["ssd"]})
    assert suite.schedule.warmup.steps == 7
    assert suite.schedule.warmup.start == 0.1  # what stood beside it stays
    assert suite.detect.nms == 0.6
    assert [row.label for row in suite.methods] == ["ssd"]
    with pytest.raises(SuiteError, match=r"unknown key 'schedule.epoch'; did you mean 'epochs'"):
        load(path, {"schedule.epoch": 1})
    with pytest.raises(SuiteError, match=r"methods.0.name: methods has no parts"):
        load(path, {"methods.0.name": "ssd"})


def test_anchors_of_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    scenes = "{format: synthetic, train: 4, val: 2}"
    rest = text_of().replace("dataset:", "_:")
    content = yaml.safe_load(rest)
    del content["_"]
    path.write_text(
        f"augment: &same {{hflip: 0.25}}\ndataset:\n  <<: {scenes}\n  val: 3\n"
        + yaml.safe_dump(content)
    )
    dataset = load(path).dataset
    assert isinstance(dataset, SyntheticData)
    assert (dataset.train, dataset.val) == (4, 3)


def test_deviations_are_laid_over(tmp_path: Path) -> None:
    suite = tiny_suite(
        methods=[
            "ssd",
            *fpn(**{"schedule.lr": 0.5, "schedule.warmup": {"steps": 9}, "reason": "needs it"}),
        ]
    )
    plain, other = (deviating(suite, row, tmp_path) for row in suite.methods)
    assert plain is suite
    assert (other.schedule.lr, other.schedule.warmup.steps) == (0.5, 9)
    assert other.schedule.epochs == suite.schedule.epochs
    assert other.input == suite.input


@pytest.mark.parametrize(
    ("anchors", "deviations", "expected"),
    [
        # anchors of a RetinaNet suite, beside `head: faster_rcnn` -> scale and octaves of the row
        ({}, {}, (8.0, 1)),
        ({"ratios": [1]}, {}, (8.0, 1)),
        ({"scale": 3}, {}, (3.0, 1)),
        ({"octaves": 2}, {}, (8.0, 2)),
        ({"scale": 4, "octaves": 3}, {}, (8.0, 1)),  # RetinaNet's own, written out
        ({}, {"anchors.scale": 4}, (4.0, 1)),
        ({"scale": 3}, {"anchors.scale": 4, "anchors.octaves": 3}, (4.0, 3)),
        ({}, {"anchors": {"octaves": 2}}, (8.0, 2)),
    ],
    ids=str,
)
def test_anchors_follow_the_head_of_a_deviation(
    tmp_path: Path,
    anchors: dict[str, Any],
    deviations: dict[str, Any],
    expected: tuple[float, int],
) -> None:
    for changes in (deviations | {"head": "faster_rcnn"}, {"head": "faster_rcnn"} | deviations):
        path = tmp_path / "a.yaml"
        rows = ["fpn", {"name": "fpn", "label": "b", "deviations": changes | {"reason": "why not"}}]
        path.write_text(text_of(anchors=anchors, methods=rows))
        suite = load(path)
        plain, other = (deviating(suite, row, path) for row in suite.methods)
        assert plain is suite
        assert (other.anchors.scale, other.anchors.octaves) == expected
        assert other.anchors.ratios == suite.anchors.ratios


def test_anchors_stay_with_the_head(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        text_of(anchors={"scale": 3}, methods=fpn(**{"neck.channels": 8, "reason": "x"}))
    )
    suite = load(path)
    assert deviating(suite, suite.methods[0], path).anchors == suite.anchors
