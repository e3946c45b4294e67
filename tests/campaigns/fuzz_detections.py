"""Hostile rows of detections, as lists and as files: named with their row, or scored."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, cast

import numpy as np

from sobench.cli import main
from sobench.data.dataset import AnnotatedImage, Dataset, as_boxes, as_labels
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.metrics.scoring import score
from sobench.suite.protocols import PROTOCOLS
from tests.campaigns import hostile
from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.guard import Result, Step
from tests.campaigns.harness import sobench
from tests.campaigns.matrix import RUN, SUITE, write_matrix
from tests.campaigns.thin import make_thin
from tests.stored_rows import read_rows, write_rows

NAME = "fuzz_detections"
_FILE = "detections.json.gz"
_FURTHER: tuple[Any, ...] = (
    2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**400, 1e308, -1e308, 5e-324, math.nan,
    math.inf, -math.inf, True, False, None, "1", "", [], {}, [1], 1.5, -1, 0, 3, 1e16, "\x1b[2J",
)  # fmt: skip


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz detections until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """Rows with wrong values, a file with wrong content, or one of a finished run."""
    kind = random.random()
    if kind < 0.55:
        rows, told = _wrong_rows(random)
        return case_of_rows(told, rows)
    content, told = _wrong_content(random)
    return case_of_file(told, content) if kind < 0.9 else case_of_run(told, content)


@cache
def dataset() -> Dataset:
    """Three images of two classes."""
    boxes = as_boxes([(2.0, 3.0, 12.0, 15.0), (20.0, 8.0, 28.0, 20.0)])
    images = tuple(
        AnnotatedImage(
            id=number, name=f"{number}.png", width=32, height=24, boxes=boxes,
            labels=as_labels([0, 1]), areas=np.array([120.0, 96.0]), ignore=as_boxes([]),
            ignore_labels=as_labels([]),
        )
        for number in (1, 2, 7)
    )  # fmt: skip
    return Dataset(
        "three images", ("car", "ship"), (1, 3), images, lambda _: np.empty((24, 32, 3), np.uint8)
    )


def good_rows() -> list[dict[str, Any]]:
    """Rows that can be scored."""
    return [
        {"image_id": image, "category_id": category, "bbox": [2.0, 3.0, 9.5, 11.0], "score": score}
        for image in (1, 2, 7)
        for category, score in ((1, 0.9), (3, 0.25), (1, 0.125))
    ]


def _wrong_rows(random: Random) -> tuple[Any, str]:
    """Good rows with a few places changed."""
    if random.random() < 0.4:
        return hostile.mutate(random, good_rows(), random.choice((1, 1, 2, 4)))
    rows = good_rows()
    row = random.choice(rows)
    key, new = random.choice(list(row)), random.choice(_FURTHER)
    if key == "bbox" and random.random() < 0.8:
        side = random.randrange(4)
        row["bbox"][side] = new
        return rows, f"bbox[{side}] = {new!a:.40}"
    row[key] = new
    return rows, f"{key} = {new!a:.40}"


def _wrong_content(random: Random) -> tuple[bytes, str]:
    """The bytes of a file: of wrong rows, of other JSON, or damaged."""
    if random.random() < 0.5:
        rows, told = _wrong_rows(random)
        return gzip.compress(hostile.to_bytes(hostile.to_json(rows))), told
    plain = json.dumps(good_rows()).encode()
    if random.random() < 0.5:
        plain, told = hostile.damage(random, plain)
        return gzip.compress(plain), f"inside {told}"
    content, told = hostile.damage(random, gzip.compress(plain))
    return content, f"outside {told}"


def case_of_rows(title: str, rows: Any) -> Case:
    """Rows that are checked, and scored by both engines if they are sound."""
    return Case(
        title, lambda _: None, [lambda: tabulate(rows, "detections")], [lambda: _score(rows)],
        check=_no_problem,
    )  # fmt: skip


def _no_problem(_results: Sequence[Result]) -> str:
    return ""


def case_of_file(title: str, content: bytes, refused: bool = False) -> Case:
    """A file that is read, and scored if it is sound."""

    def make(folder: Path) -> None:
        (folder / _FILE).write_bytes(content)

    def check(results: Sequence[Result]) -> str:
        return "was accepted" if refused and results[0].code == 0 else ""

    file = Path(_FILE)
    return Case(
        title, make, [lambda: read_rows(file)], [lambda: _score(read_rows(file))], check=check
    )


def case_of_run(title: str, content: bytes) -> Case:
    """A file in the place of a finished run's: it is named, or detected anew with equal scores."""

    def make(folder: Path) -> None:
        make_thin()
        shutil.copytree(finished(folder.parent), folder, dirs_exist_ok=True)
        (stored,) = (folder / "results").glob(f"*/fpn/*/{_FILE}")
        stored.write_bytes(content)
        _EXPECTED.write_bytes((folder.parent / _EXPECTED).read_bytes())

    def same_scores() -> None:
        main(["report", *_OTHER_PROTOCOL, "--format", "json", "--out", "now"])

    def check(results: Sequence[Result]) -> str:
        changed = results[-1].out.strip().endswith("changed")
        return "another score without a word" if changed else ""

    steps: list[Step] = [("run", *_OTHER_PROTOCOL), _quietly(same_scores), _compare]
    return Case(f"of a run: {title}", make, steps, check=check)


