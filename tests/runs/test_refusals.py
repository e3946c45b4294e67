"""A row that cannot be trained is refused before any training, and stops no other row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision

from sobench.data.load import load
from sobench.errors import DataError, RequestError
from sobench.runs import record
from sobench.runs.weights import build_network
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints
from tests.records import invoke, isolate
from tests.runs.matrices import matrix, planned, small
from tests.suite.packages import forget_packages, install
from tests.tiny_suite import CONTENT, tiny_run, write_tiny

ROW = """from sobench.suite.methods import Method
METHOD = Method(title="My neck", paper="none", heads=("retinanet",))
"""
SHORT = CONTENT["schedule"] | {"epochs": 1, "milestones": []}

WRONG_MODELS = {
    "a wrong key": ("def build(*_): return {}['head']\n", "KeyError: 'head'"),
    "an exit": ("import sys\ndef build(*_): sys.exit(0)\n", "SystemExit: 0"),
    "an exit when imported": ("import sys\nsys.exit(0)\n", "cannot be imported (SystemExit: 0)"),
    "nothing built": ("def build(*_): print('stray words')\n", "AttributeError: 'NoneType' object"),
    "an error without words": (
        "class Odd(BaseException):\n"
        "    def __str__(self): raise ValueError\n"
        "def build(*_): raise Odd\n",
        "\nOdd; change these",
    ),
    "no room": ("def build(*_): raise MemoryError\n", "MemoryError"),
}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    isolate(tmp_path, monkeypatch)
    yield
    forget_packages()
    for name in ("my_package", "my_package.model"):
        sys.modules.pop(name, None)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = {"name": "pafpn", "init_from": "fpn"}
    with pytest.raises(RequestError, match=r"pafpn: init_from: fpn: the weights of fpn do not f"):
        matrix(small("fpn", other), tmp_path, methods=["pafpn"])
    assert not (tmp_path / "tiny").exists()


def test_every_row_is_tried_even_if_its_last_seed_is_done(tmp_path: Path) -> None:
    """SSD has as many stages as its input can be halved."""
    suite = small("ssd", seeds=[0, 1])
    matrix(suite, tmp_path, seeds=[1])
    wrong = suite.model_copy(update={"eval_sizes": ((256, 256),)})
    with pytest.raises(RequestError, match=r"eval_sizes: \[256, 256\]: the weights of ssd do not"):
        matrix(wrong, tmp_path)


@pytest.mark.parametrize("case", WRONG_MODELS)
def test_a_row_of_another_package_that_cannot_be_built_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model, words = WRONG_MODELS[case]
    files = {"my_package/__init__.py": ROW, "my_package/model.py": model}
    install(tmp_path, monkeypatch, files)
    with pytest.raises(RequestError) as refusal:
        matrix(small("my_neck"), tmp_path)
    assert "my-package 1.2" in str(refusal.value)
    assert words in str(refusal.value)
    recorder, records = matrix(small("my_neck", "fpn"), tmp_path)
    assert recorder.trained == ["fpn"]
    assert (records["my_neck"].status, records["fpn"].status) == ("failed", "ok")
    assert records["my_neck"].reason == " ".join(str(refusal.value).splitlines())
    (run, _) = planned(small("my_neck", "fpn"))
    assert record.read(run.folder(tmp_path)) == records["my_neck"]


def test_a_refused_row_is_no_success_and_what_its_package_prints_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = WRONG_MODELS["nothing built"]
    install(tmp_path, monkeypatch, {"my_package/__init__.py": ROW, "my_package/model.py": model})
    suite = write_tiny(tmp_path, methods=["my_neck", "fpn"], schedule=SHORT)
    outcome = invoke(capsys, "run", suite)
    assert outcome.code == 1
    assert "stray words" not in outcome.out
    assert "Traceback" not in outcome.err
    assert "fpn seed 0: AP " in outcome.err


def test_a_refused_row_stops_neither_others_nor_its_students_alone(tmp_path: Path) -> None:
    """What only a refused row requires is not trained; what requires a refused row fails."""
    wrong = {"name": "pafpn", "label": "wrong", "init_from": "fpn"}
    after = {"name": "pafpn", "label": "after", "init_from": "wrong"}
    student = {"name": "zoominnet", "label": "student", "init_from": "fpn"}
    recorder, records = matrix(small("fpn", wrong, after, student), tmp_path)
    assert recorder.trained == ["fpn"]
    assert recorder.order == ["fpn", "wrong", "after", "student"]
    assert "init_from: fpn: the weights of fpn do not fit: " in records["wrong"].reason
    assert records["after"].reason.startswith(
        "needs wrong seed 0, which is not done: failed: tiny: methods: wrong: init_from: fpn: "
    )
    assert "init_from: fpn: the weights of fpn do not fit: " in records["student"].reason


def test_a_size_that_cannot_be_tested_leaves_the_result_and_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["ssd", "fpn"]
    write_tiny(tmp_path, methods=rows, schedule=SHORT)
    assert invoke(capsys, "run", "tiny.yaml").code == 0
    (before,) = (tmp_path / "results" / "tiny" / "ssd").glob("*/record.json")
    content = before.read_bytes()
    write_tiny(tmp_path, methods=rows, schedule=SHORT, eval_sizes=[[256, 256]])
    outcome = invoke(capsys, "run", "tiny.yaml")
    assert outcome.code == 1
    assert "ssd seed 0: not all further tests are done: tiny: methods: ssd: " in outcome.err
    assert "ssd seed 0: AP " in outcome.err
    assert before.read_bytes() == content
    assert invoke(capsys, "plan", "tiny.yaml").out.count(" to test ") == 1
    assert len(list((tmp_path / "results" / "tiny" / "fpn").glob("*/detections-256x256*"))) == 1


@pytest.mark.parametrize("error", [DataError("row 3 is wrong"), MemoryError(), SystemExit(3)])
def test_what_only_the_scoring_refuses_fails_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("sobench.runs.execute.score_stored", failing)
    recorder, records = matrix(small("fpn", "pafpn"), tmp_path)
    assert recorder.trained == ["fpn", "pafpn"]
    assert [outcome.status for outcome in records.values()] == ["failed"] * 2
    monkeypatch.undo()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    recorder, records = matrix(small("fpn", "pafpn"), tmp_path)
    assert recorder.trained == []  # the trainings are kept
    monkeypatch.setattr("sobench.runs.execute.score_stored", failing)
    _, again = matrix(small("fpn", "pafpn", protocol="tiny"), tmp_path)
    assert [outcome.status for outcome in again.values()] == ["failed"] * 2
    for run in planned(small("fpn", "pafpn")):
        assert record.read(run.folder(tmp_path)) == records[run.entry.label]


def test_data_that_cannot_be_read_stop_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise DataError("no such image")

    monkeypatch.setattr("sobench.runs.train.resized_images", failing)
    with pytest.raises(DataError, match="no such image"):
        matrix(small("fpn", "pafpn"), tmp_path)
    assert not list((tmp_path / "tiny").rglob("*.json"))


def test_pretrained_weights_that_cannot_be_used_are_refused_before_any_training(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"no weights")
    bad = {"name": "fpn", "label": "bad",
           "deviations": {"backbone.weights": str(weights), "reason": "a try"}}  # fmt: skip
    with pytest.raises(RequestError, match="no state dict could be read from it"):
        matrix(small(bad), tmp_path)
    recorder, records = matrix(small(bad, "pafpn"), tmp_path)
    assert recorder.trained == ["pafpn"]
    assert "weights.pth: no state dict could be read from it" in records["bad"].reason


def test_the_traceback_goes_when_the_run_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = planned(small("fpn"))
    trace = run.folder(tmp_path) / "error.txt"
    with monkeypatch.context() as patch:
        patch.setattr("sobench.runs.train.train", lambda *_, **__: 1 / 0)
        matrix(small("fpn"), tmp_path)
    assert "ZeroDivisionError" in trace.read_text()
    matrix(small("fpn"), tmp_path)
    assert not trace.exists()


def test_what_a_kill_left_of_a_finished_run_goes_with_the_next_command(tmp_path: Path) -> None:
    matrix(small("fpn"), tmp_path)
    (run,) = planned(small("fpn"))
    folder = run.folder(tmp_path)
    (weights,) = list_checkpoints(folder)
    content = weights.read_bytes()
    checkpoint.save(folder, 1, {"step": 1})
    weights.write_bytes(content)
    (folder / "error.txt").touch()
    assert len(list_checkpoints(folder)) == 2
    recorder, _ = matrix(small("fpn"), tmp_path)
    assert recorder.fresh == []
    assert list_checkpoints(folder) == [weights]
    assert not (folder / "error.txt").exists()


def test_a_network_takes_the_weights_that_were_planned(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), weights)
    run = tiny_run(backbone={"weights": str(weights)})
    training = load(run.suite.dataset, "train")
    assert len(run.settings["backbone"]["weights"]) == 12  # which plans it
    build_network(run, training, torch.device("cpu"))
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), weights)
    with pytest.raises(RequestError, match="changed since the runs were planned"):
        build_network(run, training, torch.device("cpu"))
