"""What a method's ``build`` makes of a suite, against what the suite alone would have built."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.errors import RequestError
from sobench.metrics.cost import count_gflops, count_gflops_without_storage, count_parameters
from sobench.models.build import build_detector
from sobench.models.network import Builder, Network
from sobench.suite.methods import methods
from sobench.suite.plan import plan
from tests.suite.packages import forget_packages, install, row
from tests.tiny_suite import tiny_suite

MODEL = """
import torch
from torch import nn
from sobench.models.detector import Detector, HeadOptions, Stage
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.pyramid import FeaturePyramid
from dataclasses import replace
from sobench.suite.network import Backbone

def build(backbone, config, switches):
    levels = head_levels(config.head)
    {before}
    neck = FeaturePyramid(backbone, config.neck, levels)
    detector = Detector(backbone, neck, build_head(config, levels.strides))
    {after}
    return detector
"""


OTHER_BACKBONE = (
    "backbone = build_backbone(Backbone(name='resnet50', weights='none', norm='train'))"
)


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package whose method is FPN with these lines, of which its row says nothing."""

    def put(before: str, after: str) -> None:
        files = {
            "quiet/__init__.py": row(heads="('retinanet',)"),
            "quiet/model.py": MODEL.format(before=before or "pass", after=after or "pass"),
        }
        install(tmp_path, monkeypatch, files, "quiet-package", points={"quiet": "quiet:METHOD"})

    yield put
    for name in [name for name in sys.modules if name.partition(".")[0] == "quiet"]:
        del sys.modules[name]
    monkeypatch.undo()
    forget_packages()


def build_row(name: Any = "fpn", classes: int = 3, **changes: Any) -> tuple[Network, list[str]]:
    """The network of a row, and its differences that nothing declares."""
    (run, *_) = plan(tiny_suite(methods=[name], **changes))
    network = Builder(0).build(run.suite, run.entry, classes)
    found = [d.text for d in network.differences if not d.declared_by(run.deviations)]
    return network, found


@pytest.mark.parametrize(("head", "norm"), [("retinanet", "none"), ("faster_rcnn", "group")])
def test_every_method_declares_what_it_does(head: str, norm: str) -> None:
    for name, method in methods().items():
        if not method.source and head in (*method.heads, *(() if method.heads else (head,))):
            neck = {"channels": 64, "norm": norm}
            assert build_row(name, head=head, regions={}, neck=neck)[1] == [], name


def test_anchors_of_an_image_are_those_of_its_cells() -> None:
    network, _ = build_row()  # 64 px, strides 8 to 128: 8^2 + 4^2 + 2^2 + 1 + 1 cells of 9 anchors
    assert network.anchors == 9 * (64 + 16 + 4 + 1 + 1)
    assert network.smallest == pytest.approx(12)


@pytest.mark.parametrize("name", ["fpn", "ssd", "mrae"])
def test_it_counts_what_a_real_network_has(name: str) -> None:
    suite = tiny_suite(methods=[name])
    real = build_detector(suite, suite.methods[0], 3, seed=0)
    network = build_row(name)[0]
    assert count_parameters(network.detector) == count_parameters(real)
    counted = count_gflops_without_storage(network.detector, (64, 64))
    assert counted == pytest.approx(count_gflops(real, (64, 64)), rel=1e-9)


def test_no_weights_are_read_and_no_draw_is_taken(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    backbone = {"weights": str(tmp_path / "nowhere.pt"), "norm": "frozen", "freeze": ("stem",)}
    suite = tiny_suite(backbone={"name": "resnet18", "weights": "none", "norm": "train"})
    changed = suite.model_copy(update={"backbone": suite.backbone.model_copy(update=backbone)})
    network = Builder(0).build(changed, suite.methods[0], 3)
    assert network.differences == ()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (OTHER_BACKBONE, "", "its backbone is another network"),
        ("nn.init.zeros_(backbone.layer1[0].conv1.weight)", "", "other first weights in 1 tensors"),
        ("backbone.layer1[0].conv1.weight.data.mul_(2)", "", "other first weights in 1 tensors"),
        ("", "del backbone.layer4", "its backbone has no layer4"),
        ("backbone.layer2.requires_grad_(False)", "", "tensors of its backbone do not train"),
        ("config = replace(config, num_classes=7)", "", "its head has num_classes 7, the suite 3"),
        ("config = replace(config, size=(96, 64))", "", "its head has size (96, 64)"),
        (
            "config = replace(config, anchors=config.anchors.model_copy(update={'smallest': 8}))",
            "",
            "anchors that are not the suite's (sides of 8.0,",
        ),
        ("", "neck.norm = nn.BatchNorm2d(8)", "1 batch normalisations behind the backbone"),
        ("", "detector.stages = (Stage(), Stage())", "trains for 2 times the suite's epochs"),
        ("", "detector.stages = (Stage(images_2x=True),)", "at twice the size"),
        ("", "detector.head = type('Mine', (nn.Module,), {})()", "its head is Mine"),
    ],
)
def test_a_package_that_differs_in_silence(
    quiet: Callable[[str, str], None], before: str, after: str, words: str
) -> None:
    quiet(before, after)
    suite = tiny_suite(methods=["fpn", "quiet"])
    builder = Builder(0)
    network = builder.build(suite, suite.methods[1], 3)
    assert any(words in difference.text for difference in network.differences)
    # The row after it has the weights of the suite again.
    assert builder.build(suite, suite.methods[0], 3).differences == ()


def test_a_word_of_the_row_declares_a_difference() -> None:
    (difference,) = (d for d in build_row("mrae")[0].differences)
    assert difference.text == "its backbone has no layer4"
    assert difference.declared_by(("no C5 of the Backbone",))
    assert not difference.declared_by(("own head",))
    assert not difference.declared_by(())


def test_a_package_that_fails_is_named(quiet: Callable[[str, str], None]) -> None:
    quiet("1 / 0", "")
    with pytest.raises(RequestError, match=r"quiet of quiet-package 1\.2 cannot be built: Zero"):
        build_row("quiet")
