from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.small_suite import Capture, check_refusal, keep, write_suite
from tests.records import invoke, isolate
from tests.suite.wrong_suites import WRONG


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_suite(capsys: Capture, case: str) -> None:
    content, words = WRONG[case]
    Path("wrong.yaml").write_text(content)
    for command in ("run", "report"):
        check_refusal(capsys, f"error: wrong.yaml{words}", command, "wrong.yaml")


@pytest.mark.parametrize("command", ["run", "plan", "report", "data"])
def test_no_suite(capsys: Capture, command: str) -> None:
    words = "gone.yaml: no such suite file; `sobench list suites` shows those at hand"
    check_refusal(capsys, words, command, "gone.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "schedule.lr"], "--set schedule.lr: write KEY=VALUE, such as schedule.lr=0.02"),
        (["--set", "=3"], "--set =3: write KEY=VALUE"),
        (["--set", "title={"], "--set title={: the value: line 1, column 2: expected the"),
        (["--set", "schedule.epoch=3"], "small.yaml: unknown key 'schedule.epoch'; did you mean"),
        (["--set", "schedule.lr=fast"], "small.yaml: schedule.lr: fast is wrong; write a number"),
        (
            ["--set", "device.name=x"],
            "small.yaml: device.name: device is not a section; set device",
        ),
        (["--set", "protocol=tinny"], "small.yaml: protocol: unknown 'tinny'; did you mean 'tiny'"),
        (["--set", "methods=[fpm]"], "small.yaml: methods: unknown method 'fpm'; did you mean"),
        (["--seeds", "0,one"], "--seeds: 'one' is not a seed; write numbers below 2^31, such as 0"),
        (["--seeds", "2147483648"], "--seeds: '2147483648' is not a seed"),
        (["--seeds", "1" * 5000], "111' is not a seed; write"),
        (["--seeds", "-1"], "--seeds: '-1' is not a seed"),
        (["--seeds", "²"], "--seeds: '²' is not a seed"),
        (["--seeds", "0,0"], "--seeds: 0, 0: give every seed once"),
        (["--methods", "fpm"], "--methods: suite small has no row 'fpm'; did you mean 'fpn'?"),
        (["--methods", "fpn,x"], "--methods: suite small has no row 'x'; known: fpn, ssd"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "report"])
def test_wrong_options(capsys: Capture, command: str, arguments: list[str], words: str) -> None:
    path = write_suite()
    check_refusal(capsys, words, command, path, *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "xml"], "--format: unknown 'xml'; known: terminal, md, csv, json"),
        (["--format", "cvs"], "--format: unknown 'cvs'; did you mean 'csv'?"),
        (["--format", ","], "--format: names none; known: terminal, md, csv, json"),
        (["--format", "md,csv"], "--format: several formats need --out FOLDER"),
    ],
)
def test_wrong_formats(capsys: Capture, arguments: list[str], words: str) -> None:
    check_refusal(capsys, words, "report", write_suite(), *arguments)


@pytest.mark.parametrize("command", ["run", "data"])
def test_missing_data(capsys: Capture, command: str) -> None:
    voc = {"format": "voc", "root": "nowhere"}
    path = write_suite(dataset=voc)
    root = Path("nowhere").resolve()
    check_refusal(capsys, f"dataset.root: no folder {root}; put the dataset there", command, path)
    path = write_suite(dataset=voc | {"root": "${SOBENCH_DATA}/voc"})
    words = "needs the variable SOBENCH_DATA, which is not set; export SOBENCH_DATA=FOLDER or --set"
    check_refusal(capsys, words, command, path)


def test_missing_weights(capsys: Capture) -> None:
    path = write_suite(backbone={"name": "resnet18", "weights": "gone.pth"})
    words = "gone.pth: No such file or directory; write `imagenet`, `none` or a file's path"
    check_refusal(capsys, words, "run", path)
    setting = "backbone={name: resnet18, weights: none, norm: train}"
    assert invoke(capsys, "plan", path, "--set", setting).code == 0


def test_missing_device(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = "device: cuda is asked for, but torch sees no CUDA device here; write --device cpu"
    check_refusal(capsys, words, "run", write_suite(), "--device", "cuda")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rum"], "No such command 'rum'; did you mean 'run'?"),
        (["lis"], "No such command 'lis'; did you mean 'list'?"),
        (["run"], "Missing argument 'SUITE'"),
        (["run", "a.yaml", "--limit", "0"], "Invalid value for '--limit'"),
        (["run", "a.yaml", "--epochs", "x"], "Invalid value for '--epochs'"),
        (["run", "a.yaml", "--device", "tpu"], "Invalid value for '--device'"),
        (["run", "a.yaml", "--speed", "9"], "No such option"),
        (["run", "a.yaml", "--checkpoint-seconds", "-1"], "Invalid value for '--checkpoint-sec"),
        (["list", "things"], "Invalid value for"),
        ([], "Usage: "),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], words: str) -> None:
    code, out, err = invoke(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_results_that_cannot_be_written(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    Path("file").touch()
    arguments = ("report", path, "--format", "md", "--out", "file")
    check_refusal(capsys, "error: file: File exists", *arguments)


def test_debug_shows_the_traceback(capsys: Capture) -> None:
    code, _, err = invoke(capsys, "--debug", "plan", "gone.yaml")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: gone.yaml: no such suite file")
