"""Hostile data sets in every layout: refused in a line or two, or accepted up to the scoring."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from tests.campaigns import hostile
from tests.campaigns.counts import Counts
from tests.campaigns.datasets import (
    LAYOUTS,
    Content,
    Files,
    Rows,
    Special,
    Tree,
    Xml,
    to_bytes,
    write,
)
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.guard import Result
from tests.campaigns.known_data import KNOWN_DATA
from tests.campaigns.thin import make_thin
from tests.tiny_suite import CONTENT

NAME = "fuzz_readers"
SUITE = "suite.yaml"
_NAMES = (
    "\x1b[2Ja.png", "[/x].png", "a\nb.png", "=1+1.png", "\udcff.png", ".png", "a.PNG", "a.b.png",
    "..png", "é.png", "x" * 250 + ".png", "classes.txt", "a.txt", "-.png", "a\tb.png", "Thumbs.db",
    "sub/1.png", "1.jpg", "4.jpg", " .png", "$SECRET.png", "a\x9bb.png", "\u202ea.png",
)  # fmt: skip
_PROLOGUES = (
    '<?xml version="1.0" encoding="foo"?>', '<?xml version="1.0" encoding="utf-16"?>',
    '<?xml version="1.0" encoding="utf-7"?>', '<?xml version="1.0" encoding="rot13"?>',
    '<?xml version="9"?>', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    hostile.ENTITIES, '<!DOCTYPE a SYSTEM "http://localhost:1/x.dtd">',
    "<!-- " + "x" * 100_000 + " -->", "<?x?>" * 500,
)  # fmt: skip


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz the readers until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """A data set with one to three changes."""
    layout = random.choice(list(LAYOUTS))
    keys, files = LAYOUTS[layout]()
    told = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if random.random() < 0.06:
            keys, what = _changed_keys(random, keys)
        else:
            files, what = _changed_files(random, files)
        told.append(what)
    runs = random.random() < 0.04
    return case_of(f"{layout}: {'; '.join(told)}", keys, files, runs, random.random() < 0.1)


def case_of(
    title: str,
    keys: dict[str, Any],
    files: Files,
    runs: bool = False,
    terminal: bool = False,
    refused: bool = False,
) -> Case:
    """A data set given to ``data`` and ``plan``; what they accept is scored, or run as well."""

    def make(folder: Path) -> None:
        content = CONTENT | {
            "dataset": {"root": "data", **keys}, "input": {"size": [32, 32]},
            "schedule": {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}},
        }  # fmt: skip
        (folder / SUITE).write_bytes(hostile.to_bytes(hostile.to_json(content)))
        write(folder / "data", files)

    steps = [("data", SUITE, "--no-cache"), ("plan", SUITE), ("data", SUITE)]
    later: list[Any] = [score_drawn]
    if runs:
        later += [make_thin, ("run", SUITE), ("report", SUITE, "--format", "csv")]
    check = _must_be_refused if refused else _no_problem
    return Case(title, make, steps, later, check, terminal=terminal)


def _no_problem(_results: Sequence[Result]) -> str:
    return ""


def _must_be_refused(results: Sequence[Result]) -> str:
    return "" if any(result.code == 2 for result in results) else "was accepted"


def score_drawn() -> None:
    """Score a few detections drawn from the objects of val, with both engines."""
    from sobench.data.load import load
    from sobench.metrics.detections import DetectionRow, tabulate
    from sobench.metrics.scoring import score
    from sobench.suite import reader
    from sobench.suite.protocols import PROTOCOLS

    dataset = load(reader.load(SUITE).dataset, "val")
    generator = np.random.default_rng(0)
    rows: list[DetectionRow] = []
    for image in dataset.images[:20]:
        for label, (x1, y1, x2, y2) in zip(image.labels[:20], image.boxes[:20], strict=True):
            category = dataset.category_ids[label]
            box = [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]
            rows.append(
                {"image_id": image.id, "category_id": category, "bbox": box,
                 "score": float(generator.random())}
            )  # fmt: skip
        drawn = [float(side) for side in generator.random(4) * 20]
        rows.append(
            {"image_id": image.id, "category_id": dataset.category_ids[0], "bbox": drawn,
             "score": 0.5}
        )  # fmt: skip
    engines: tuple[Literal["hotcoco", "pycocotools"], ...] = ("hotcoco", "pycocotools")
    for engine in engines:
        for protocol in ("coco", "visdrone-crowd"):
            scores = score(dataset, tabulate(rows, "rows"), PROTOCOLS[protocol], engine)
            for name, number in scores.metrics.items():
                assert number is None or -1e-9 <= number <= 1 + 1e-9, f"{name} is {number}"
                assert number is None or math.isfinite(number), f"{name} is {number}"


def _changed_keys(random: Random, keys: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Other folders and files in the ``dataset`` of the suite."""
    key = random.choice(
        ("train", "val", "train_images", "val_images", "classes", "root", "max_area")
    )
    new = random.choice(
        ("..", ".", "", "/", "/proc/self", "/dev/zero", "proc", "data", "../data", "x\0y", "\udcff",
         "train.json", "images", "loop", "~", "$SECRET", ["car"], ["car", "car"], ["all"], [], 0,
         hostile.value(random))
    )  # fmt: skip
    return keys | {key: new}, f"{key}: {new!a:.40}"


