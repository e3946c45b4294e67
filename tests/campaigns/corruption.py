"""Files that come to harm are named or made anew: no number changes in silence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harms import ground_truth, harm, replace
from tests.campaigns.harness import Ending, sobench
from tests.campaigns.matrix import (
    KINDS,
    RUN,
    SUITE,
    Numbers,
    differences,
    numbers,
    remove,
    undisturbed,
    unsound,
)
from tests.campaigns.operations import Operation, Operations

NAME = "corruption"
TITLE = "files that come to harm"
REPORT = ("report", SUITE, "--format", "json")


RETRAINED = ("latency_ms", "train_img_s", "train_min", "extra_min")
"""Columns of a leaderboard that change when a run is trained again."""

TEACHER = json.dumps("fpn 64x64")
"""The label of the run that no suite lists, but ZoomInNet needs."""


@dataclass(frozen=True)
class Scene:
    """A kind of file, and a command that reads it.

    Attributes:
        files: pattern of the files, one of which comes to harm.
        command: reads it, or makes it anew.
        prepare: changes a folder of finished runs before the harm.
        share: of all cases.
    """

    files: str
    command: tuple[str, ...] = RUN
    prepare: Callable[[Path], None] = lambda _: None
    share: int = 2


def _forget_students(case: Path) -> None:
    for method in ("zoominnet", "efpn"):
        shutil.rmtree(case / "results" / "tiny" / method, ignore_errors=True)


def _forget_results(case: Path) -> None:
    shutil.rmtree(case / "results")


def _stop_half_way(case: Path) -> None:
    """Train until the record of the first run would be written."""
    _forget_results(case)

    def act(operation: Operation) -> None:
        if "record.json" in operation.path:
            os._exit(9)

    watched = Operations((case / "results",), act)
    sobench(case, *RUN, inside=watched.install)


def _leave_an_error(case: Path) -> None:
    for run in (case / "results").glob("*/*/*"):
        (run / "error.txt").write_text("Traceback: of another day\n")


SCENES: dict[str, Scene] = {
    "record": Scene("results/*/*/*/record.json", share=8),
    "detections": Scene(
        "results/*/*/*/detections*.json.gz", (*RUN, "--set", "protocol=tiny"), share=5
    ),
    "cache": Scene("cache/*.images", prepare=_forget_results, share=5),
    "remembered hashes": Scene("cache/*.json"),
    "weights": Scene(
        "results/*/*/*/checkpoint-*.pt", (*RUN, "--set", "eval_sizes=[[40, 40]]"), share=2
    ),
    "weights of a teacher": Scene(
        "results/*/fpn/*/checkpoint-*.pt", prepare=_forget_students, share=2
    ),
    "half-done run": Scene("results/*/*/*/[!.]*", prepare=_stop_half_way, share=4),
    "log, settings": Scene("results/*/*/*/[lr][ou]*"),
    "error.txt": Scene("results/*/*/*/error.txt", prepare=_leave_an_error, share=1),
}
"""What may come to harm."""


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Harm one file of a matrix, then use every command that may read it."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _case(seed, folder, counts))


def _case(seed: int, folder: Path, counts: Counts) -> None:
    random = Random(seed)
    name = random.choices(list(SCENES), [scene.share for scene in SCENES.values()])[0]
    kind = "files" if name == "remembered hashes" else random.choice(KINDS)
    case = copied(folder, kind, random)
    scene = SCENES[name]
    scene.prepare(case)
    paths = sorted(path for path in case.glob(scene.files) if path.stat().st_size)
    path = random.choice(paths)
    others = [other for other in paths if other.suffixes == path.suffixes]
    if name == "detections" and kind == "files" and random.random() < 0.2:
        way = "ground truth"
        replace(path, ground_truth(undisturbed(folder, kind)[0] / "data" / "val.json"))
    else:
        way = harm(path, others, random)
    outcome, problem = _judged(case, scene, path, reference(folder, kind, name))
    text = f"{path.relative_to(case)} ({kind} data), {way}: {problem}"
    counts.add(f"{name}: {outcome}", failure=failure(NAME, seed, text) if problem else "")
    if not problem:
        remove(case)


def copied(folder: Path, kind: str, random: Random) -> Path:
    """The undisturbed matrix in a new folder; large files are shared, since they are replaced."""
    whole, _ = undisturbed(folder, kind)
    case = folder / f"case-{random.randrange(10**9)}"
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    for name in (SUITE, "results", "cache"):
        for path in sorted([whole / name, *(whole / name).rglob("*")]):
            place = case / path.relative_to(whole)
            if path.is_dir():
                place.mkdir()
            elif path.suffix == ".pt":
                os.link(path, place)
            else:
                shutil.copy(path, place)
    return case


@dataclass(frozen=True)
class Reference:
    """What a scene leads to without any harm.

    Attributes:
        before, after: leaderboards before the command of the scene, if there are results by then,
            and after it.
        numbers: of all runs after it.
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    numbers: Numbers


