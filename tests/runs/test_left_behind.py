"""What killed or failing processes left in the folders of finished runs."""

from __future__ import annotations

from pathlib import Path

from tests.runs.matrices import STUDENT, matrix, small


def test_the_next_run_tidies_up_also_where_nothing_is_due(tmp_path: Path) -> None:
    suite = small(STUDENT)
    matrix(suite, tmp_path)
    folders = sorted(path.parent for path in tmp_path.glob("*/*/*/record.json"))
    assert [folder.parent.name for folder in folders] == ["fpn", "zoominnet"]
    before = [sorted(folder.iterdir()) for folder in folders]
    for folder in folders:
        (folder / "error.txt").write_text("an old failure")
        (folder / f"checkpoint-00000001-{'a' * 16}.pt").write_bytes(b"an old checkpoint")
    recorder, _ = matrix(suite, tmp_path)
    assert recorder.trained == []
    assert recorder.order == ["student"]  # the teacher was not asked for
    assert [sorted(folder.iterdir()) for folder in folders] == before
