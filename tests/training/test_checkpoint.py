from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest
import torch

from sobench.errors import CheckpointError
from sobench.training import checkpoint
from sobench.training.checkpoint_files import checkpoint_path, list_checkpoints


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


def test_what_torch_cannot_load_is_passed_over(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    content = b"not by torch"
    path = checkpoint_path(tmp_path, 2, hashlib.sha256(content).hexdigest()[:16])
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path.name}: not a checkpoint"):
        checkpoint.load(path)
    assert _newest_step(tmp_path) == 1


def test_what_cannot_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    path = checkpoint.save(tmp_path, 2, {"step": 2})
    read = Path.read_bytes

    def failing(file: Path) -> bytes:
        if file == path:
            raise OSError(errno.EIO, "Input/output error")
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", failing)
    warnings: list[str] = []
    state = checkpoint.load_newest(tmp_path, warnings.append)
    assert state == {"step": 1}
    assert warnings == [f"{path}: cannot be read (Input/output error); passed over"]
    # It may be sound all the same, so an older one must not take its place.
    with pytest.raises(OSError, match="Input/output error"):
        checkpoint.keep_newest(tmp_path)
    assert path in list_checkpoints(tmp_path)


@pytest.mark.parametrize("digest", ["0" * 16, "f" * 16])
def test_the_damaged_one_of_a_step_goes_when_the_step_is_trained_again(
    tmp_path: Path, digest: str
) -> None:
    """Whatever its checksum sorts like, and one of a later step too."""
    first = checkpoint.save(tmp_path, 1, {"step": 1})
    for step in (2, 3):
        checkpoint_path(tmp_path, step, digest).write_bytes(b"damaged")
    sound = checkpoint.save(tmp_path, 2, {"step": 2})
    assert list_checkpoints(tmp_path) == [first, sound]


@pytest.mark.parametrize("digest", ["0" * 16, "f" * 16])
def test_the_sound_one_is_kept_at_the_end(tmp_path: Path, digest: str) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    sound = checkpoint.save(tmp_path, 2, {"step": 2})
    checkpoint_path(tmp_path, 2, digest).write_bytes(b"damaged")
    checkpoint_path(tmp_path, 3, digest).write_bytes(b"damaged")
    checkpoint.keep_newest(tmp_path)
    assert list_checkpoints(tmp_path) == [sound]


def test_without_a_sound_one_none_is_deleted(tmp_path: Path) -> None:
    paths = [checkpoint_path(tmp_path, step, "0" * 16) for step in (1, 2)]
    for path in paths:
        path.write_bytes(b"damaged")
    checkpoint.keep_newest(tmp_path)
    assert list_checkpoints(tmp_path) == paths


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    names = [
        "checkpoint-best.pt", "checkpoint-00000009-best.pt", "checkpoint-9-0123456789abcdef.pt",
        "checkpoint-00000009-0123456789ABCDEF.pt", "my-checkpoint-00000009-0123456789abcdef.pt",
        "checkpoint-٠٠٠٠٠٠٠٩-0123456789abcdef.pt",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "checkpoint-00000009-0123456789abcdef.pt").mkdir()
    before = set(tmp_path.iterdir())
    assert list_checkpoints(tmp_path) == []
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"step": step})
    assert _newest_step(tmp_path) == 3
    checkpoint.keep_newest(tmp_path)
    assert set(tmp_path.iterdir()) - before == set(list_checkpoints(tmp_path))
    assert before < set(tmp_path.iterdir())


def test_steps_of_nine_digits_come_after_those_of_eight(tmp_path: Path) -> None:
    for step in (99_999_999, 100_000_000):
        checkpoint.save(tmp_path, step, {"step": step})
    assert _newest_step(tmp_path) == 100_000_000


def _newest_step(folder: Path) -> int:
    state = checkpoint.load_newest(folder, _ignore)
    assert state is not None
    return int(state["step"])
