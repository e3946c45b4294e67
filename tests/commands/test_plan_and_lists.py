from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from sobench import commands
from sobench.cli import COMMANDS, cli
from sobench.data.fingerprint import fingerprint
from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, keep, run_ids, write_suite
from tests.data.small_datasets import coco_at
from tests.records import failed_record, invoke, isolate, record_of


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.mark.parametrize("command", [(), ("run",), ("report",), ("list",), ("doctor",)])
def test_help(capsys: Capture, command: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        code, out, err = invoke(capsys, *command, flag)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: ")


def test_version(capsys: Capture) -> None:
    code, out, _ = invoke(capsys, "--version")
    assert code == 0
    assert re.match(r"sobench, version \d+\.\d+", out)


def test_doctor(capsys: Capture, tmp_path: Path) -> None:
    code, out, err = invoke(capsys, "doctor")
    assert (code, err) == (0, "")
    assert f"image cache: {tmp_path / 'cache'}, " in out
    assert "look SOBENCH_DATA: not set" in out
    assert "export SOBENCH_DATA=FOLDER" in out


def test_what_needs_no_network_needs_no_torch() -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    lists = ["methods", "heads", "datasets", "protocols", "suites", "keys"]
    arguments_of = [["--help"], *(["list", what] for what in lists)]
    arguments_of += [["plan", str(path)], ["report", str(path)]]
    arguments_of += [["run", "--help"], ["tune", "--help"], ["doctor", "--help"]]
    arguments_of += [["report", str(path), "--format", f, "--out", "out"] for f in ("md", "json")]
    script = """if True:
        import json, sys
        from sobench.cli import main
        for arguments in json.loads(sys.argv[1]):
            try:
                main(arguments)
            except SystemExit as leaving:
                assert leaving.code == 0, arguments
            heavy = {"torch", "torchvision"} & sys.modules.keys()
            assert not heavy, (arguments, heavy)
        print("all done")
    """
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(arguments_of)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.endswith("all done\n")
    assert Path("out/small.md").exists()


@pytest.mark.parametrize("what", ["methods", "heads", "datasets", "protocols", "suites"])
def test_list(capsys: Capture, what: str) -> None:
    code, out, err = invoke(capsys, "list", what)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) >= 2


def test_plan_shows_states(capsys: Capture) -> None:
    path = write_suite(seeds=[0, 1], title="Small things")
    code, out, _ = invoke(capsys, "plan", path)
    assert code == 0
    assert "Small things: 4 runs" in out
    assert re.findall("missing|done", out) == ["missing"] * 4

    runs = plan(load(path), fingerprint(load(path).dataset))
    assert run_ids(out) == {"fpn": runs[2].id, "ssd": runs[3].id}  # of the last seed
    folders = [run.folder(Path("results")) for run in runs]
    record.write(record_of(runs[0]), folders[0])
    record.write(failed_record(runs[1], "diverged"), folders[1])
    folders[2].mkdir(parents=True)
    (folders[2] / "checkpoint-00000001-0123456789abcdef.pt").touch()
    out = invoke(capsys, "plan", path).out
    states = re.findall(r" (missing|done|diverged|resumable|failed) +s\d-", out)
    assert states == ["done", "diverged", "resumable", "missing"]
    assert not Path("cache").exists()


def test_plan_without_data_shows_the_rows(capsys: Capture) -> None:
    path = write_suite(dataset={"format": "voc", "root": "nowhere"})
    code, out, err = invoke(capsys, "plan", path)
    assert code == 2
    assert out.count("no data") == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("error: dataset.root: no folder ")


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["--epochs", "4"], {"epochs": 4, "milestones": [2, 3]}),
        (["--epochs", "2"], {"epochs": 2, "milestones": [1, 1.5]}),
        (["--epochs", "4", "--set", "schedule.milestones=[1]"], {"epochs": 4, "milestones": [1]}),
        (["--set", "schedule.lr=0.25"], {"lr": 0.25}),
        (["--set", "schedule.lr=0.25", "--set", "schedule.gamma=0.5"], {"lr": 0.25, "gamma": 0.5}),
    ],
)
def test_options_give_the_run_of_such_a_suite(
    capsys: Capture, arguments: list[str], changes: dict[str, Any]
) -> None:
    schedule = {"epochs": 8, "batch_size": 2, "lr": 0.005, "milestones": [4, 6]}
    plain = write_suite("plain.yaml", schedule=schedule)
    same = write_suite("same.yaml", schedule=schedule | changes)
    out = invoke(capsys, "plan", plain, *arguments).out
    assert run_ids(out) == run_ids(invoke(capsys, "plan", same).out) != {}
    assert run_ids(out) != run_ids(invoke(capsys, "plan", plain).out)
    shown = [f"partial: {a} {b}" for a, b in zip(arguments[::2], arguments[1::2], strict=True)]
    assert sorted(re.findall("^partial: .*$", out, re.MULTILINE)) == sorted(shown)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "1"],
        ["--set", "title=Other"],
        ["--set", "schedule.lr=0.005"],
        ["--set", "device=auto", "--set", "protocol=tiny"],
        ["--set", "seeds=[0]"],
        ["--seeds", "0"],
    ],
)
def test_options_that_change_no_result_leave_it_whole(
    capsys: Capture, arguments: list[str]
) -> None:
    path = write_suite()
    out = invoke(capsys, "plan", path, *arguments).out
    assert "partial: " not in out
    assert run_ids(out) == run_ids(invoke(capsys, "plan", path).out) != {}


