"""Every suite file that comes with the package loads, and its rows build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sobench.data.resize import input_shape
from sobench.models.build import build_detector
from sobench.suite.network import Backbone
from sobench.suite.reader import load, with_deviations
from tests.suite.shipped import SHIPPED


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
    labels = [row.get("label") for row in yaml.safe_load(path.read_text())["methods"]]
    assert all(labels)
    # `--methods` takes them apart at commas.
    assert not [label for label in labels if "," in label]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_rows_of_shipped_suites_build(path: Path) -> None:
    suite = load(path)
    sizes = np.random.default_rng(0).uniform(4, 30, (50, 2))
    predicted: set[str] = set()
    for row in suite.methods:
        config = with_deviations(suite, row, path)
        weights = Backbone(name=config.backbone.name, weights="none", norm="train")
        config = config.model_copy(update={"backbone": weights})
        with torch.device("meta"):  # shapes alone: which switches and sizes go together
            detector = build_detector(config, row, num_classes=20, seed=0, box_wh=sizes)
            if row.name not in predicted:
                assert detector.predict(torch.empty(1, 3, *input_shape(config.input)))
        predicted.add(row.name)
