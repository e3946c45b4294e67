"""What no run needs any more is deleted, and nothing else."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sobench.data.cache import cache_lock
from sobench.data.cache_folder import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.locks import locked
from sobench.runs.folder import RunFolder
from sobench.suite.plan import plan, with_required
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, write_suite
from tests.records import invoke, isolate
from tests.runs.run_states import done, failed, resumable, write_outcome

KEPT = {
    "run.json",
    "log.jsonl",
    "detections.json.gz",
    "record.json",
    "matches-coco-v1.npz",
    ".lock",
}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def checkpoint(folder: RunFolder, step: int, content: bytes = b"weights") -> Path:
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder.path / f"checkpoint-{step:08d}-{digest}.pt"
    path.write_bytes(content)
    return path


def finished(*methods: Any, unfinished: str = "") -> dict[str, RunFolder]:
    """A suite whose runs are done but for one, and their folders by label."""
    suite = load(write_suite(methods=list(methods)))
    folders = {}
    for run in with_required(plan(suite, fingerprint(suite.dataset))):
        folder = RunFolder.of(run, Path("results"))
        folders[run.entry.label] = folder
        if run.entry.label == unfinished:
            resumable(run, folder)
            continue
        done(run, folder)
        for path in folder.path.glob("checkpoint-*"):
            path.unlink()
        checkpoint(folder, 2)
        write_outcome(run, folder)
    return folders


def names(folder: RunFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def prune(capsys: Capture, *arguments: str | Path) -> tuple[str, str]:
    code, out, err = invoke(capsys, "prune", *arguments)
    assert code == 0, err
    return out, err


def test_only_what_is_left_over_is_deleted(capsys: Capture) -> None:
    (folder,) = finished("fpn").values()
    weights = checkpoint(folder, 2)
    checkpoint(folder, 1, b"earlier")
    for name in ("error.txt", "bootstrap-coco-v1.npz", ".record.json.host.1.0123abcd.tmp", "mine"):
        (folder.path / name).write_text("12345")
    before = names(folder)
    out, _ = prune(capsys, "--dry-run")
    assert "Can be deleted: 22 bytes" in out
    assert f"{folder.path / 'error.txt'} (5 bytes)" in out
    assert names(folder) == before
    out, err = prune(capsys, "--yes")
    assert (out.splitlines()[-1], err) == ("deleted 4 files: 22 bytes freed", "")
    assert names(folder) == {*KEPT, weights.name, "mine"}
    assert prune(capsys, "--yes") == ("nothing to delete\n", "")


def test_a_damaged_last_checkpoint_keeps_the_one_before(capsys: Capture) -> None:
    (folder,) = finished("fpn").values()
    checkpoint(folder, 1, b"earlier")
    checkpoint(folder, 2).write_bytes(b"damaged")
    assert prune(capsys, "--yes") == ("nothing to delete\n", "")


@pytest.mark.parametrize("write", [resumable, failed])
def test_what_an_unfinished_run_goes_on_from_stays(capsys: Capture, write: Any) -> None:
    path = write_suite(methods=["fpn"])
    (run,) = plan(load(path), fingerprint(load(path).dataset))
    folder = RunFolder.of(run, Path("results"))
    write(run, folder)
    folder.error.write_text("Traceback")
    before = names(folder)
    for arguments in ((), (path,), (path, "--weights")):
        assert prune(capsys, *arguments, "--yes") == ("nothing to delete\n", "")
    assert names(folder) == before


def test_a_damaged_record_keeps_everything(capsys: Capture) -> None:
    (folder,) = finished("fpn").values()
    folder.record.write_text("{}")
    checkpoint(folder, 1, b"earlier")
    assert prune(capsys, "small.yaml", "--weights", "--yes") == ("nothing to delete\n", "")


def test_a_run_that_a_process_holds_is_passed_over(capsys: Capture) -> None:
    (folder,) = finished("fpn").values()
    folder.error.write_text("Traceback")
    with locked(folder.path):
        out, err = prune(capsys, "--yes")
    assert out == "nothing to delete\n"
    assert err == f"note: {folder.path}: a process holds this run; nothing in it is deleted\n"
    assert folder.error.exists()


def test_weights_are_asked_for_by_suite(capsys: Capture) -> None:
    folders = finished("fpn", "ssd")
    code, out, err = invoke(capsys, "prune", "--weights")
    assert (code, out) == (2, "")
    assert err.startswith("error: --weights: name the suites")
    out, _ = prune(capsys, "small.yaml", "--weights", "--yes")
    assert "need them trained again, which took 3:00 in all" in out
    assert [names(folder) for folder in folders.values()] == [KEPT, KEPT]
    # The results still count.
    assert invoke(capsys, "plan", "small.yaml").out.count(" done ") == 2


def test_weights_of_a_teacher_stay_until_the_student_is_done(capsys: Capture) -> None:
    folders = finished("zoominnet", "ssd", unfinished="zoominnet")
    (teacher,) = (folder for label, folder in folders.items() if label.startswith("fpn"))
    prune(capsys, "small.yaml", "--weights", "--yes")
    assert names(folders["ssd"]) == KEPT
    assert teacher.last_step() == 2
    assert folders["zoominnet"].last_step() == 1


def cached(name: str, days: float) -> Path:
    path = cache_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pixels")
    then = time.time() - 86400 * days
    os.utime(path, (then, then))
    return path


def test_old_caches(capsys: Capture) -> None:
    old, new = cached("val-0.images", 31), cached("val-1.images", 29)
    dead = cached(".val-2.images.host.1.0123abcd.tmp", 40)
    other = cached("hashes.json", 100)
    out, _ = prune(capsys, "--yes")
    assert "the next run on these images decodes and resizes them again" in out
    assert [path.exists() for path in (old, new, dead, other)] == [False, True, False, True]
    held = cached(".val-1.images.host.1.0123abcd.tmp", 1)
    with cache_lock("val-1.images"):
        out, err = prune(capsys, "--yes", "--older-than", "0")
    assert "deleted 0 files" in out
    assert err.count("a process holds its folder; it stays") == 2
    assert held.exists()


def test_old_files_that_reports_have_kept(capsys: Capture) -> None:
    names = ("ranks/0.kept", "verdicts/0123/smoke/verdict-coco-v1-ab.kept", "bootstrap/0.npz")
    old = [cached(name, 31) for name in names]
    new = cached("ranks/1.kept", 29)
    out, _ = prune(capsys, "--yes")
    assert "the next report on the same results computes them again" in out
    assert "deleted 3 files" in out
    assert new.exists()
    assert not any(path.exists() for path in old)


def test_results_below_the_cache_folder_are_no_part_of_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(Path.cwd()))
    (folder,) = finished("fpn").values()
    folder.error.write_text("Traceback")
    verdict = folder.path.parent / "verdict-coco-v1-ab.kept"
    verdict.write_text("{}")
    with folder.lock():
        out, err = prune(capsys, "--yes", "--older-than", "0")
        assert "a process holds this run; nothing in it is deleted" in err
    assert folder.error.exists()

    def held(*_: object, **__: object) -> None:
        lock.__enter__()

    lock = folder.lock()
    monkeypatch.setattr("sobench.commands.prune.print_removable", held)
    out, err = prune(capsys, "--yes", "--older-than", "0")
    lock.__exit__(None, None, None)
    assert out == "deleted 0 files: 0 bytes freed\n"
    assert "a process holds its folder; it stays" in err
    assert folder.error.exists()
    assert verdict.exists()


@pytest.mark.parametrize(("answer", "stays"), [("y", False), ("n", True)])
def test_it_asks(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: str, stays: bool
) -> None:
    (folder,) = finished("fpn").values()
    folder.error.write_text("Traceback")
    code, _, err = invoke(capsys, "prune")
    assert code == 2
    assert err == "error: nobody to ask; add --yes to delete, or --dry-run to look\n"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)
    prune(capsys)
    assert folder.error.exists() is stays


def test_a_file_that_was_changed_meanwhile_stays(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = finished("fpn").values()
    folder.error.write_text("Traceback")

    def changes(*_: object, **__: object) -> None:
        folder.error.write_text("another Traceback")

    monkeypatch.setattr("sobench.commands.prune.print_removable", changes)
    out, err = prune(capsys, "--yes")
    assert out == "deleted 0 files: 0 bytes freed\n"
    assert err == f"note: {folder.error}: has changed meanwhile; it stays\n"
