"""Suites, data sets and code that the README and ``docs/`` offer to copy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sobench import Detector, Method
from sobench.data.annotations import Split
from sobench.data.load import load as load_split
from sobench.models.build import detector_config
from sobench.models.parts.backbone import build_backbone
from sobench.suite.plan import plan
from sobench.suite.reader import load, parse
from tests.documented_data import WRITERS
from tests.pages import DOCS, README, ROOT, blocks
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT, tiny_suite

SPLITS: tuple[Split, ...] = ("train", "val")
DATASETS = [block.content for block in blocks(DOCS / "datasets.md", "yaml")]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    monkeypatch.setenv("SOBENCH_DATA", str(tmp_path))


def check_both_splits(suite_file: Path, dataset_format: str) -> None:
    """Write the data that the suite names, and read it."""
    if dataset_format in WRITERS:
        folder, write = WRITERS[dataset_format]
        write(Path(folder))
    suite = load(suite_file)
    assert suite.dataset.format == dataset_format
    for split in SPLITS:
        dataset = load_split(suite.dataset, split)
        assert sum(len(image.boxes) for image in dataset.images) >= 1
        assert dataset.skipped == ()


@pytest.mark.parametrize("content", DATASETS)
def test_data_sets_of_the_page(tmp_path: Path, content: str) -> None:
    dataset = yaml.safe_load(content)["dataset"]
    suite_file = tmp_path / "suite.yaml"
    suite_file.write_text(yaml.safe_dump(CONTENT | {"dataset": dataset}))
    check_both_splits(suite_file, dataset["format"])


def test_the_page_has_every_format() -> None:
    formats = [yaml.safe_load(content)["dataset"]["format"] for content in DATASETS]
    assert formats == ["coco", "yolo", "voc", "visdrone", "tt100k", "synthetic"]


@pytest.mark.parametrize("dataset_format", ["yolo", "coco", "voc"])
def test_the_suite_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset_format: str
) -> None:
    block = blocks(DOCS / "suite.md", "yaml")[-1]
    suite_file = tmp_path / "my_suite.yaml"
    lines = [line.removeprefix("# ") for line in block.content.splitlines()]
    others = re.compile(rf"dataset: {{format: (?!{dataset_format}\b)")
    suite_file.write_text("\n".join(line for line in lines if not others.match(line)))
    check_both_splits(suite_file, dataset_format)
    code, out, err = invoke(capsys, "plan", suite_file)
    assert (code, err) == (0, "")
    assert "my_suite: 12 runs" in out


def test_the_example_of_a_suite_is_one_of_ours() -> None:
    examples = [block.content for block in blocks(DOCS / "suite.md", "yaml")]
    assert examples[0] == (ROOT / "suites" / "visdrone.yaml").read_text()


def test_the_example_of_rows() -> None:
    content = yaml.safe_load(blocks(DOCS / "suite.md", "yaml")[1].content)
    suite = parse(CONTENT | content, Path("suite.yaml"))
    runs = {run.entry.label: run for run in plan(suite, "")}
    assert list(runs) == ["fpn", "fpn-nofuse", "fpn-slow", "large", "tuned"]
    ((role, origin),) = runs["tuned"].requires
    assert (role, origin.id) == ("init_from", runs["large"].id)


def test_the_method_of_the_readme() -> None:
    (block,) = blocks(README, "python")
    row_code, _, network_code = block.content.partition("# my_package/model.py\n")
    row: dict[str, Any] = {}
    network: dict[str, Any] = {}
    exec(row_code, row)
    exec(network_code, network)
    assert isinstance(row["METHOD"], Method)
    for head in row["METHOD"].heads:
        suite = tiny_suite(head=head)
        backbone, config = build_backbone(suite.backbone), detector_config(suite, 5)
        detector = network["build"](backbone, config, {})
        assert isinstance(detector, Detector)
        with torch.no_grad():
            detections = detector.eval()(torch.zeros(1, 3, 64, 64))
        assert detections.boxes.shape[::2] == (1, 4)