def test_an_override_may_make_a_suite_valid(capsys: Capture) -> None:
    path = write_suite(head="faster_rcnn", methods=["fpn", "zoominnet"])
    assert invoke(capsys, "plan", path).code == 2
    for mending in (["--set", "head=retinanet"], ["--set", "methods=[fpn]"]):
        code, out, err = invoke(capsys, "plan", path, *mending, "--epochs", "2")
        assert (code, err) == (0, "")
        assert f"partial: {mending[0]} {mending[1]}" in out


def test_other_seeds_are_whole(capsys: Capture) -> None:
    path = write_suite()
    for arguments in (["--seeds", "5"], ["--set", "seeds=[5]"]):
        out = invoke(capsys, "plan", path, *arguments).out
        assert all(id_.startswith("s5-") for id_ in run_ids(out).values())
        assert "partial: " not in out


def test_rows_and_deviations(capsys: Capture) -> None:
    row = {"name": "fpn", "label": "fast", "deviations": {"schedule.lr": 0.5, "reason": "why not"}}
    path = write_suite(methods=["fpn", row, "ssd"])
    out = invoke(capsys, "plan", path).out
    assert re.findall(r"^ *\d +(\S+) .* (\d+)$", out, re.MULTILINE) == [
        ("fpn", "0"), ("fast", "1"), ("ssd", "3"),
    ]  # fmt: skip
    assert list(run_ids(invoke(capsys, "plan", path, "--methods", "fast, ssd").out)) == [
        "fast", "ssd",
    ]  # fmt: skip
    keep(path, 0.5, 0.4)
    out = invoke(capsys, "report", path).out
    assert re.search(r"^ +- +fast +a +0\.400", out, re.MULTILINE)
    assert "\na  schedule.lr: 0.5 (why not)\n" in out


def test_a_narrow_terminal_shows_ids_before_numbers_of_deviations(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = "fpn with a long name of its own"
    path = write_suite(methods=[{"name": "fpn", "label": label}, "efpn"])
    for width, gone in ((100, ""), (70, "deviations"), (60, "requires, deviations")):
        monkeypatch.setenv("COLUMNS", str(width))
        out = invoke(capsys, "plan", path).out
        assert max(map(len, out.splitlines())) <= width
        assert "…" not in out
        assert len(re.findall(r" s0-[0-9a-f]{12}(?: |$)", out, re.MULTILINE)) == 2
        told = re.findall("no room for ([a-z, ]*): a wider terminal", " ".join(out.split()))
        assert told == ([gone] if gone else [])


def test_the_table_of_commands_is_their_own_help() -> None:
    context = click.Context(cli)
    for name, text in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help is not None
        assert command.help.split("\n\n")[0] == text
    folder = Path(commands.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {
        *COMMANDS,
        "options",
        "output",
        "stored",
        "suites",
        "training",
        "view",
        "__init__",
    }


def test_commands_are_completed_by_the_shell() -> None:
    items = cli.shell_complete(click.Context(cli), "r")
    assert [item.value for item in items] == ["run", "report"]


def test_a_reader_that_leaves_is_no_error() -> None:
    """As in ``sobench list keys | head -1``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sobench", "list", "keys"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_plan_tells_of_caches_and_memory(capsys: Capture) -> None:
    path = write_suite(methods=["fpn"])
    out = invoke(capsys, "plan", path).out
    assert re.search(r"^image cache, train at 64x64: 4 images, 48\.\d KiB, to build$", out, re.M)
    assert re.search(r"^image cache, val at 64x64: 2 images, 24\.\d KiB, to build$", out, re.M)
    assert re.search(r"^new caches may take \S+ \S+ together, half of the free disk", out, re.M)
    assert re.search(r"^memory of the data: annotations \S+ KiB, a batch 24\.0 KiB;", out, re.M)


def test_plan_hashes_no_large_new_set(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = coco_at(Path("set"))
    path = write_suite(
        dataset=spec.model_dump(mode="json") | {"root": "set"}, methods=["fpn", "ssd"]
    )
    monkeypatch.setattr("sobench.commands.plan.MOST_HASHED", (1, 2**30))
    monkeypatch.setattr("sobench.data.hashes._SETTLED_NS", -(10**9))
    code, out, _ = invoke(capsys, "plan", path)
    assert code == 0
    assert run_ids(out) == {}
    assert out.count("missing") == 2
    assert "new files of the dataset" in out
    assert "image cache, train at 64x64" in out
    keep(path, 0.5, data="0123456789ab")
    out = invoke(capsys, "plan", path).out
    assert re.search(r"fpn +\d +done", out)
    fingerprint(load(path).dataset)  # as a run does
    assert len(run_ids(invoke(capsys, "plan", path).out)) == 2