_OTHER_PROTOCOL = (SUITE, "--set", "protocol=tiny")
_EXPECTED = Path("expected.json")


def _quietly(step: Callable[[], None]) -> Callable[[], None]:
    """The step; that there is nothing to report after a refusal is right."""

    def quiet() -> None:
        try:
            step()
        except SystemExit as leaving:
            if leaving.code not in (None, 0, 4):
                raise

    return quiet


def _compare() -> None:
    """Print whether the scores that are reported now are the expected ones."""
    if Path("now").exists():
        now = scores_of(_reported(Path()))
        print("same" if now == scores_of(_EXPECTED) else "changed")


def _reported(folder: Path) -> Path:
    """The report, whose name tells what was set."""
    (path,) = (folder / "now").glob("*.json")
    return path


def scores_of(report: Path) -> list[list[Any]]:
    """The scores of a report in JSON, without costs."""
    content = json.loads(report.read_text())
    return [[row["method"], *(row[key] for key in content["metrics"])] for row in content["rows"]]


@cache
def finished(folder: Path) -> Path:
    """A folder with a finished run, made once; its scores by the other protocol lie beside it."""
    whole = folder / "finished"
    if not whole.exists():
        partly, rescored = folder / "finished.part", folder / "rescored"
        for path in (partly, rescored):
            shutil.rmtree(path, ignore_errors=True)
        write_matrix(partly, "drawn", methods=["fpn"])
        _succeed(partly, *RUN)
        shutil.copytree(partly, rescored)
        _succeed(rescored, "run", *_OTHER_PROTOCOL)
        _succeed(rescored, "report", *_OTHER_PROTOCOL, "--format", "json", "--out", "now")
        _reported(rescored).rename(folder / _EXPECTED)
        partly.rename(whole)
    return whole


def _succeed(folder: Path, *arguments: str) -> None:
    ending = sobench(folder, *arguments)
    assert ending.code == 0, ending.err


def _score(rows: Any) -> None:
    """Score rows; those about other images and classes may be refused, nothing else."""
    known = [row for row in rows if row["image_id"] in (1, 2, 7) and row["category_id"] in (1, 3)]
    engines: tuple[Literal["hotcoco", "pycocotools"], ...] = ("hotcoco", "pycocotools")
    for engine in engines:
        table = tabulate(cast(list[DetectionRow], known), "rows")
        scores = score(dataset(), table, PROTOCOLS["coco"], engine)
        for name, number in scores.metrics.items():
            assert number is None or 0 <= number <= 1, f"{name} is {number}"
    write_rows(Path("again.json.gz"), rows)
    table, again = tabulate(rows, "rows"), tabulate(read_rows(Path("again.json.gz")), "again")
    assert np.array_equal(table.boxes, again.boxes), "boxes differ after writing"
    assert np.array_equal(table.scores, again.scores), "scores differ after writing"


def _bomb(size: int) -> bytes:
    """A list of spaces, of this size when it is unpacked."""
    return gzip.compress(b"[" + b" " * size + b"]", 9)


def _fixed() -> list[Case]:
    cases = []
    for new in _FURTHER:
        for key in ("image_id", "category_id", "score", "bbox"):
            rows = good_rows()
            rows[4][key] = new
            cases.append(case_of_rows(f"known: {key} = {new!a:.40}", rows))
        rows = good_rows()
        rows[4]["bbox"][2] = new
        cases.append(case_of_rows(f"known: width = {new!a:.40}", rows))
    truth = {"images": [], "annotations": good_rows(), "categories": []}
    cases += [
        case_of_file("known: ground truth", gzip.compress(json.dumps(truth).encode()), True),
        case_of_file("known: 8 GB of spaces", b"".join([_bomb(2**27)] * 64), True),
        case_of_file("known: 100000 deep", gzip.compress(b"[" * 100_000), True),
        case_of_file("known: 6000 digits", gzip.compress(b"[" + b"9" * 6000 + b"]"), True),
        case_of_file("known: a pickle", b"\x80\x04cos\nsystem\n(S'touch x'\ntR.", True),
        case_of_file("known: nothing", b"", True),
        case_of_run("known: rows of another run", gzip.compress(json.dumps(good_rows()).encode())),
        case_of_run("known: nothing", b""),
    ]
    return cases


FIXED = _fixed()
FUZZ = Fuzz(NAME, "fuzz: detections", FIXED, draw)
