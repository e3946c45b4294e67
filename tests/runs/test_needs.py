"""What the data of a matrix take, as it is told before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.data.cache_folder import cache_folder
from sobench.data.cache_limit import LIMIT
from sobench.runs.needs import CacheNeed, data_needs
from sobench.suite.methods import get_method
from sobench.suite.plan import with_required
from tests.records import isolate
from tests.runs.matrices import matrix, planned, small
from tests.training.rehearsal import Case, built
from tests.training.rehearsal import planned as planned_case


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def told(*methods: Any, **changes: Any) -> list[tuple[str, int, str]]:
    suite = small(*methods, **changes)
    return [
        (need.name, need.count, need.state)
        for need in data_needs(with_required(planned(suite))).caches
    ]


def test_caches_before_and_after_they_are_built(tmp_path: Path) -> None:
    sizes = {"eval_sizes": [[64, 48]]}
    expected = [("train at 32x32", 4), ("val at 32x32", 2), ("val at 64x48", 2)]
    assert told("fpn", **sizes) == [(*need, "to build") for need in expected]
    matrix(small("fpn", **sizes), tmp_path)
    assert told("fpn", **sizes) == [(*need, "built") for need in expected]
    needs: list[CacheNeed] = [*data_needs(planned(small("fpn", **sizes))).caches]
    stored = {path: path.stat().st_size for path in cache_folder().glob("*.images")}
    assert {need.path: need.size for need in needs} == stored


def test_what_passes_the_limit_leaves_its_room_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "20K")
    assert told("fpn", "zoominnet") == [
        ("train at 32x32", 4, "to build"),  # 12 KiB
        ("val at 32x32", 2, "to build"),  # 6 KiB
        ("train at 64x64", 4, "too large"),
        ("val at 64x64", 2, "too large"),
    ]


@pytest.mark.parametrize(
    "case",
    [
        Case("fpn"), Case("zoominnet"), Case("zoominnet", switches={"distill": False}),
        Case("efpn"), Case("efpn", switches={"distill": False}),
        Case("efpn", "faster_rcnn", {"detect_from": "p3_ftt"}),
        Case("efpn", "faster_rcnn", {"detect_from": "p3"}),
    ],
    ids=str,
)  # fmt: skip
def test_rows_say_whether_they_read_images_at_twice_the_size(case: Case) -> None:
    run = planned_case(case)
    detector = built(run, torch.device("cpu"))
    reads_2x = get_method(run.entry.name).reads_2x(run.entry.switches)
    assert reads_2x == any(stage.images_2x for stage in detector.stages)
