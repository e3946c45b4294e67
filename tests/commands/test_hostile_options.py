"""Options and arguments that somebody wrote to break what reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.small_suite import Capture, write_suite
from tests.records import invoke, isolate
from tests.suite.hostile_suites import BOMB, HOSTILE


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


ARGUMENTS: dict[str, list[str]] = {
    "aliases of aliases": ["--set", f"title={BOMB}"],
    "deep": ["--set", "title=" + "[" * 3000],
    "long value": ["--set", "title=" + "x" * 10**5],
    "long key": ["--set", "x" * 10**5 + "=1"],
    "no value": ["--set", "x" * 10**5],
    "many dots": ["--set", "schedule" + ".a" * 10**4 + "=1"],
    "dots alone": ["--set", "...=1"],
    "digits": ["--set", "schedule.epochs=" + "9" * 5000],
    "tag": ["--set", "title=!!python/object/apply:os.system [x]"],
    "date": ["--set", "seeds=2001-99-99"],
    "escape": ["--set", "title=\x1b[2J"],
    "written escape": ["--set", r'title="\e[2J"'],
    "half character": ["--set", "title=\udcff"],
    "key of escapes": ["--set", "\x1b[2J=1"],
    "seed of 2^31": ["--seeds", str(2**31)],
    "seed of 10^23": ["--seeds", str(10**23)],
    "seed of 5000 digits": ["--seeds", "9" * 5000],
    "many seeds": ["--seeds", ",".join(map(str, range(1001)))],
    "seed of escapes": ["--seeds", "\x1b[2J"],
    "methods of escapes": ["--methods", "\x1b[2J,\u202e"],
    "long method": ["--methods", "x" * 10**5],
    "epochs of 10^23": ["--epochs", str(10**23)],
    "epochs of 5000 digits": ["--epochs", "9" * 5000],
    "limit of 10^23": ["--limit", str(10**23)],
    "limit of escapes": ["--limit", "\x1b[2J"],
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_refused(capsys: Capture, case: str) -> None:
    code, out, err = invoke(capsys, "plan", write_suite(), *ARGUMENTS[case])
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "internal error" not in err
    assert err.replace("\n", "").isprintable()
    assert len(err) <= 2001
    assert len(err.splitlines()) <= 5  # click adds how the command is used


@pytest.mark.parametrize("case", sorted(HOSTILE)[::6])
def test_suites(capsys: Capture, case: str) -> None:
    Path("hostile.yaml").write_text(HOSTILE[case][0])
    code, out, err = invoke(capsys, "report", "hostile.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: hostile.yaml: ")
    assert err.replace("\n", "").isprintable()
    assert len(err.splitlines()) <= 2
