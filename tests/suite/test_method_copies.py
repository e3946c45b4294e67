"""A built-in method copied into a package of another name is the same method."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.errors import SuiteError
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.suite import plan
from sobench.suite.methods import get_method, methods
from sobench.suite.sections import Suite
from tests.models.small_config import targets
from tests.records import invoke, isolate
from tests.suite.packages import install
from tests.tiny_suite import tiny_suite, write_tiny

FOLDERS = Path(__file__).parents[2] / "sobench" / "models" / "methods"
REGIONS = {"pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16}
CASES = [
    ("efpn", "faster_rcnn"), ("fpn", "retinanet"), ("libra", "faster_rcnn"), ("libra", "retinanet"),
    ("mrae", "retinanet"), ("nas_fpn", "retinanet"), ("pafpn", "faster_rcnn"),
    ("pafpn", "retinanet"), ("refinedet", "retinanet"), ("ssd", "retinanet"),
    ("ta_fpn", "faster_rcnn"), ("zoominnet", "retinanet"),
]  # fmt: skip


def install_copy(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a copy of a built-in method's folder as a package, and return the copy's name."""
    package = f"{name}_package"
    files = {
        f"{package}/{path.name}": re.sub(
            rf"\bsobench\.models\.methods\.{name}\b", package, path.read_text()
        )
        for path in (FOLDERS / name).glob("*.py")
    }
    assert not any("sobench.models.methods" in content for content in files.values())
    copy = f"my_{name}"
    install(folder, monkeypatch, files, f"{name}-package", "3", {copy: f"{package}:METHOD"})
    return copy


def suite_of(head: str, *rows: Any) -> Suite:
    return tiny_suite(head=head, regions=REGIONS, methods=list(rows))


def trainable(run: plan.Run) -> Detector:
    """The network of a run as its training begins, with the networks that the run requires."""
    sizes = np.random.default_rng(0).uniform(4, 30, (50, 2))
    detector = build_detector(run.suite, run.entry, 3, run.seed, sizes)
    for role, required in run.requires:
        detector.load_required(role, build_detector(required.suite, required.entry, 3, 5, sizes))
    return detector


def losses_and_detections(detector: Detector) -> dict[str, Tensor]:
    """Every loss of every stage on one batch, and the detections on it."""
    generator = torch.Generator().manual_seed(1)
    images_2x = torch.rand(2, 3, 128, 128, generator=generator) * 255
    images = images_2x[..., ::2, ::2]
    objects = targets([[(4, 4, 20, 24), (30, 30, 50, 44)], [(8, 8, 16, 20)]], [[0, 1], [2]])
    results: dict[str, Tensor] = {}
    for stage in detector.stages:
        detector.start_stage(stage)
        torch.manual_seed(3)
        losses = detector.train()(images, objects, images_2x)
        results |= {f"{stage.name} {part}": loss for part, loss in losses.items()}
    with torch.no_grad():
        detections = detector.eval()(images)
    return results | {"boxes": detections.boxes, "scores": detections.scores}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_every_method_is_copied() -> None:
    assert {name for name, _ in CASES} == set(methods())


@pytest.mark.parametrize(("name", "head"), CASES)
def test_a_copy_has_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    copy = install_copy(name, tmp_path, monkeypatch)
    original_run, copied_run = plan.plan(suite_of(head, name, copy), "")
    original, copied = trainable(original_run), trainable(copied_run)
    assert type(copied.neck) is not type(original.neck) or name in ("fpn", "efpn", "zoominnet")
    assert_equal(original.state_dict(), copied.state_dict())
    assert_equal(losses_and_detections(original), losses_and_detections(copied))


@pytest.mark.parametrize(("name", "head"), CASES)
def test_a_copy_is_planned_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    copy = install_copy(name, tmp_path, monkeypatch)
    original, copied = plan.plan(suite_of(head, name, copy), "")
    assert copied.deviations == original.deviations
    assert [role for role, _ in copied.requires] == [role for role, _ in original.requires]
    own = {"method": copy, "source": f"{name}-package 3"}
    assert copied.settings == original.settings | own
    assert get_method(copy).package == f"{name}_package"


@pytest.mark.parametrize("name", sorted(methods()))
def test_a_copy_is_listed_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    copy = install_copy(name, tmp_path, monkeypatch)
    monkeypatch.setenv("COLUMNS", "250")
    listed = invoke(capsys, "list", "methods")
    assert listed.code == 0, listed.err
    lines = [" ".join(line.split()) for line in listed.out.splitlines()]
    source = f"{copy} comes from {name}-package 3, {name}_package"
    assert source in lines
    of_original = [line for line in lines if line.split()[:1] == [name]]
    of_copy = [line for line in lines if line.split()[:1] == [copy] and line != source]
    assert of_original
    assert of_copy == [copy + line.removeprefix(name) for line in of_original]


def test_a_copy_has_the_rules_of_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = install_copy("zoominnet", tmp_path, monkeypatch)
    messages = []
    for name in ("zoominnet", copy):
        with pytest.raises(SuiteError) as caught:
            tiny_suite(methods=[{"name": name, "label": "x", "align": "none", "distill": False}])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_copy_with_private_parts_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained by the command line, it reaches the same losses and scores."""
    copy = install_copy("libra", tmp_path, monkeypatch)
    isolate(tmp_path, monkeypatch)
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    path = write_tiny(tmp_path, schedule=schedule, methods=["libra", copy])
    ran = invoke(capsys, "run", path)
    assert ran.code == 0, ran.err
    figures = [
        line.split()[2:]
        for line in ran.out.splitlines()
        if line.split()[1:2] in (["libra"], [copy])
    ]
    assert len(figures) == 2
    assert figures[0][:3] == figures[1][:3]
