"""Folders of results that are read as one, and what is said of runs that are in several."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sobench.errors import RequestError
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Gathered, clashes_of, gather, run_folders
from sobench.runs.state import read_states
from sobench.runs.status import found_status
from sobench.suite.plan import plan
from tests.records import failed_record, record_of
from tests.runs.run_states import write_checkpoint
from tests.tiny_suite import tiny_suite

FPN, SSD = plan(tiny_suite(methods=["fpn", "ssd"]), "aaaa")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    return a, b


def test_a_single_folder_is_itself(folders: tuple[Path, Path]) -> None:
    a, _ = folders
    assert gather([a]) == a
    assert gather([a, a.parent / "b" / ".." / "a"]) == a


def test_one_of_several_folders_that_is_not_there_is_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(RequestError, match="nowhere: no such folder; leave it out"):
        gather([*folders, Path("nowhere")])


def test_runs_of_both_folders_are_found(folders: tuple[Path, Path]) -> None:
    a, b = folders
    record.write(record_of(FPN), FPN.folder(a))
    record.write(record_of(SSD), SSD.folder(b))
    both = gather(folders)
    assert run_folders(both) == [FPN.folder(a), SSD.folder(b)]
    assert run_folders(both, "tiny", "ssd") == [SSD.folder(b)]
    assert [state.name for state in read_states([FPN, SSD], both).values()] == ["done", "done"]
    assert clashes_of(both) == ()


def test_a_copy_is_no_clash(folders: tuple[Path, Path]) -> None:
    a, b = folders
    record.write(record_of(FPN), FPN.folder(a))
    shutil.copytree(a, b, dirs_exist_ok=True)
    both = gather([b, a])
    assert run_folders(both) == [FPN.folder(b)]
    assert clashes_of(both) == ()


def test_different_results_of_a_run_are_named_and_the_first_folder_counts(
    folders: tuple[Path, Path],
) -> None:
    a, b = folders
    record.write(record_of(FPN, 0.5), FPN.folder(a))
    record.write(record_of(FPN, 0.6, digests={"detections.json.gz": "1" * 64}), FPN.folder(b))
    for first, second in ((a, b), (b, a)):
        both = gather([first, second])
        assert clashes_of(both) == (
            f"tiny: fpn seed 0: different runs of the same settings in {FPN.folder(first)} and "
            f"{FPN.folder(second)}; the first counts, as --results names it first",
        )
        outcome = read_states([FPN], both)[FPN.settings_id].record
        assert outcome == record.read(FPN.folder(first))


def test_many_clashes_are_counted(folders: tuple[Path, Path]) -> None:
    runs = plan(tiny_suite(methods=["fpn"], seeds=list(range(7))), "aaaa")
    for run in runs:
        for folder, ap in zip(folders, (0.5, 0.6), strict=True):
            record.write(record_of(run, ap), run.folder(folder))
    *named, rest = clashes_of(gather(folders))
    assert len(named) == 4
    assert "different scores" in named[0]
    assert rest == "3 more runs with different results in several folders"


def test_a_result_counts_more_than_what_is_damaged_failed_or_half_done(
    folders: tuple[Path, Path],
) -> None:
    a, b = folders
    damaged, half_done = FPN.folder(a), SSD.folder(a)
    record.write(record_of(FPN), damaged)
    (damaged / "record.json").write_bytes(b"{")
    write_checkpoint(RunFolder(half_done))
    for run in (FPN, SSD):
        record.write(record_of(run), run.folder(b))
    both = gather(folders)
    assert isinstance(both, Gathered)
    assert run_folders(both) == [FPN.folder(b), SSD.folder(b)]
    assert clashes_of(both) == ()


def test_a_checkpoint_counts_more_than_a_failure(folders: tuple[Path, Path]) -> None:
    a, b = folders
    record.write(failed_record(FPN), FPN.folder(a))
    write_checkpoint(RunFolder(FPN.folder(b)))
    (status,) = found_status(gather(folders))
    assert (status.folder, status.name) == (FPN.folder(b), "resumable")
