"""A run that starts from a detector of another data set, from its training to its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.compare import leaderboard
from sobench.errors import RequestError
from sobench.runs.matrix import run_matrix
from sobench.suite.sections import Suite
from sobench.training import checkpoint
from tests.real_data import BCCD_SPEC
from tests.records import states_of
from tests.runs.matrices import CPU, Recorder, matrix, planned, small

CELLS = BCCD_SPEC.model_dump(mode="json")
RENAMED = {"RBC": "tent", "Platelets": "car"}
STILL = {"epochs": 1, "milestones": [], "lr": 1e-12, "weight_decay": 0}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def cells(*methods: Any, **changes: Any) -> Suite:
    """A suite of blood cells, whose training hardly moves the weights."""
    suite = small(*methods, **{"init_classes": RENAMED} | changes)
    content = suite.model_dump(mode="json")
    schedule = content["schedule"] | STILL
    return Suite.model_validate(content | {"name": "cells", "dataset": CELLS, "schedule": schedule})


def weights(results: Path, suite: str) -> dict[str, torch.Tensor]:
    """Those of the only run of a suite."""
    (folder,) = (results / suite / "fpn").iterdir()
    (path,) = folder.glob("checkpoint-*.pt")
    state: dict[str, torch.Tensor] = checkpoint.load(path)["model"]
    return state


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a detector of drawn scenes, which have five classes."""
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOBENCH_CACHE", str(folder / "cache"))
        matrix(small("fpn"), folder)
    return folder


def test_from_scenes_to_cells(scenes: Path, tmp_path: Path) -> None:
    suite = cells("fpn", init_from=f"{scenes}/tiny/{{method}}")
    recorder, records = matrix(suite, tmp_path, limit=2)
    assert recorder.trained == ["fpn"]
    outcome = records["fpn"]
    assert outcome.status == "ok"
    assert outcome.start == "2 of 3 classes take the weights of their counterparts; afresh: WBC"
    assert f"fpn seed 0: {outcome.start}" in recorder.warnings
    assert outcome.settings["init_from"]["renamed"] == RENAMED
    assert "(5 classes), fpn seed 0 of suite tiny, RBC from tent" in outcome.deviations[0]
    runs = planned(suite, limit=2)
    board = leaderboard.build(runs, states_of(runs, [outcome]))
    assert board.deviations == {"fpn": (*outcome.deviations, outcome.start)}

    before, after = weights(scenes, "tiny"), weights(tmp_path, "cells")
    for name, x in after.items():
        if "class_logits" not in name and not name.endswith(("mean", "var", "tracked")):
            assert torch.allclose(x, before[name], atol=1e-6), name
    old, new = (x["head.class_logits.weight"].view(9, -1, 16, 3, 3) for x in (before, after))
    assert torch.allclose(new[:, 0], old[:, 4], atol=1e-6)  # RBC <- tent
    assert torch.allclose(new[:, 2], old[:, 0], atol=1e-6)  # Platelets <- car
    assert not torch.allclose(new[:, 1], old[:, 1], atol=1e-3)
    whole = cells("fpn", init_from=f"{scenes}/tiny/fpn", init_classes=RENAMED | {"WBC": "car"})
    told, outcomes = matrix(whole, tmp_path, limit=2)
    assert outcomes["fpn"].start == "3 of 3 classes take the weights of their counterparts"
    assert told.warnings == []
    again, _ = matrix(suite, tmp_path, limit=2)
    assert again.trained == []


@pytest.mark.parametrize(
    ("method", "renamed", "problem"),
    [
        ("fpn", {"cell": "car"}, "init_classes: 'cell' is not a class of the data set; known: RBC"),
        ("fpn", {"RBC": "cart"}, "init_classes: RBC: 'cart' is not a class of"),
        ("pafpn", {}, r"pafpn: init_from: the weights of \S+ do not fit:\nneck\.\S+ is not there"),
    ],
)
def test_what_cannot_start_is_refused_before_any_training(
    scenes: Path, tmp_path: Path, method: str, renamed: dict[str, str], problem: str
) -> None:
    suite = cells(method, init_from=f"{scenes}/tiny/fpn", init_classes=renamed)
    with pytest.raises(RequestError, match=problem):
        matrix(suite, tmp_path, limit=2)
    assert not (tmp_path / "cells").exists()


def test_weights_that_change_after_planning_fail_the_run(scenes: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.pt"
    torch.save(weights(scenes, "tiny"), path)
    suite = cells("fpn", init_from=str(path), init_classes={})
    (run,) = planned(suite, limit=2)
    assert run.origin is not None
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RequestError, match=r"some\.pt: changed since the runs were planned"):
        list(run_matrix([run], tmp_path, CPU, Recorder()))
