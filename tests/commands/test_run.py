from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sobench.runs import record
from sobench.suite.sections import MethodEntry, Suite
from tests.commands.small_suite import BOTH, Capture, write_suite
from tests.records import invoke, isolate


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


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
    records = [record.read(path.parent) for path in Path("results").rglob("record.json")]
    return {outcome.label: outcome for outcome in records if outcome is not None}


@pytest.mark.usefixtures("one_thread")
def test_run_from_end_to_end(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_suite()
    code, out, err = invoke(capsys, "run", path, *TINY)
    assert code == 0, err
    row = r"(fpn|ssd +a-c) +0\.\d{3}[*+]? +\[.*\n"
    assert re.search(f"^ +1 +{row}", out, re.MULTILINE)
    assert re.search(f"^ +[12] +{row}\n", out, re.MULTILINE)
    assert "protocol: coco v1" in out
    assert re.search(
        r"^\[1/2\] fpn seed 0: AP 0\.\d{3}, AP50 0\.\d{3}, \d:\d\d$", err, re.MULTILINE
    )
    for method in BOTH:
        (folder,) = (Path("results") / "small" / method).iterdir()
        names = {re.sub(r"-\d{8}-\w{16}", "", file.name) for file in folder.iterdir()}
        assert names == {
            ".lock", "run.json", "log.jsonl", "checkpoint.pt", "detections.json.gz", "record.json",
            "matches-coco-v1.npz", "bootstrap-coco-v1.npz",
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

    monkeypatch.setattr("sobench.runs.train.train", never)
    code, again, err = invoke(capsys, "run", path)
    assert (code, again) == (0, out)
    assert re.findall("(fpn|ssd) seed 0: AP .*, done before$", err, re.MULTILINE) == BOTH
    assert outcomes() == before

    code, out, err = invoke(capsys, "run", write_suite(protocol="tiny"))
    assert code == 0
    assert "done before" not in err
    assert "protocol: tiny v1" in out
    for label, outcome in outcomes().items():
        assert list(outcome.scores) == ["coco v1 hotcoco", "tiny v1 hotcoco"]  # the old ones stay
        assert outcome.scores["coco v1 hotcoco"] == before[label].scores["coco v1 hotcoco"]
        assert outcome.cost == before[label].cost
        assert outcome.run_id == before[label].run_id

    both = [invoke(capsys, "report", path, "--set", f"protocol={p}").out for p in ("coco", "tiny")]
    assert [text.count("not run yet") + text.count("to score") for text in both] == [0, 0]
    assert both[0] == again  # as before the other protocol came
    assert both[1] == out

    code, out, _ = invoke(capsys, "report", path, "--format", "md,csv,json", "--out", "out")
    assert code == 0
    rows = json.loads(Path("out/small.json").read_text())["rows"]
    for row in rows:
        scores = outcomes()[row["method"]].scores["tiny v1 hotcoco"]
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
    assert re.search(r"^ +1 +fpn ", out, re.MULTILINE)
    before = outcomes()
    assert {label: outcome.status for label, outcome in before.items()} == {
        "ssd": "failed", "wild": "diverged", "fpn": "ok",
    }  # fmt: skip
    reason = before["wild"].reason
    assert re.fullmatch(r"the loss is not finite at step 2: .*\w+ \S+, total \S+", reason)
    for text in (
        f"wild seed 0: diverged: {reason}",
        "ssd seed 0: failed: RuntimeError: no such kernel",
    ):
        assert text in out
        assert text in err
    states = re.findall(r" (failed|diverged|done) +s\d-", invoke(capsys, "plan", path).out)
    assert states == ["failed", "diverged", "done"]

    # What failed is tried again; what diverged would do so again.
    monkeypatch.setattr("sobench.runs.train.train", lambda *_, **__: 1 / 0)
    code, out, err = invoke(capsys, "run", path)
    assert code == 1
    assert f"wild seed 0: diverged: {reason}" in err
    assert outcomes()["wild"] == before["wild"]
    assert outcomes()["ssd"].status == "failed"
    assert "fpn seed 0: AP " in err


def test_no_run_succeeds(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sobench.runs.weights.build_detector", lambda *_: 1 / 0)
    code, out, err = invoke(capsys, "run", write_suite())
    assert (code, out) == (1, "")
    assert err.count("failed: ZeroDivisionError: division by zero") == 2


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


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_only_diverges_is_not_a_success(capsys: Capture) -> None:
    wild = {"name": "fpn", "label": "wild", "deviations": {"schedule.lr": 1e12, "reason": "a try"}}
    code, out, err = invoke(capsys, "run", write_suite(methods=[wild]), *TINY)
    assert (code, out) == (1, "")
    assert "wild seed 0: diverged: " in err
    assert [outcome.status for outcome in outcomes().values()] == ["diverged"]
