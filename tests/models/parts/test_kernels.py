"""The kernels of a GPU give the numbers of the plain code: on one, or by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.methods.zoominnet import distillation
from sobench.models.parts import bipartite, matching
from sobench.models.parts.anchors import pyramid_anchors, suite_anchors
from sobench.suite.network import Anchors
from tests.models.parts.random_boxes import random_boxes
from tests.models.small_config import no_padding

COUNTS = (6, 0, 2)
"""Places of each image up to its last object; the others are padding."""


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with blocks so small that anchors fill several, and the last one not wholly."""
    pytest.importorskip("triton", reason="there are no kernels without Triton")
    from sobench.models.parts import kernels

    monkeypatch.setattr(kernels, "_BLOCK", 256)
    return kernels


def crowded() -> Targets:
    """Objects that share anchors, twins among them, with padding at the end and in between."""
    boxes = random_boxes(len(COUNTS), max(COUNTS) + 1, seed=0, extent=60.0, side=25.0).round()
    labels = torch.full(boxes.shape[:2], -1)
    for image, count in enumerate(COUNTS):
        labels[image, :count] = 1
    boxes[0, 5] = boxes[0, 3]
    labels[0, 4] = -1
    regions = random_boxes(len(COUNTS), 3, seed=3, extent=64.0, side=50.0)
    regions[1, 1:] = 0
    return on_device(Targets(boxes, labels, regions, no_padding(len(COUNTS))))


def tiled_anchors() -> Tensor:
    settings = Anchors(smallest=12.0, octaves=2, ratios=(0.5, 1.0, 2.0))
    spec = suite_anchors(settings, 2)
    return pyramid_anchors(((8, 8), (4, 4)), (8, 16), spec, torch.device("cpu"))


def anchors_of_images() -> Tensor:
    return random_boxes(len(COUNTS), 300, seed=2, extent=64.0)


ANCHORS = {"tiled": tiled_anchors, "of_images": anchors_of_images}


def on_device(targets: Targets) -> Targets:
    return targets.to(torch.device("cuda")) if torch.cuda.is_available() else targets


def placed(kind: str) -> Tensor:
    anchors = ANCHORS[kind]()
    return anchors.cuda() if torch.cuda.is_available() else anchors


@pytest.mark.parametrize("kind", ANCHORS)
@pytest.mark.parametrize("with_claims", [False, True])
def test_best_overlaps(kernels: ModuleType, kind: str, with_claims: bool) -> None:
    truth, anchors = crowded(), placed(kind)
    found = kernels.best_overlaps(truth.boxes, truth.labels, anchors, with_claims)
    expected = matching._best_overlaps(truth, anchors, with_claims)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine, theirs)
    assert (expected[0] > 0).any()
    assert bool((expected[2] >= 0).any()) == with_claims


@pytest.mark.parametrize("kind", ANCHORS)
@pytest.mark.parametrize("number", [1, 5])
def test_best_anchors(kernels: ModuleType, kind: str, number: int) -> None:
    truth, anchors = crowded(), placed(kind)
    found = kernels.best_anchors(truth.boxes, truth.labels, anchors, number)
    expected = bipartite._best_anchors_by_image(truth, anchors, number)
    assert torch.equal(found[0], expected[0])
    overlapping = expected[0] > 0
    assert torch.equal(found[1][overlapping], expected[1][overlapping])
    assert not found[1][~overlapping].any()
    assert overlapping.any()


def test_fewer_anchors_than_are_asked_for(kernels: ModuleType) -> None:
    truth = crowded()
    anchors = placed("tiled")[:3] * 0 + truth.boxes[0, :3]
    found = kernels.best_anchors(truth.boxes, truth.labels, anchors, 3)
    assert torch.equal(found[0], bipartite._best_anchors_by_image(truth, anchors, 3)[0])


@pytest.mark.parametrize("kind", ANCHORS)
def test_ignore_regions(kernels: ModuleType, kind: str) -> None:
    truth, anchors = crowded(), placed(kind)
    found = kernels.in_regions(truth.ignore, anchors)
    assert torch.equal(found, matching.in_ignored(truth, anchors))
    assert found.any()
    assert not found.all()
    assert not kernels.in_regions(truth.ignore[:, :0], anchors).any()


@pytest.mark.parametrize("mode", ["literal", "nonzero", "fixed"])
def test_relative_iou(kernels: ModuleType, mode: distillation.LambdaMode) -> None:
    truth, anchors = crowded(), placed("tiled")
    found = kernels.relative_iou(
        truth.boxes, truth.labels, anchors, mode != "fixed", mode == "nonzero"
    )
    expected = distillation._relative_iou_of_batch(truth, anchors, mode)
    assert torch.equal(found[0], expected[0])
    assert torch.allclose(found[1], expected[1], rtol=1e-14)
    assert bool(found[1].any()) == (mode != "fixed")


def test_no_object_at_all(kernels: ModuleType) -> None:
    truth, anchors = crowded(), placed("tiled")
    nothing = torch.full_like(truth.labels, -1)
    best_iou, _, claimed_by = kernels.best_overlaps(truth.boxes, nothing, anchors, True)
    assert not best_iou.any()
    assert (claimed_by == -1).all()
    assert not kernels.relative_iou(truth.boxes, nothing, anchors, True, False)[0].any()


_COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sobench.models.parts import kernels

kinds = {"best_iou": "*fp32", "labels": "*i64", "best_object": "*i64", "claimed_by": "*i64",
         "best_index": "*i64", "counts": "*i32", "moments": "*fp64", "inside": "*i1"}
fixed = {"block": kernels._BLOCK, "width": 16, "with_moments": True, "only_nonzero": True,
         "with_claims": True, "tiny": 1e-38}
numbers = ("num_anchors", "num_boxes", "num_regions", "stride", "number")
for name, kernel in vars(kernels).items():
    if not name.endswith("_kernel"):
        continue
    constants = {key: fixed[key] for key in kernel.arg_names if key in fixed}
    signature = {
        key: "constexpr" if key in fixed else "i32" if key in numbers else kinds.get(key, "*fp32")
        for key in kernel.arg_names
    }
    source = ASTSource(kernel, signature, constexprs=constants)
    options = {"enable_fp_fusion": False}
    ptx = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    print(name, "div.rn.f32" in ptx, *(word in ptx for word in ("fma.rn.f32", "div.full", ".ftz")))
"""


@pytest.mark.slow
def test_they_compile_for_a_gpu_and_round_as_plain_code_does() -> None:
    """Neither products that are added unrounded nor quick quotients: bits would differ."""
    pytest.importorskip("triton", reason="Triton is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    outcome = subprocess.run(
        [sys.executable, "-c", _COMPILE],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert not outcome.returncode, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert line.split()[1:] == ["True", "False", "False", "False"], line
