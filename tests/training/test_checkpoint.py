from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sobench.errors import CheckpointError
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints


def _ignore(message: str) -> None:
    del message


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"model": {"w": torch.arange(4.0)}, "step": 3, "text": "x", "rows": [1.5, None]}
    path = checkpoint.save(tmp_path, 3, state)
    back = checkpoint.load(path)
    assert torch.equal(back["model"]["w"], torch.arange(4.0))
    assert (back["step"], back["text"], back["rows"]) == (3, "x", [1.5, None])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_two_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    for step in (1, 2, 9, 10):
        checkpoint.save(tmp_path, step, {"step": step})
    assert [path.name[:19] for path in list_checkpoints(tmp_path)] == [
        "checkpoint-00000009",
        "checkpoint-00000010",
    ]
    content = checkpoint.load_newest(tmp_path, _ignore)
    assert content is not None
    assert content["step"] == 10


@pytest.mark.parametrize("harm", ["truncate", "flip", "empty"])
def test_a_damaged_file_is_noticed_and_the_one_before_is_taken(tmp_path: Path, harm: str) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1, "w": torch.ones(100)})
    path = checkpoint.save(tmp_path, 2, {"step": 2, "w": torch.ones(100)})
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes({"truncate": content[:-100], "flip": content, "empty": b""}[harm]))
    warnings: list[str] = []
    state = checkpoint.load_newest(tmp_path, warnings.append)
    assert state is not None
    assert state["step"] == 1
    assert len(warnings) == 1
    assert path.name in warnings[0]
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


def test_nothing_sound_is_nothing(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path, _ignore) is None
    (tmp_path / "checkpoint-00000001-0123456789abcdef.pt").write_bytes(b"junk")
    warnings: list[str] = []
    assert checkpoint.load_newest(tmp_path, warnings.append) is None
    assert len(warnings) == 1


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("never",)

    path = checkpoint.save(tmp_path, 1, {"evil": Evil()})
    with pytest.raises(Exception, match=r"(?i)weights.only|unsupported"):
        checkpoint.load(path)
