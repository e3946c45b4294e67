"""Several folders of results, read as one; needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sobench.errors import RequestError
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record

_SHOWN = 4
"""Clashes that are told one by one; the others are counted."""


@dataclass(frozen=True)
class Gathered:
    """Folders of results that are read as one.

    Attributes:
        folders: of all results, in the order in which they were given.
        places: place of a run in such a folder, as ``suite/method/run`` -> its folder. Of a run
            that lies in several, that with a result counts, then that of a run at work or with a
            checkpoint, then the first one given.
        clashes: runs with different results in several folders, line by line.
    """

    folders: tuple[Path, ...]
    places: Mapping[str, Path]
    clashes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.folders))

    @cached_property
    def by_method(self) -> Mapping[tuple[str, str], list[Path]]:
        """The folders of runs by suite and method, sorted by their places."""
        found: dict[tuple[str, str], list[Path]] = {}
        for _, path in sorted(self.places.items()):
            found.setdefault((path.parts[-3], path.parts[-2]), []).append(path)
        return found


Results = Path | Gathered
"""A folder of all results, or several read as one."""


def gather(folders: Sequence[Path]) -> Results:
    """Read these folders as one; a single one is itself.

    Raises:
        RequestError: one of several is not there.
    """
    distinct = list({folder.resolve(): folder for folder in reversed(folders)}.values())[::-1]
    if len(distinct) == 1:
        return distinct[0]
    found: dict[str, list[Path]] = {}
    for folder in distinct:
        if not folder.is_dir():
            raise RequestError(f"--results {folder}: no such folder; leave it out")
        for path in _run_folders(folder):
            found.setdefault("/".join(path.parts[-3:]), []).append(path)
    places, clashes = {}, []
    for place, paths in found.items():
        places[place] = paths[0]
        if len(paths) > 1:
            places[place], clash = _choose(paths)
            clashes += [clash] if clash else []
    told = clashes[:_SHOWN]
    if rest := len(clashes) - len(told):
        told.append(f"{rest} more runs with different results in several folders")
    return Gathered(tuple(distinct), places, tuple(told))


def folders_of(results: Results) -> tuple[Path, ...]:
    """The folders of all results, the first one given first."""
    return results.folders if isinstance(results, Gathered) else (results,)


def exist(results: Results) -> bool:
    """Whether the folder, or one of them, is there."""
    return any(folder.is_dir() for folder in folders_of(results))


def clashes_of(results: Results) -> tuple[str, ...]:
    """What must be said of results that are gathered."""
    return results.clashes if isinstance(results, Gathered) else ()


def place_of(results: Results, place: Path) -> Path:
    """The folder of a run by its place ``suite/method/run``; need not exist."""
    if isinstance(results, Path):
        return results / place
    return results.places.get(place.as_posix(), results.folders[0] / place)


def run_folders(results: Results, suite: str = "*", method: str = "*") -> list[Path]:
    """Folders of runs, of one suite and method or of all, sorted by their places.

    What may not be entered has none.
    """
    if isinstance(results, Path):
        return sorted(_run_folders(results, suite, method))
    return [
        path
        for (of_suite, of_method), paths in results.by_method.items()
        if suite in ("*", of_suite) and method in ("*", of_method)
        for path in paths
    ]


def _run_folders(results: Path, suite: str = "*", method: str = "*") -> Iterator[Path]:
    # Path.is_dir raises where a folder may not be entered.
    found = results.glob(f"{suite}/{method}/s*-*")
    return (path for path in found if os.path.isdir(path))  # noqa: PTH112


def _choose(paths: Sequence[Path]) -> tuple[Path, str]:
    """Which of several folders of a run counts, and a line where that is open to doubt."""
    outcomes = {path: record.read_sound(path) for path in paths}
    chosen = max(paths, key=lambda path: _worth(path, outcomes[path]))
    results = {path: outcome for path, outcome in outcomes.items() if outcome and outcome.scores}
    counted = results.pop(chosen, None)
    if counted is None or all(_same(counted, other) for other in results.values()):
        return chosen, ""
    others = [path for path, other in results.items() if not _same(counted, other)]
    what = "scores" if all(results[path].digests == counted.digests for path in others) else "runs"
    told = " and ".join(map(str, others))
    return chosen, (
        f"{counted.suite}: {counted.label} seed {counted.seed}: different {what} of the same "
        f"settings in {chosen} and {told}; the first counts, as --results names it first"
    )


def _worth(path: Path, outcome: Record | None) -> int:
    """How far a run has come; of equal ones ``max`` takes the first."""
    if outcome is not None and outcome.scores:
        return 3
    try:
        folder = RunFolder(path)
        if folder.is_locked():
            return 2
        return int(folder.last_step() is not None)
    except OSError:
        return -1


def _same(one: Record, other: Record) -> bool:
    """Whether two records hold the same results; a copy may lie beside other files."""
    return (one.scores, one.sizes, one.digests) == (other.scores, other.sizes, other.digests)
