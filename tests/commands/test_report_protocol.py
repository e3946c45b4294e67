"""``sobench report --protocol``: other numbers of the same detections, and nothing is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.small_suite import Capture
from tests.records import invoke, isolate
from tests.tiny_suite import write_tiny


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def files(folder: Path) -> dict[str, bytes]:
    """Everything but resamples and verdicts, which any report may keep."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path): path.read_bytes()
        for path in paths
        if not path.name.startswith(("bootstrap-", "verdict-"))
    }


def test_tables_by_other_protocols_come_behind_the_suites(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    path = write_tiny(Path(), methods=["fpn"], seeds=[0, 1])
    assert invoke(capsys, "run", path).code == 0
    before = files(Path("results"))
    arguments = ("report", path, "--protocol", "voc07,visdrone-official,tt100k,coco-small")
    code, out, err = invoke(capsys, *arguments)
    assert (code, err) == (0, "")
    places = [out.index(f"protocol: {name} v1") for name in
              ("coco", "voc07", "visdrone-official", "tt100k", "coco-small")]  # fmt: skip
    assert places == sorted(places)
    assert out.count("95 % intervals: over images and trainings") == 5
    assert ", sha256 of their ids " in out
    assert files(Path("results")) == before

    def no_more(*_: object) -> None:
        raise AssertionError("it was computed before")

    monkeypatch.setattr("sobench.runs.rescored.load_split", no_more)
    assert invoke(capsys, *arguments).out == out
    # Files of their own, so that none takes the place of the suite's.
    options = ("--format", "json,md", "--out", "tables")
    assert invoke(capsys, "report", path, "--protocol", "voc07", *options).code == 0
    names = sorted(file.name for file in Path("tables").iterdir())
    assert names == ["tiny.json", "tiny.md", "tiny.voc07.json", "tiny.voc07.md"]
    assert json.loads(Path("tables/tiny.voc07.json").read_text())["metrics"] == ["AP50", "AR50"]
    assert json.loads(Path("tables/tiny.json").read_text())["metrics"][0] == "AP"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "voc7"], "'voc7' is not a protocol; did you mean 'voc07'?"),
        (["--protocol", "coco"], "coco is the protocol of tiny, whose table comes anyway"),
        (["--protocol", "voc07", "--found"], "is for the leaderboard of one suite; leave --found"),
    ],
    ids=["unknown", "own", "found"],
)
def test_requests_that_are_refused(capsys: Capture, arguments: list[str], message: str) -> None:
    path = write_tiny(Path(), methods=["fpn"])
    code, _, err = invoke(capsys, "report", path, *arguments)
    assert code == 2
    assert message in err
