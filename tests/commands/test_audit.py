"""``sobench audit``: what it prints, in every format, with and without data and results."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, keep, write_suite
from tests.records import COST, invoke, isolate, record_of
from tests.suite.packages import forget_packages, install, row

DEVIATIONS = {"schedule.epochs": 2, "schedule.lr": 0.01, "reason": "why not"}
LONGER = {"name": "fpn", "label": "longer", "deviations": DEVIATIONS}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def audit(capsys: Capture, path: Path, *options: str) -> dict[str, Any]:
    """The audit as JSON."""
    code, out, err = invoke(capsys, "audit", path, "--format", "json", *options)
    assert (code, err) == (0, "")
    content: dict[str, Any] = json.loads(out)
    return content


def test_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    path = write_suite(methods=["fpn", "ssd", LONGER], title="Small things")
    code, out, err = invoke(capsys, "audit", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "Small things: the same for every row"
    assert "4 train images, 2 val images, 5 classes" in lines[1]
    table = {line.split()[0]: line.split() for line in lines if line.split()[:1] != []}
    assert table["method"][:4] == ["method", "anchors", "px", "met"]
    # 64 px, strides 8 to 128, nine anchors a cell; one epoch; no letter.
    assert table["fpn"][1:3] == ["774", "12"]
    assert table["fpn"][-1] == "1"
    assert table["ssd"][-1] == "a-c"
    assert table["longer"][-2:] == ["2", "d"]
    assert table["a"][1:3] == ["own", "head:"]
    assert "d schedule.epochs: 2, schedule.lr: 0.01 (why not)  longer" in out
    assert "2 of 3 rows do something otherwise, all of it declared; 2 warnings" in out
    assert not Path("results").exists()


def test_json_and_markdown_have_the_same(capsys: Capture) -> None:
    path = write_suite(methods=["fpn", {"name": "efpn", "label": "a|b"}])
    content = audit(capsys, path)
    fpn, efpn = content["rows"]
    assert content["classes"] == 5
    assert fpn["deviations"] == []
    assert fpn["trainings"] == [{"name": "train", "epochs": 1, "own": True}]
    assert [(t["name"], t["epochs"]) for t in efpn["trainings"]] == [
        ("baseline fpn", 1), ("extension", 1), ("head", 1),
    ]  # fmt: skip
    assert efpn["epochs"] == 3
    assert set(fpn["coverage"]) <= {"all", "<16 px", "16-32 px"}
    assert 0 <= fpn["coverage"]["all"] <= efpn["coverage"]["all"] <= 1
    assert content["not_audited"] == []
    code, out, _ = invoke(capsys, "audit", path, "--format", "md")
    assert code == 0
    assert f"| {fpn['anchors']}" in out
    assert "a\\|b" in out
    assert f"{efpn['parameters'] / 1e6:.1f}" in out


def test_without_data_the_rest_is_shown(capsys: Capture) -> None:
    path = write_suite(dataset={"format": "coco", "root": "nowhere", "train": "t", "val": "v"})
    content = audit(capsys, path)
    assert content["classes"] is None
    coverage, classes = content["not_audited"]
    assert coverage.startswith("coverage, sizes and the checks of the data: dataset.root: no fol")
    assert "those of one class" in classes
    assert [row["anchors"] for row in content["rows"]] == [774, 765]  # SSD ends with one cell
    assert [row["coverage"] for row in content["rows"]] == [{}, {}]
    code, out, _ = invoke(capsys, "audit", path)
    assert code == 0
    assert " met " not in out.partition("GFLOPs")[0]


def test_data_that_are_wrong_are_an_error_after_all_the_rest(capsys: Capture) -> None:
    Path("data").mkdir()
    path = write_suite(dataset={"format": "coco", "root": "data", "train": "t", "val": "v"})
    code, out, err = invoke(capsys, "audit", path)
    assert code == 2
    assert "ssd" in out
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_results_give_classes_costs_and_versions(capsys: Capture) -> None:
    path = write_suite(dataset={"format": "voc", "root": "nowhere"})
    keep(path, 0.5, 0.4)
    content = audit(capsys, path)
    assert content["classes"] == 3  # of the records' scores
    assert content["images"] == {"train": 9, "val": 3}
    changed = [text for text in content["warnings"] if "the code has changed since" in text]
    assert len(changed) == 2  # the records' parameters are of no network


def test_results_of_the_present_network_are_not_warned_of(capsys: Capture) -> None:
    path = write_suite(methods=["fpn"])
    (row,) = audit(capsys, path)["rows"]
    from sobench.data.fingerprint import fingerprint

    (run,) = plan(load(path), fingerprint(load(path).dataset))
    cost = COST.model_copy(update={"parameters": row["parameters"], "gflops": row["gflops"]})
    record.write(record_of(run, cost=cost), run.folder(Path("results")))
    assert not [text for text in audit(capsys, path)["warnings"] if "results" in text]


def test_options(capsys: Capture) -> None:
    path = write_suite(seeds=[0, 1])
    content = audit(capsys, path, "--methods", "ssd", "--seeds", "1", "--epochs", "4")
    assert [row["method"] for row in content["rows"]] == ["ssd"]
    assert "; seed 1:" in content["pinned"]["images"]
    assert content["pinned"]["training"].startswith("4 epochs of 2 images")
    assert content["partial"] == ["--epochs 4"]


@pytest.fixture
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that halves the anchors, and does not say so."""
    model = """
from dataclasses import replace
from sobench.models.methods.fpn.model import build as build_fpn

def build(backbone, config, switches):
    halved = config.anchors.model_copy(update={"smallest": config.anchors.smallest / 2})
    fpn = {"fuse": True, "first_level": 3}
    return build_fpn(backbone, replace(config, anchors=halved), fpn)
"""
    files = {"quiet/__init__.py": row(heads="('retinanet',)"), "quiet/model.py": model}
    install(tmp_path, monkeypatch, files, "quiet-package", points={"quiet": "quiet:METHOD"})
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "quiet"]:
        del sys.modules[name]
    monkeypatch.undo()
    forget_packages()


@pytest.mark.usefixtures("_quiet")
def test_a_difference_that_nothing_declares_is_refused(capsys: Capture) -> None:
    code, out, err = invoke(capsys, "audit", write_suite(methods=["fpn", "quiet"]))
    assert code == 2
    assert "undeclared:" in out
    assert "not all of it declared" in out
    assert err.startswith("error: small: quiet: anchors that are not the suite's (sides of 6.0, ")
    assert "nothing in these rows declares it" in err


def test_help_needs_no_torch(capsys: Capture) -> None:
    code, out, _ = invoke(capsys, "audit", "--help")
    assert code == 0
    assert "needs torch" in out
