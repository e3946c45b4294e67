"""Finished runs tested at several scales together, and on blanked images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sobench.errors import RequestError
from sobench.report.markdown import markdown
from sobench.runs.state import state_of
from sobench.suite.further_tests import further_tests
from sobench.training.checkpoint_files import list_checkpoints
from tests.records import isolate
from tests.runs.matrices import board_of, matrix, planned, small
from tests.stored_rows import read_rows
from tests.suite.packages import forget_packages, install

EVERYTHING = {"score_threshold": 0.0}
TOGETHER = {"scales": [1, 2], "flip": True}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    yield
    forget_packages()
    for name in ("my_package", "my_package.model"):
        sys.modules.pop(name, None)


def test_they_need_no_training_and_are_scored_again_without_weights(tmp_path: Path) -> None:
    matrix(small("fpn", detect=EVERYTHING), tmp_path)
    changes: dict[str, Any] = {"multi_scale": TOGETHER, "keep_background": [1, 2.5]}
    suite = small("fpn", detect=EVERYTHING, **changes)
    recorder, records = matrix(suite, tmp_path)
    assert (recorder.trained, recorder.fresh, recorder.warnings) == ([], ["fpn"], [])
    names = ["32x32+64x64-flip", "background-1.0", "background-2.5"]
    assert list(records["fpn"].sizes) == names
    (run,) = planned(suite)
    folder = run.folder(tmp_path)
    stored = [folder / f"detections{name}.json.gz" for name in ("", *(f"-{n}" for n in names))]
    assert len({tuple(map(str, read_rows(path))) for path in stored}) == 4
    assert matrix(suite, tmp_path)[0].fresh == []

    board = board_of(suite, [records["fpn"]])
    assert list(board.sizes["input"]) == ["multi-scale", "background x1", "background x2.5"]
    assert board.notes[0].startswith("multi-scale: inputs of 1, 2 times the row's input.size, ")
    assert board.notes[1].startswith("background xK: uses the annotations of val, ")
    assert sum(note.startswith("background") for note in board.notes) == 1
    assert "| fpn      | background x2.5 |" in markdown(board)

    for path in list_checkpoints(folder):
        path.unlink()
    other = small("fpn", detect=EVERYTHING, protocol="coco-bins50", **changes)
    recorder, again = matrix(other, tmp_path)
    assert recorder.trained == []
    for name in names:
        scores = again["fpn"].sizes[name]
        assert list(scores) == ["coco v1 hotcoco", "coco-bins50 v1 hotcoco"]
        assert scores["coco-bins50 v1 hotcoco"].metrics["AP50_S"] is not None


def test_other_scales_are_another_test(tmp_path: Path) -> None:
    matrix(small("fpn", multi_scale=TOGETHER), tmp_path)
    plain = small("fpn", multi_scale={"scales": [1, 2]})
    _, records = matrix(small("fpn"), tmp_path)
    assert state_of(planned(plain)[0], records["fpn"]).reason == "not tested: multi-scale"
    recorder, records = matrix(plain, tmp_path)
    assert recorder.trained == []
    assert list(records["fpn"].sizes) == ["32x32+64x64-flip", "32x32+64x64"]
    (alone,) = further_tests(small("fpn", multi_scale={"scales": [1], "flip": True}))
    assert (alone.name, alone.title) == ("32x32-flip", "with its mirror image")
    assert alone.is_merged


def test_a_row_may_be_tested_at_other_scales_or_at_none(tmp_path: Path) -> None:
    """SSD has as many stages as its input can be halved, and is tested at other sizes as well."""
    scales = {"multi_scale.scales": [1, 1.5], "reason": "larger already"}
    other = {"name": "fpn", "label": "other", "fuse": False, "deviations": scales}
    without = {"name": "ssd", "deviations": {"multi_scale": {}, "reason": "it cannot"}}
    suite = small("fpn", other, without, multi_scale=TOGETHER)
    runs = planned(suite)
    assert runs[0].settings == planned(small("fpn"))[0].settings
    assert runs[2].settings == planned(small("ssd"))[0].settings
    assert runs[1].deviations[-1] == "multi_scale.scales: [1, 1.5] (larger already)"
    _, records = matrix(suite, tmp_path)
    names = {label: list(outcome.sizes) for label, outcome in records.items()}
    assert names == {"fpn": ["32x32+64x64-flip"], "other": ["32x32+48x48-flip"], "ssd": []}
    board = board_of(suite, records.values())
    assert sorted(board.sizes["method"]) == ["fpn", "other"]
    remarks = [note for note in board.notes if note.startswith("multi-scale: ")]
    assert [note.rpartition(" ")[2] for note in remarks] == ["(fpn)", "(other)"]
    assert "inputs of 1, 1.5 times" in remarks[1]
    assert not board.missing


def test_a_row_that_cannot_be_joined_is_refused_first(tmp_path: Path) -> None:
    words = r"ssd: multi_scale\.scales: \[1, 8\]: the weights of ssd do not fit:\n"
    with pytest.raises(RequestError, match=words):
        matrix(small("ssd", multi_scale={"scales": [1, 8]}), tmp_path)
    assert not (tmp_path / "tiny").exists()


NO_CANDIDATES = """
from torch import nn
from sobench.models.methods.fpn import model
from sobench.suite.methods import get_method

class Plain(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.inner = head
        self.loss, self.detect, self.flops_outputs = head.loss, head.detect, head.flops_outputs

    def forward(self, pyramid):
        return self.inner(pyramid)

def build(backbone, config, switches):
    defaults = {key: switch.default for key, switch in get_method("fpn").switches.items()}
    detector = model.build(backbone, config, defaults)
    detector.head = Plain(detector.head)
    return detector
"""


def test_a_head_without_candidates_is_refused_unless_its_row_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    row = (
        "from sobench.suite.methods import Method\n"
        "METHOD = Method(title='Mine', paper='none', heads=('retinanet',))\n"
    )
    install(
        tmp_path, monkeypatch, {"my_package/__init__.py": row, "my_package/model.py": NO_CANDIDATES}
    )
    words = (
        r"my_neck: multi_scale.scales: \[1, 2\]: the head of my_neck of my-package 1.2 has no "
        r"candidates\(output\);\nwrite it, or give the row the deviation multi_scale: {}"
    )
    with pytest.raises(RequestError, match=words):
        matrix(small("my_neck", multi_scale=TOGETHER), tmp_path)
    without = {"name": "my_neck", "deviations": {"multi_scale": {}, "reason": "no candidates"}}
    _, records = matrix(small(without, multi_scale=TOGETHER), tmp_path)
    assert records["my_neck"].status == "ok"
