"""A result that is not as it was written breaks no command: it is named and left out, or redone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from sobench.data.fingerprint import fingerprint
from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, write_suite
from tests.records import failed_record, invoke, isolate, record_of
from tests.runs.run_states import done, the_run

DAMAGED = "damaged: its content does not fit its digest"


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


# Each damages the record of a finished run.


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def junk(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def other_json(path: Path) -> None:
    path.write_text('["a", {"b": 1}]')


def future(path: Path) -> None:
    content = json.loads(path.read_bytes()) | {"schema_version": 99, "new": {"things": []}}
    content.pop("digest")
    body = json.dumps(content).encode().removeprefix(b"{")
    path.write_bytes(b'{\n "digest": "%s",%s' % (sha256(body).hexdigest().encode(), body))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def copied(path: Path) -> None:
    """The record of another seed, copied under this run's name."""
    suite = load(Path("small.yaml"))
    (other,) = plan(suite, fingerprint(suite.dataset), seeds=[7])
    record.write(record_of(other), other.folder(Path("results")))
    shutil.move(other.folder(Path("results")) / "record.json", path)
    other.folder(Path("results")).rmdir()


def gone(path: Path) -> None:
    path.unlink()


def failed(path: Path) -> None:
    run, _ = the_run(Path("small.yaml"))
    record.write(failed_record(run, "failed", "out of memory"), path.parent)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    # name: (what damages the record, words by which it is named)
    "truncated": (truncated, DAMAGED),
    "empty": (empty, DAMAGED),
    "binary junk": (junk, DAMAGED),
    "other JSON": (other_json, DAMAGED),
    "a later version": (future, "schema_version: 99, and this sobench reads"),
    "a folder in its place": (folder, "the record cannot be read (Is a directory)"),
    "of another run": (copied, "is that of another run, small/fpn/s7-"),
    "gone": (gone, ""),
    "failed": (failed, "out of memory"),
}


def damaged_run(name: str) -> tuple[Path, Path, str]:
    """A suite with one finished run, the record of which is damaged; and the words for it."""
    suite = write_suite(methods=["fpn"])
    run, files = the_run(suite)
    done(run, files)
    damage, words = DAMAGES[name]
    damage(files.record)
    return suite, files.record, words


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("command", ["plan", "status", "status of all"])
def test_what_looks_names_it_and_changes_nothing(capsys: Capture, command: str, name: str) -> None:
    suite, _, words = damaged_run(name)
    before = sorted(Path("results").rglob("*"))
    arguments = ["status"] if command == "status of all" else [command, suite]
    code, out, err = invoke(capsys, *arguments)
    assert (code, err) == (0, "")
    assert words in out
    assert "done" not in out.replace("not done", "")
    assert sorted(Path("results").rglob("*")) == before


@pytest.mark.parametrize("name", DAMAGES)
def test_a_report_leaves_it_out(capsys: Capture, name: str) -> None:
    suite, _, words = damaged_run(name)
    code, out, err = invoke(capsys, "report", suite)
    assert (code, out) == (4, "")
    assert words in err
    assert len(err.splitlines()) <= 2
    # Beside a whole one it is named under the table.
    suite = write_suite(methods=["fpn", "ssd"])
    other = plan(load(suite), fingerprint(load(suite).dataset))[1]
    record.write(record_of(other), other.folder(Path("results")))
    code, out, err = invoke(capsys, "report", suite)
    assert (code, err) == (0, "")
    assert words in out
    assert "ssd" in out


@pytest.mark.parametrize("name", [name for name in DAMAGES if DAMAGES[name][0] is not folder])
def test_a_run_makes_it_anew(capsys: Capture, name: str) -> None:
    suite, path, _ = damaged_run(name)
    for checkpoint in path.parent.glob("checkpoint-*"):  # of a training that never was
        checkpoint.unlink()
    code, out, err = invoke(capsys, "run", suite, "--checkpoint-seconds", "0")
    assert code == 0, err
    assert "Traceback" not in err
    assert record.read(path.parent) is not None
    assert "fpn" in out


def test_a_folder_in_its_place_is_told_before_the_training(capsys: Capture) -> None:
    suite, path, _ = damaged_run("a folder in its place")
    for checkpoint in path.parent.glob("checkpoint-*"):
        checkpoint.unlink()
    code, out, err = invoke(capsys, "run", suite)
    assert (code, out) == (1, "")
    assert f"failed: {path}: is a folder, not a record; move it away" in err
    assert "epoch" not in err
    assert (path / "file").exists()


@pytest.mark.parametrize("command", ["plan", "status", "report", "run"])
def test_a_file_in_place_of_the_folder_of_a_run(capsys: Capture, command: str) -> None:
    suite, path, _ = damaged_run("gone")
    shutil.rmtree(path.parent)
    path.parent.write_text("not a folder")
    code, out, err = invoke(capsys, command, suite)
    assert code == {"plan": 0, "status": 0, "report": 4, "run": 1}[command]
    # Which run the file stands in the way of is known only with the data.
    assert ("Not a directory" in out + err) is (command in ("plan", "run"))
    assert "Traceback" not in err
    assert path.parent.read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
@pytest.mark.parametrize("command", ["plan", "status", "report"])
def test_a_folder_that_may_not_be_entered(capsys: Capture, command: str) -> None:
    suite, path, _ = damaged_run("gone")
    path.parent.chmod(0)
    try:
        code, out, err = invoke(capsys, command, suite)
    finally:
        path.parent.chmod(0o755)
    assert code == (4 if command == "report" else 0)
    assert "Permission denied" in out + err
