from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from sobench.suite.sections import MethodEntry, Suite
from tests.records import failed_record, invoke, isolate, record_of
from tests.suite.wrong_suites import WRONG
from tests.tiny_suite import CONTENT

Capture = pytest.CaptureFixture[str]
DATA = "aaaabbbbcccc"
BOTH = ["fpn", "ssd"]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_suite(file: str = "small.yaml", **changes: Any) -> Path:
    """Four small scenes to train on and two to validate, in the working folder."""
    scenes = {"format": "synthetic", "train": 4, "val": 2, "size": [64, 64], "objects": [3, 6]}
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    content = CONTENT | {"name": "small", "dataset": scenes, "schedule": schedule, "methods": BOTH}
    path = Path(file)
    path.write_text(yaml.safe_dump(content | changes))
    return path


def keep(path: Path, *aps: float, limit: int | None = None, partial: tuple[str, ...] = ()) -> None:
    """Results of the suite's first runs, as if they had been trained for."""
    for run, ap in zip(plan(load(path), DATA, limit, partial), aps, strict=False):
        record.write(record_of(run, ap), run.folder(Path("results")))


def files() -> set[str]:
    return {path.as_posix() for path in Path().rglob("*")}


def run_ids(out: str) -> dict[str, str]:
    """Label -> id, from what ``plan`` printed."""
    return dict(re.findall(r"^ *\d+ +(\S+) .* (s\d+-[0-9a-f]{12}) ", out, re.MULTILINE))


# --- asking the wrong thing ------------------------------------------------------------------


def check_refusal(capsys: Capture, words: str, *arguments: str | Path) -> None:
    """Exit code 2, a short message, and nothing written."""
    before = files()
    code, out, err = invoke(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert words in err
    assert 1 <= len(err.splitlines()) <= 2
    assert "Traceback" not in err
    assert files() == before


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
        (["--set", "title={"], "--set title={: the value is not valid YAML; quote it"),
        (["--set", "schedule.epoch=3"], "small.yaml: unknown key 'schedule.epoch'; did you mean"),
        (["--set", "schedule.lr=fast"], "small.yaml: schedule.lr: fast is wrong; write a number"),
        (
            ["--set", "device.name=x"],
            "small.yaml: device.name: device is not a section; set device",
        ),
        (["--set", "protocol=tinny"], "small.yaml: protocol: unknown 'tinny'; did you mean 'tiny'"),
        (["--set", "methods=[fpm]"], "small.yaml: methods: unknown method 'fpm'; did you mean"),
        (["--seeds", "0,one"], "--seeds: 'one' is not a seed; write numbers, such as 0,1,2"),
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
    check_refusal(
        capsys, f"dataset.root: no folder {root}; put the dataset there or", command, path
    )
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
        (["rum"], "No such command 'rum'"),
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


# --- asking the right thing ------------------------------------------------------------------


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
    lists = ["methods", "heads", "datasets", "protocols", "suites"]
    commands = [["--help"], *(["list", what] for what in lists)]
    commands += [["plan", str(path)], ["report", str(path)]]
    commands += [["report", str(path), "--format", f, "--out", "out"] for f in ("md", "json")]
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
        [sys.executable, "-c", script, json.dumps(commands)],
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
    from sobench.data.fingerprint import fingerprint

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
    found = invoke(capsys, "plan", plain, *arguments).out
    assert run_ids(found) == run_ids(invoke(capsys, "plan", same).out) != {}
    assert run_ids(found) != run_ids(invoke(capsys, "plan", plain).out)
    shown = [f"partial: {a} {b}" for a, b in zip(arguments[::2], arguments[1::2], strict=True)]
    assert sorted(re.findall("^partial: .*$", found, re.MULTILINE)) == sorted(shown)


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
    assert "fast deviates: schedule.lr: 0.5 (why not)" in invoke(capsys, "report", path).out


# --- reports ---------------------------------------------------------------------------------


def test_report_without_results(capsys: Capture) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "report", path)
    assert (code, out) == (4, "")
    assert err == (
        "nothing to show: small: this suite has no finished run; `sobench run` makes some\n"
    )


