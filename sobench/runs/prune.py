"""What can be deleted of results and caches, and what each deletion costs; needs no torch.

Records, detections, matches, logs and settings always stay, and so does whatever a run that is not
done goes on from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sobench.data.cache import cache_lock
from sobench.data.cache_folder import cache_folder
from sobench.errors import RunLocked
from sobench.files import temporary_files
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.search import choose_data, folder_of, search
from sobench.runs.state import read_states
from sobench.suite.plan import Run, with_required
from sobench.training.checkpoint_files import is_sound, list_checkpoints

HALF_WRITTEN = "half-written files of processes that have ended"
OLDER = "older checkpoints of finished runs"
TRACEBACKS = "tracebacks of failures before a run was finished"
RESAMPLES = "metrics of resamples"
CACHES = "image caches"
KEPT = "verdicts, ranks and resamples in the cache folder"
WEIGHTS = "weights of finished runs"

KINDS = {
    HALF_WRITTEN: "nothing is lost",
    OLDER: "nothing is lost; the weights of the last step stay",
    TRACEBACKS: "nothing is lost",
    RESAMPLES: "the next report computes them again, in seconds for each run",
    CACHES: "the next run on these images decodes and resizes them again",
    KEPT: "the next report on the same results computes them again",
    WEIGHTS: "`predict`, `export` and whatever a suite comes to ask of these runs, such as a "
    "further test, a teacher or `init_from`, need them trained again",
}
"""Kind of a file -> what is lost with it."""


@dataclass(frozen=True)
class Removable:
    """A file that can be deleted.

    Attributes:
        kind: key of ``KINDS``.
        size: bytes.
        train_s: seconds of the training that it would take to make it again, if they are known.
    """

    path: Path
    kind: str
    size: int
    train_s: float = 0.0


def removable_in(folder: Path, with_weights: bool) -> list[Removable]:
    """What can be deleted in a run's folder, as its files are now.

    Args:
        with_weights: whether the weights of the run, if it is finished, are not needed either.

    Raises:
        OSError: it may not be entered.
    """
    files = [(HALF_WRITTEN, path) for path in temporary_files(folder)]
    outcome = record.read_sound(folder)
    train_s = 0.0
    if outcome is not None and outcome.scores:
        run = RunFolder(folder)
        weights = run.checkpoints_of(outcome.last_step)
        others = [path for path in list_checkpoints(folder) if path not in weights]
        # A damaged last one would be made again from the one before.
        if others and any(map(is_sound, weights)):
            files += [(OLDER, path) for path in others]
        files += [(TRACEBACKS, run.error)] if run.error.exists() else []
        files += [(RESAMPLES, path) for path in sorted(folder.glob("bootstrap-*.npz"))]
        if with_weights:
            files += [(WEIGHTS, path) for path in weights]
            train_s = (outcome.cost.train_s if outcome.cost else None) or 0.0
    return [
        Removable(path, kind, path.stat().st_size, train_s if kind == WEIGHTS else 0.0)
        for kind, path in files
    ]


def removable(
    folders: Sequence[Path], unneeded: Collection[Path], note: Callable[[str], None]
) -> Iterator[Removable]:
    """What can be deleted in the folders of runs; those that a process holds are passed over.

    Args:
        unneeded: folders of runs whose weights are not needed either.
        note: told of every folder that is passed over.
    """
    for folder in folders:
        try:
            if RunFolder(folder).is_locked():
                note(f"{folder}: a process holds this run; nothing in it is deleted")
                continue
            yield from removable_in(folder, folder in unneeded)
        except OSError as error:
            note(f"{folder}: {error.strerror or error}; nothing in it is deleted")


def unneeded_weights(runs: Sequence[Run], results: Path) -> set[Path]:
    """Folders of the runs of a plan that are done, and that no run that is not done requires.

    Raises:
        RequestError: several states of the data have the same number of results.
    """
    every_run = with_required(runs)
    data = choose_data(search(every_run, results)).data
    states = read_states(every_run, results, data)
    needed: set[str] = set()

    def keep(run: Run) -> None:
        for _, required in run.requires:
            needed.add(required.settings_id)
            keep(required)

    for run in every_run:
        if states[run.settings_id].name != "done":
            keep(run)
    return {
        folder_of(run, results, data)
        for run in every_run
        if states[run.settings_id].name == "done" and run.settings_id not in needed
    }


def removable_caches(now: float, days: float) -> list[Removable]:
    """What of the cache folder was neither read nor written for so many days.

    These are image caches, half-written ones, and what reports have kept there.
    """
    folder = cache_folder()
    found = [(HALF_WRITTEN, path) for path in temporary_files(folder)]
    found += [(CACHES, path) for path in sorted(folder.glob("*.images"))]
    for pattern in ("verdicts/*/*/*.kept", "ranks/*.kept", "bootstrap/*.npz"):
        found += [(KEPT, path) for path in sorted(folder.glob(pattern))]
    caches = []
    for kind, path in found:
        with suppress(OSError):  # another process has just deleted it
            status = path.stat()
            # Where times of reading are not kept, that of writing counts.
            if now - max(status.st_atime, status.st_mtime) >= days * 86400:
                caches.append(Removable(path, kind, status.st_size))
    return caches


def delete(
    files: Sequence[Removable], unneeded: Collection[Path], note: Callable[[str], None]
) -> list[Removable]:
    """Delete files, each under the lock of its folder and only if it still can be deleted.

    Args:
        files: of ``removable`` and ``removable_caches``.
        unneeded: as of ``removable``.
        note: told of every file that stays, and why.

    Returns:
        what was deleted.
    """
    deleted = []
    for file in files:
        folder = file.path.parent
        is_cached = file.kind == KEPT or folder == cache_folder()
        try:
            # Whoever builds an image cache holds its final name.
            name = temporary_files(folder).get(file.path, file.path.name)
            with cache_lock(name) if is_cached else RunFolder(folder).lock():
                if is_cached or file in removable_in(folder, folder in unneeded):
                    os.unlink(file.path)  # noqa: PTH108
                    deleted.append(file)
                else:
                    note(f"{file.path}: has changed meanwhile; it stays")
        except RunLocked:
            note(f"{file.path}: a process holds its folder; it stays")
        except OSError as error:
            note(f"{file.path}: {error.strerror or error}; it stays")
    return deleted
