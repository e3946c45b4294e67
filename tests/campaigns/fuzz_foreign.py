"""Damaged detections of other tools in every layout: refused in a line or two, or scored whole."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

from sobench.metrics.foreign import LAYOUTS
from tests.campaigns import hostile
from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.guard import Result
from tests.commands.small_suite import write_suite
from tests.metrics.foreign.written import WRITERS, detections, split, write_data

NAME = "fuzz_foreign"
_SUITE = Path("small.yaml")
_SEPARATORS = {"visdrone": ",", "csv": ","}
"""Between the cells of a row; blanks in the others."""

_NAMES = ("a_11.txt", "a_10", "\udcff.txt", "a_10.txt.gz", "classes.txt", "é.txt", "\x1b[2J.txt",
          "comp4_det_test_ship.txt", "rows.bbox.jsonl", "x" * 240 + ".txt")  # fmt: skip

Damage = Callable[[Path], None]
"""Changes a file of detections, or puts something beside it."""


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz detections of other tools until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """Good detections in a layout, of which one file is changed, or named otherwise."""
    written = random.choice(list(WRITERS))
    layout = WRITERS[written][0]
    kind = random.choice(("bytes", "rows", "rows", "rows", "name", "special"))
    given = random.choice(("", "", layout, random.choice(list(LAYOUTS))))
    damage = partial(_DAMAGES[kind], random.randrange(2**32), layout)
    told = f" read as {given}" if given else ""
    return case_of(f"{written}: {kind}{told}", written, damage, given)


def case_of(
    title: str, written: str, damage: Damage, layout: str = "", refused: bool = False
) -> Case:
    """Detections that are scored into a suite; where they are refused, nothing may be stored.

    Args:
        written: key of ``WRITERS``.
        layout: of ``--layout``; empty to have it recognised.
        refused: whether they must be.
    """
    dataset = split()

    def make(folder: Path) -> None:
        data = {"format": "coco", "root": "data", "train": "train.json", "val": "val.json"}
        write_data(folder / "data", dataset)
        write_suite(str(_SUITE), dataset=data)
        (folder / "made").mkdir()
        path = WRITERS[written][1](folder / "made", dataset, detections(dataset))
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        damage(files[0])
        # Under one name, whatever the layout calls its place.
        path.rename(folder / ("given" if path.is_dir() else f"given{''.join(path.suffixes)}"))

    def score() -> None:
        from sobench.cli import main

        (path,) = Path().glob("given*")
        options = ["--layout", layout] if layout else []
        main(["score", str(path), "--suite", str(_SUITE), "--label", "mine", *options])

    def check(results: Sequence[Result]) -> str:
        scored, stored = results[0].code == 0, "stored" in results[1].out
        if scored and refused:
            return "was accepted"
        return "" if scored == stored else f"exit {results[0].code}, and stored: {stored}"

    return Case(title, make, [score, _say_stored], [("report", str(_SUITE))], check, (0, 2))


def _say_stored() -> None:
    """Print whether there is any file of a result."""
    print("stored" if any(Path("results").rglob("*-*/*")) else "nothing")


def _damage_bytes(seed: int, _layout: str, file: Path) -> None:
    file.write_bytes(hostile.damage(Random(seed), file.read_bytes())[0])


def _damage_rows(seed: int, layout: str, file: Path) -> None:
    """Another cell or row; of JSON another value."""
    random, content = Random(seed), file.read_bytes()
    if layout != "coco":
        text, _ = hostile.damage_rows(random, content.decode(), _SEPARATORS.get(layout, " "))
        file.write_bytes(hostile.to_bytes(text))
        return
    is_packed = file.suffix == ".gz"
    rows = json.loads(gzip.decompress(content) if is_packed else content)
    changed, _ = hostile.mutate(random, rows, random.choice((1, 1, 2)))
    new = hostile.to_bytes(hostile.to_json(changed))
    file.write_bytes(gzip.compress(new) if is_packed else new)


def _damage_name(seed: int, layout: str, file: Path) -> None:
    """Another name, where a layout is a folder of files."""
    if LAYOUTS[layout].is_folder:
        file.rename(file.with_name(Random(seed).choice(_NAMES)))


def _damage_special(seed: int, _layout: str, file: Path) -> None:
    """Something that is no file of detections, in the place of one."""
    file.unlink()
    makes: tuple[Damage, ...] = (
        os.mkfifo, Path.mkdir, Path.touch, lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("nowhere"),
    )  # fmt: skip
    Random(seed).choice(makes)(file)


_DAMAGES: dict[str, Callable[[int, str, Path], None]] = {
    "bytes": _damage_bytes, "rows": _damage_rows, "name": _damage_name, "special": _damage_special,
}  # fmt: skip


def _as_it_is(_file: Path) -> None:
    """No damage."""


def _with(content: bytes) -> Damage:
    """Another content of the file."""

    def damage(file: Path) -> None:
        file.write_bytes(content)

    return damage


def _packed(change: Callable[[bytes], bytes]) -> Damage:
    """The same content packed by gzip, with a change of the packed bytes."""

    def damage(file: Path) -> None:
        file.write_bytes(change(gzip.compress(file.read_bytes())))

    return damage


def _without_its_middle(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


_DIGITS = b"9" * 5000
_NUMBERED = (  # layout of the writers, and a row with a class of 5000 digits
    ("voc", _DIGITS + b" 0.5 1 2 30 40\n"),
    ("csv", b"image,class,score,x1,y1,x2,y2\na_10," + _DIGITS + b",0.5,1,2,30,40\n"),
    ("yolo", _DIGITS + b" 0.5 0.5 0.1 0.1 0.5\n"),
    ("visdrone", b"1,2,30,40,0.5," + _DIGITS + b",-1,-1\n"),
    ("coco", b'[{"image_id": ' + _DIGITS + b"}]"),
)

FIXED = [
    *(case_of(f"known: {name}", name, _as_it_is) for name in WRITERS),
    *(
        case_of(f"known: 5000 digits in {name}", name, _with(row), refused=True)
        for name, row in _NUMBERED
    ),
    case_of("known: packed CSV", "csv", _packed(lambda content: content), "csv"),
    case_of("known: damaged packed CSV", "csv", _packed(_without_its_middle), "csv", True),
    case_of("known: damaged packed JSON", "coco", _packed(_without_its_middle), refused=True),
    case_of("known: 128 MB of spaces", "coco", _with(gzip.compress(b"[" + b" " * 2**27 + b"]"))),
]
FUZZ = Fuzz(NAME, "fuzz: detections of other tools", FIXED, draw)
