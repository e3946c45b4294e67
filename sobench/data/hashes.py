"""Digests of the files of a dataset: each file is hashed once, and then remembered by its times.

A digest is remembered in the cache folder, in one file for each dataset section and root. It is
believed as long as the file has the same size, modification time, change time and inode; whoever
changes the content of a file changes its change time, which no program can set back.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from sobench.data.cache import remember
from sobench.data.cache_folder import cache_folder
from sobench.errors import DataError
from sobench.files import read_sealed
from sobench.regular_files import open_regular
from sobench.suite.datasets import FileData

_THREADS = 8  # more than processors, because a network's answers are waited for
_SETTLED_NS = 2_000_000_000
"""A younger file may change again within one tick of its file system's clock, unseen."""


class NewFiles(Exception):  # noqa: N818
    """More new files would have to be hashed than the caller wants to wait for.

    Attributes:
        count, size: of these files, and their bytes.
    """

    def __init__(self, count: int, size: int) -> None:
        super().__init__(f"{count} files of {size} bytes are not hashed yet")
        self.count, self.size = count, size


_believed: dict[Path, _FileDigest] = {}
"""What this process has hashed or was told to trust, though its memory may not be kept."""


class _FileDigest(NamedTuple):
    """The digest of a file's content, and what the file looked like when it was taken."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: str

    def is_of(self, state: os.stat_result) -> bool:
        """Whether the file is still the one that was hashed."""
        return self[:4] == _look(state)

    def is_of_copy(self, state: os.stat_result) -> bool:
        """Whether size and time agree; to the second, since not every copy keeps fractions."""
        seconds = self.mtime_ns // 10**9, state.st_mtime_ns // 10**9
        return self.size == state.st_size and seconds[0] == seconds[1]


def memory_file(spec: FileData, root: Path) -> Path:
    """Where the digests of a dataset's files are remembered."""
    place = hashlib.sha256(os.path.abspath(root).encode(errors="surrogateescape"))  # noqa: PTH100
    return cache_folder() / f"{_stem(spec)}-{place.hexdigest()[:8]}.json"


def file_digests(
    paths: Iterable[Path],
    spec: FileData,
    root: Path,
    *,
    trust_mtime: bool = False,
    on_files: Callable[[int, int], None] | None = None,
    most: tuple[int, int] | None = None,
) -> dict[Path, str]:
    """SHA-256 of the content of files, as hexadecimal digits; equal content has equal digests.

    Args:
        paths: regular files; links are followed.
        spec: the ``dataset`` section that the files belong to.
        root: the folder of the dataset.
        trust_mtime: believe a remembered digest if size and modification time agree, also that of
            a copy of the dataset in another folder.
        on_files: called with the number of files hashed and of all that need to be hashed.
        most: the number and the bytes of new files that may be hashed; without it, any.

    Raises:
        DataError: a file is missing, cannot be read or is not a regular file.
        NewFiles: more would have to be hashed than ``most`` allows.
    """
    names = {path: relative_name(path, root) for path in paths}
    states = {path: _state(path) for path in names}
    memory = memory_file(spec, root)
    remembered = _read(memory)
    digests: dict[Path, str] = {}
    for path, name in names.items():
        for known in (_believed.get(path), remembered.get(name)):
            if known is not None and known.is_of(states[path]):
                digests[path] = known.digest
                break
    if trust_mtime:
        by_name = {name: states[path] for path, name in names.items()}
        trusted = _trusted(by_name, [remembered, *_copies(spec, memory)])
        for path in [path for path in names if path not in digests and names[path] in trusted]:
            digests[path] = trusted[names[path]]
            _believed[path] = _FileDigest(*_look(states[path]), digests[path])
    unknown = [path for path in names if path not in digests]
    if most is not None:
        size = sum(states[path].st_size for path in unknown)
        if len(unknown) > most[0] or size > most[1]:
            raise NewFiles(len(unknown), size)
    settled: dict[str, _FileDigest] = {}
    began = time.time_ns()
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for done, (path, hashed) in enumerate(zip(unknown, pool.map(_hash, unknown)), start=1):  # noqa: B905
            digests[path] = hashed.digest
            if began - hashed.ctime_ns > _SETTLED_NS:
                settled[names[path]] = _believed[path] = hashed
            if on_files is not None:
                on_files(done, len(unknown))
    finally:
        # Also after an interruption: what is hashed need not be hashed again.
        pool.shutdown(cancel_futures=True)
        if settled:
            _write(memory, {**remembered, **settled})
    return digests


def _trusted(
    states: Mapping[str, os.stat_result], memories: Iterable[Mapping[str, _FileDigest]]
) -> dict[str, str]:
    """Name -> digest, from the first memory that contradicts no file in size or time."""
    # The whole must agree: single files of two datasets may well have one name, size and time.
    for memory in memories:
        common = memory.keys() & states.keys()
        if common and all(memory[name].is_of_copy(states[name]) for name in common):
            return {name: memory[name].digest for name in common}
    return {}


def _copies(spec: FileData, memory: Path) -> Iterable[dict[str, _FileDigest]]:
    """What is remembered of the same dataset section in other folders."""
    others = sorted(cache_folder().glob(f"{_stem(spec)}-*.json"))
    return (_read(other) for other in others if other != memory)


def _stem(spec: FileData) -> str:
    section = json.dumps(spec.model_dump(mode="json", exclude={"root"}), sort_keys=True)
    return f"digests-{spec.format}-{hashlib.sha256(section.encode()).hexdigest()[:8]}"


def relative_name(path: Path, root: Path) -> str:
    """The path of a file from the folder of its dataset, however the dataset has been moved."""
    # A plain prefix first: relpath alone takes longer than reading thousands of small files.
    name = str(path).removeprefix(f"{root}/")
    return os.path.relpath(path, root) if name.startswith("/") else name


def _look(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _state(path: Path) -> os.stat_result:
    try:
        state = os.stat(path)  # noqa: PTH116 - twice as fast for thousands of files
    except (OSError, ValueError) as error:  # a name may hold a zero byte
        raise _unreadable(path, error) from None
    # A pipe or a device may never end.
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path}: is not a regular file; replace it or remove it")
    return state


def _hash(path: Path) -> _FileDigest:
    try:
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256")
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(path, error) from None
    if _look(before) != _look(after):
        raise DataError(f"{path}: changed while it was read; run this again when it is complete")
    return _FileDigest(*_look(before), digest.hexdigest())


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    return DataError(
        f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); "
        "put it back or correct the dataset's root and split"
    )


def _read(memory: Path) -> dict[str, _FileDigest]:
    """Name -> digest; nothing if the file is missing or damaged, so that all is hashed anew."""
    try:
        content = json.loads(read_sealed(memory) or b"{}")
        return {name: _FileDigest(*entry) for name, entry in content.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _write(memory: Path, entries: Mapping[str, _FileDigest]) -> None:
    remember(memory, json.dumps(entries).encode())