def _changed_files(random: Random, files: Files) -> tuple[Files, str]:
    """The files with one of them changed, named anew, lost, or put twice."""
    texts = [name for name, content in files.items() if not isinstance(content, bytes)]
    name = random.choice(texts if random.random() < 0.8 and texts else list(files))
    if random.random() < 0.8:
        content, told = _changed_content(random, files[name])
        return files | {name: content}, f"{name}: {told}"
    folder = name.rpartition("/")[0]
    other = f"{folder}/{random.choice(_NAMES)}".lstrip("/")
    kind = random.choice(("lost", "named", "added", "special", "special"))
    if kind == "special":
        told, make = random.choice(_SPECIALS)
        place = random.choice((name, f"{folder}/loop".lstrip("/"), folder or name))
        rest = {key: content for key, content in files.items() if not key.startswith(f"{place}/")}
        return rest | {place: Special(make)}, f"{place}: {told}"
    if kind == "added":
        return files | {other: files[name]}, f"{name} also as {other!a:.40}"
    rest = {key: content for key, content in files.items() if key != name}
    return (
        rest | {other: files[name]} if kind == "named" else rest
    ), f"{name} {kind} {other!a:.40}"


def _changed_content(random: Random, content: Content) -> tuple[Content, str]:
    if isinstance(content, Special):
        return content, "as it is"
    if isinstance(content, bytes) or random.random() < 0.15:
        return hostile.damage(random, to_bytes(content))
    if isinstance(content, Tree):
        tree, told = hostile.mutate(random, content.content, random.choice((1, 1, 2)))
        return Tree(tree), told
    if isinstance(content, Rows):
        text, told = hostile.damage_rows(random, content.text, content.separator)
        return Rows(text, content.separator), told
    return _changed_xml(random, content)


def _changed_xml(random: Random, content: Xml) -> tuple[Xml, str]:
    """Another text, another tag, an element twice or not at all, or a prologue."""
    text, kind = content.text, random.choice(("text", "text", "text", "tag", "element", "prologue"))
    if kind == "prologue":
        prologue = random.choice(_PROLOGUES)
        return Xml(prologue + text.replace("car", "&i;" if "ENTITY a" in prologue else "&x;")
                   if "ENTITY" in prologue else prologue + text), prologue[:60]  # fmt: skip
    leaves = list(re.finditer(r"<(\w+)>([^<]*)</\1>", text))
    leaf = random.choice(leaves)
    if kind == "text":
        new = hostile.as_text(hostile.value(random))
        if random.random() < 0.7:
            new = new.replace("&", "&amp;").replace("<", "&lt;")
        told = f"{leaf[1]} = {new!a:.40}"
        return Xml(text[: leaf.start(2)] + new + text[leaf.end(2) :]), told
    if kind == "tag":
        tag = random.choice(
            ("x", leaf[1].upper(), f"a:{leaf[1]}", "a" * 5000, "é", "bndbox", "part")
        )
        return Xml(text.replace(f"{leaf[1]}>", f"{tag}>")), f"{leaf[1]} named {tag:.20}"
    times = random.choice((0, 2, 1000))
    return Xml(text[: leaf.start()] + leaf[0] * times + text[leaf.end() :]), f"{leaf[1]} x {times}"


def _link(target: str) -> Any:
    return lambda path: path.symlink_to(target)


def _two_links(path: Path) -> None:
    path.mkdir()
    (path / "one").symlink_to(".")
    (path / "two").symlink_to(".")


_SPECIALS: Sequence[tuple[str, Any]] = (
    ("a FIFO", os.mkfifo), ("/dev/zero", _link("/dev/zero")), ("/dev/null", _link("/dev/null")),
    ("a link to itself", lambda path: path.symlink_to(path.name)), ("a folder", Path.mkdir),
    ("two links to itself", _two_links), ("a link to nowhere", _link("nowhere")),
    ("a link upwards", _link("..")), ("proc", _link("/proc/self")), ("empty", Path.touch),
)  # fmt: skip

FIXED = [
    case_of(f"known: {k.name}", k.keys, k.files, k.runs, k.runs, k.refused) for k in KNOWN_DATA
]
FUZZ = Fuzz(NAME, "fuzz: data sets", FIXED, draw)