def test_report_needs_no_data(capsys: Capture) -> None:
    voc = {"format": "voc", "root": "${SOBENCH_DATA}/voc"}
    path = write_suite(dataset=voc)
    keep(path, 0.25, 0.5)
    code, out, err = invoke(capsys, "report", path)
    assert (code, err) == (0, "")
    assert re.search(r"^1 +ssd +0\.500 ", out, re.MULTILINE)
    assert re.search(r"^2 +fpn +0\.250 ", out, re.MULTILINE)
    assert f"data: voc {DATA}" in out
    assert "PARTIAL" not in out
    moved = invoke(capsys, "report", path, "--set", "dataset.root=elsewhere").out
    assert moved == out  # the place of the data changes no result


@pytest.mark.parametrize("arguments", [["--limit", "2"], ["--set", "schedule.lr=0.25"]], ids=str)
def test_partial_results_never_enter_the_leaderboard(capsys: Capture, arguments: list[str]) -> None:
    path = write_suite()
    if arguments[0] == "--limit":
        keep(path, 0.5, 0.4, limit=2, partial=("--limit 2",))
    else:
        changed = schedule_of(path, lr=0.25)
        keep(write_suite("other.yaml", schedule=changed), 0.5, 0.4)
    assert invoke(capsys, "report", path).code == 4
    code, out, _ = invoke(capsys, "report", path, *arguments)
    assert code == 0
    assert f"PARTIAL RESULT ({' '.join(arguments)}): not comparable with the full suite" in out


def schedule_of(path: Path, **changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(path.read_text())["schedule"], **changes}


def test_formats_hold_the_same_numbers(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 1 / 3, 0.5)
    code, out, _ = invoke(capsys, "report", path, "--format", "md,csv,json", "--out", "a/b")
    assert code == 0
    assert out.splitlines() == ["a/b/small.md", "a/b/small.csv", "a/b/small.json"]
    table = pd.read_csv("a/b/small.csv").set_index("method")
    content = json.loads(Path("a/b/small.json").read_text())
    assert [(row["method"], row["AP"]) for row in content["rows"]] == [("ssd", 0.5), ("fpn", 1 / 3)]
    assert table.loc["fpn", "AP"] == pytest.approx(1 / 3, rel=1e-12)
    assert "| 2   | fpn      | 0.333 |" in Path("a/b/small.md").read_text()
    for name, suffix in (("md", "md"), ("csv", "csv"), ("json", "json")):
        printed = invoke(capsys, "report", path, "--format", name).out
        assert printed == Path(f"a/b/small.{suffix}").read_text()
    assert pd.read_csv(io.StringIO(invoke(capsys, "report", path, "--format", "csv").out)).size


def test_damaged_record(capsys: Capture) -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    broken = next(Path("results").rglob("record.json"))
    broken.write_text(broken.read_text()[:100])
    check_refusal(capsys, f"{broken}: not a record of this version: content: ", "report", path)


# --- runs ------------------------------------------------------------------------------------

TINY = ("--checkpoint-seconds", "0")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So small a network is slower on several threads, and far slower on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def outcomes() -> dict[str, record.Record]:
    found = [record.read(path.parent) for path in Path("results").rglob("record.json")]
    return {outcome.label: outcome for outcome in found if outcome is not None}


