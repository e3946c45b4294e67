"""Names that somebody chose to confuse a terminal, in every display that shows them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sobench.report.listing import print_list
from sobench.report.progress import MatrixProgress
from sobench.report.terminal import PlainConsole
from sobench.training.progress import TrainProgress
from tests.records import invoke, isolate
from tests.tiny_suite import tiny_run, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_a_label_is_no_markup_in_progress() -> None:
    target = io.StringIO()
    run = tiny_run(methods=[{"name": "fpn", "label": "[/x] [red]"}])
    console = PlainConsole(file=target, width=200, force_terminal=True, color_system=None)
    with MatrixProgress(console) as progress:
        progress.on_run_start(run, 1, 1)
        progress.on_stage("read [/y]")
        progress.bars.refresh()
        progress.warn("no [/z] \x1b]0;title")
        progress.on_step(
            TrainProgress(
                stage="[/s]",
                epoch=1,
                epochs=1,
                step=1,
                steps=2,
                images_s=1.0,
                lr=0.1,
                losses={"[/l]": 1.0},
            )
        )
        progress.bars.refresh()
    for words in ("[/x] [red] seed 0: read [/y]", r"no [/z] \x1b]0;title", "[/l] 1.000"):
        assert words in target.getvalue()
    assert "\x1b]" not in target.getvalue()


def test_doctor_shows_variables_as_text(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_DATA", "/data/[/x]\x1b[2J")
    code, out, err = invoke(capsys, "doctor")
    assert (code, err) == (0, "")
    assert r"look SOBENCH_DATA: /data/[/x]\x1b[2J" in out
    assert "\x1b" not in out


def test_broken_suites_hide_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "suites"
    folder.mkdir()
    write_tiny(folder, title="My [/x] things")
    broken: dict[str, str | bytes] = {
        "long": "x" * 10**5 + ": 1",
        "deep": "[" * 3000,
        "bomb": "a: &a [x, x]\nb: &b " + "[" + "*a, " * 30_000 + "]",
        "bytes": b"\xff\x00",
        "esc\x1b[2J": "title: [",
    }
    for name, content in broken.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.yaml").write_bytes(data)
    (folder / "folder.yaml").mkdir()
    target = io.StringIO()
    print_list("suites", PlainConsole(file=target, width=1000, force_terminal=False))
    text = target.getvalue()
    assert "My [/x] things" in text
    assert "\x1b" not in text
    for name in ("long", "deep", "bomb", "bytes", r"esc\x1b[2J", "folder"):
        (line,) = (line for line in text.splitlines() if f"suites/{name}.yaml" in line)
        assert "line 1" in line or "line 2" in line or "cannot be read" in line