@cache
def reference(folder: Path, kind: str, name: str) -> Reference:
    """A scene played through."""
    case, scene = copied(folder, kind, Random(f"{kind} {name}")), SCENES[name]
    scene.prepare(case)
    before = _board(sobench(case, *REPORT))
    ending = sobench(case, *scene.command)
    if ending.code:
        raise RuntimeError(f"{name}, without any harm: {ending.err}")
    after, found = _board(sobench(case, *REPORT, *scene.command[len(RUN) :])), numbers(case)
    remove(case)
    return Reference(before, after, found)


def _board(ending: Ending) -> dict[str, Any] | None:
    """A leaderboard; ``None`` if there was no result at all."""
    content: dict[str, Any] | None = json.loads(ending.out) if ending.code == 0 else None
    return content


def _judged(case: Path, scene: Scene, path: Path, known: Reference) -> tuple[str, str]:
    """The outcome, and what is wrong with it, if anything is."""
    harmed = path.read_bytes() if path.exists() else None
    told, problem = _told(sobench(case, *REPORT), known.before)
    for command in (("plan", SUITE), ("data", SUITE)):
        problem = problem or _plain(sobench(case, *command))
    ending = sobench(case, *scene.command)
    if problem := problem or _plain(ending):
        return "SILENT" if "SILENT" in problem else "failed", problem
    refused = ending.code != 0
    if refused:
        if not any(name in ending.err for name in (path.name, path.parent.name)):
            return "failed", f"exit {ending.code} without the file's name: {ending.last_line}"
        # The way out of every message is to delete the file.
        path.unlink(missing_ok=True)
        again = sobench(case, *scene.command)
        if again.code:
            return "failed", f"refused, also without the file: {again.last_line}"
    # As it was left: harmed, or deleted and not made again, for nobody needed it.
    as_left = (path.read_bytes() if path.exists() else None) == harmed
    # A log is only written, and goes on from where it is; curves are in checkpoint and record.
    unread = path if as_left or path.name == "log.jsonl" else None
    if problem := _changed(case, path, scene, unread, known):
        how = "told, but exit 0" if path.name in ending.err else "SILENT"
        return how, f"{how} after {' '.join(scene.command)}: {problem}"
    if scene.prepare is _stop_half_way and (problems := unsound(case)):
        return "failed", f"is left damaged: {', '.join(problems)}"
    if refused:
        return "named", ""
    return "named, made anew" if told or path.name in ending.err else "same numbers", ""


def _plain(ending: Ending) -> str:
    """What is wrong with the end of a command, whatever was harmed."""
    if ending.has_traceback or ending.code not in (0, 1, 2, 4):
        return f"exit {ending.code}: {ending.err[-600:]}"
    return ""


def _told(ending: Ending, board: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether a leaderboard tells of the harm, and what is wrong with it."""
    if problem := _plain(ending):
        return False, problem
    shown = _board(ending)
    if shown == board or board is None:
        return False, ""
    if shown is None:
        return True, ""
    told = bool(shown["missing"].keys() - board["missing"].keys() or ending.err)
    told = told or len(shown["notes"]) > len(board["notes"])
    for table in ("rows", "per_class_ap", "sizes"):
        before = _rows(board, table)
        for key, row in _rows(shown, table).items():
            if before.get(key) != row:
                return told, f"SILENT: report shows {row} in place of {before.get(key)}"
    return told, "" if told else "SILENT: the report differs, and does not say why"


def _rows(board: Mapping[str, Any], table: str, *without: str) -> dict[str, dict[str, Any]]:
    """The rows of a table by their methods and sizes; their ranks move when one is left out."""
    return {
        f"{row['method']} {row.get('input', '')}": {
            key: value for key, value in row.items() if key not in ("tier", *without)
        }
        for row in board[table]
    }


def _changed(case: Path, path: Path, scene: Scene, unread: Path | None, known: Reference) -> str:
    """What is not as it is without harm, after the command of a scene."""
    shown = _board(sobench(case, *REPORT, *scene.command[len(RUN) :]))
    if shown is None or known.after is None:
        return "no leaderboard"
    for table in ("rows", "per_class_ap", "sizes"):
        if _rows(shown, table, *RETRAINED) != _rows(known.after, table, *RETRAINED):
            return f"the leaderboard's {table} differ"
    found = numbers(case)
    expected = dict(known.numbers)
    run = next((name for name in expected if name in str(path)), "")
    # Nobody needs the record of a teacher whose students are done.
    if (
        run
        and expected[run]["label"] == TEACHER
        and (run not in found or (path.name == "record.json" and unread))
    ):
        found = {name: values for name, values in found.items() if name != run}
        del expected[run]
    kept = (_kept(expected, found, unread), _kept(found, expected, unread))
    return "; ".join(differences(*kept))


def _kept(every: Numbers, other: Numbers, unread: Path | None) -> Numbers:
    """All numbers but those in a file that no command had to read, and but surplus scores.

    These are by another protocol or at another size than the present one: only one of two ways to
    the result leaves them.
    """
    weights = {"weights", "checkpoints"}
    keys = {unread.name, *(weights if unread.suffix == ".pt" else {"log"})} if unread else set()
    return {
        name: {
            key: value
            for key, value in values.items()
            if not (unread and key in keys and name.endswith(unread.parent.name))
            and (not key.startswith("scores") or key in other.get(name, {}))
        }
        for name, values in every.items()
    }