@pytest.mark.usefixtures("one_thread")
def test_run_from_end_to_end(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "run", path, *TINY)
    assert code == 0, err
    assert re.search(r"^1 +(fpn|ssd) +0\.\d{3} ", out, re.MULTILINE)
    assert re.search(r"^2 +(fpn|ssd) +0\.\d{3} ", out, re.MULTILINE)
    assert "protocol: coco v1" in out
    assert re.search(
        r"^\[1/2\] fpn seed 0: AP 0\.\d{3}, AP50 0\.\d{3}, \d:\d\d$", err, re.MULTILINE
    )
    for method in BOTH:
        (folder,) = (Path("results") / "small" / method).iterdir()
        names = {re.sub(r"-\d{8}-\w{16}", "", file.name) for file in folder.iterdir()}
        assert names == {
            ".lock", "run.json", "log.jsonl", "checkpoint.pt", "detections.json.gz", "record.json",
        }  # fmt: skip
        content = json.loads((folder / "record.json").read_text())
        assert content["run_id"] == folder.name
        assert content["status"] == "ok"
        assert content["images"] == {"train": 4, "val": 2}
        assert json.loads((folder / "run.json").read_text())["schedule"]["epochs"] == 1
        assert content["cost"]["parameters"] > 10**6
    assert invoke(capsys, "plan", path).out.count(" done ") == 2
    before = outcomes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("sobench.runs.execute.train", never)
    code, again, err = invoke(capsys, "run", path)
    assert (code, again) == (0, out)
    assert re.findall("(fpn|ssd) seed 0: AP .*, done before$", err, re.MULTILINE) == BOTH
    assert outcomes() == before

    code, out, err = invoke(capsys, "run", write_suite(protocol="tiny"))
    assert code == 0
    assert "done before" not in err
    assert "protocol: tiny v1" in out
    for label, outcome in outcomes().items():
        assert outcome.scored is not None
        assert outcome.scored.protocol == "tiny"
        assert outcome.cost == before[label].cost
        assert outcome.run_id == before[label].run_id

    code, out, _ = invoke(capsys, "report", path, "--format", "md,csv,json", "--out", "out")
    assert code == 0
    rows = json.loads(Path("out/small.json").read_text())["rows"]
    for row in rows:
        scores = outcomes()[row["method"]].scored
        assert scores is not None
        assert row["AP"] == scores.metrics["AP"]


@pytest.mark.usefixtures("one_thread")
def test_partial_run_is_marked(capsys: Capture) -> None:
    path = write_suite(methods=["fpn"])
    code, out, err = invoke(capsys, "run", path, "--limit", "2")
    assert code == 0, err
    assert "PARTIAL RESULT (--limit 2): not comparable with the full suite" in out
    outcome = outcomes()["fpn"]
    assert (outcome.status, outcome.reason) == ("partial", "--limit 2")
    assert outcome.images == {"train": 2, "val": 2}
    assert invoke(capsys, "report", path).code == 4


@pytest.mark.usefixtures("one_thread")
def test_one_bad_run_leaves_the_others(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = {"name": "fpn", "label": "wild", "deviations": {"schedule.lr": 1e12, "reason": "a try"}}
    path = write_suite(methods=["ssd", wild, "fpn"])
    from sobench.models import build

    def broken(suite: Suite, entry: MethodEntry, *others: Any) -> object:
        if entry.name == "ssd":
            raise RuntimeError("no such kernel\nand more")
        return build.build_detector(suite, entry, *others)

    monkeypatch.setattr("sobench.runs.weights.build_detector", broken)
    code, out, err = invoke(capsys, "run", path, *TINY)
    assert code == 1
    assert "Traceback" not in err
    assert re.search(r"^1 +fpn ", out, re.MULTILINE)
    found = outcomes()
    assert {label: outcome.status for label, outcome in found.items()} == {
        "ssd": "failed", "wild": "diverged", "fpn": "ok",
    }  # fmt: skip
    reason = found["wild"].reason
    assert re.fullmatch(r"the loss is not finite at step 2: .*\w+ \S+, total \S+", reason)
    for text in (f"wild seed 0: diverged: {reason}", "ssd seed 0: failed: no such kernel"):
        assert text in out
        assert text in err
    states = re.findall(r" (failed|diverged|done) +s\d-", invoke(capsys, "plan", path).out)
    assert states == ["failed", "diverged", "done"]

    # What failed is tried again; what diverged would do so again.
    monkeypatch.setattr("sobench.runs.execute.train", lambda *_, **__: 1 / 0)
    code, out, err = invoke(capsys, "run", path)
    assert code == 1
    assert f"wild seed 0: diverged: {reason}" in err
    assert outcomes()["wild"] == found["wild"]
    assert outcomes()["ssd"].status == "failed"
    assert "fpn seed 0: AP " in err


def test_no_run_succeeds(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sobench.runs.weights.build_detector", lambda *_: 1 / 0)
    code, out, err = invoke(capsys, "run", write_suite())
    assert (code, out) == (1, "")
    assert err.count("failed: division by zero") == 2


def test_interruption(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path = write_suite()
    monkeypatch.setattr("sobench.runs.weights.build_detector", interrupted)
    code, out, err = invoke(capsys, "run", path)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == (
        "interrupted; the same command goes on from the last checkpoint"
    )
    assert outcomes() == {}
