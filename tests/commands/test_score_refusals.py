"""What users give by mistake: each has an error of its own, and nothing is stored."""

from __future__ import annotations

import copy
import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sobench.metrics.detections import DetectionRow
from tests.commands.small_suite import Capture, write_suite
from tests.metrics.foreign.written import (
    SIZE,
    WRITERS,
    detections,
    split,
    write_data,
)
from tests.records import invoke, isolate

DATA = {"format": "coco", "root": "data", "train": "train.json", "val": "val.json"}
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    write_data(Path("data"), split())
    write_suite(dataset=DATA)


def good() -> Rows:
    rows: Sequence[DetectionRow] = detections(split())
    return [dict(row) for row in copy.deepcopy(rows)]


def check_refusal(capsys: Capture, words: str, *arguments: str | Path) -> None:
    """Exit code 2, a short message with these words, and no result; the cache may remember data."""
    code, out, err = invoke(capsys, *arguments)
    assert words in err, err
    assert (code, out, err[:7]) == (2, "", "error: ")
    assert 1 <= len(err.splitlines()) <= 2
    assert not Path("results").exists()


def refuse(capsys: Capture, words: str, path: Path | str, *options: str) -> None:
    check_refusal(
        capsys, words, "score", path, "--suite", "small.yaml", "--label", "mine", *options
    )


# --- rows of COCO JSON -----------------------------------------------------------------------


def one(**changes: Any) -> Callable[[Rows], Rows]:
    """The third row with other values; ``None`` leaves a key out."""

    def change(rows: Rows) -> Rows:
        rows[2] = {k: v for k, v in {**rows[2], **changes}.items() if v is not None}
        return rows

    return change


def boxes(change: Callable[[float, float, float, float], list[float]]) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, "bbox": change(*row["bbox"])} for row in rows]


def scores(change: Callable[[float], float]) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, "score": change(row["score"])} for row in rows]


W, H = SIZE
CASES: dict[str, tuple[Callable[[Rows], Any], str]] = {
    "NaN score": (one(score=float("nan")), "row 3: the score nan is not finite; look for NaN"),
    "infinite box": (
        one(bbox=[1, 2, float("inf"), 4]),
        "row 3: the box [1, 2, inf, 4] is not finite",
    ),
    "NaN box": (one(bbox=[float("nan"), 2, 3, 4]), "row 3: the box [nan, 2, 3, 4] is not finite"),
    "overflow": (one(bbox=[10**400, 2, 3, 4]), "row 3: bbox"),
    "negative size": (one(bbox=[10, 10, -5, 4]), "row 3: the box [10, 10, -5, 4] has a negative"),
    "unknown image": (one(image_id=61), "row 3: 61 is not an image of COCO val.json (ids 10, 20,"),
    "unknown image name": (
        one(image_id="a_11"),
        "row 3: 'a_11' is not an image of COCO val.json; did you mean 'a_10'",
    ),
    "unknown file name": (one(file_name="x/b.png"), "row 3: 'x/b.png' is not an image"),
    "unknown category": (
        one(category_id=4),
        "row 3: 4 is not a class of COCO val.json (ids: 1 car, 2 bus, 5 awning-tricycle)",
    ),
    "contiguous categories": (
        lambda rows: [{**r, "category_id": {1: 0, 2: 1, 5: 2}[r["category_id"]]} for r in rows],
        "0 is not a class of COCO val.json (ids: 1 car, 2 bus, 5 awning-tricycle); these look like "
        "positions from 0",
    ),
    "unknown class": (
        one(category_id="buss"),
        "row 3: 'buss' is not a class of COCO val.json; did you mean 'bus'?",
    ),
    "percentages": (scores(lambda s: 100 * s), "is not in 0..1; divide percentages by 100 (30 of"),
    "logits": (scores(lambda s: 8 * s - 4), "is not in 0..1; logits become scores by a sigmoid"),
    "other columns": (scores(lambda s: 900 * s + 1), "is not in 0..1; check the order"),
    "score is a text": (one(score="0.5"), "row 3: score '0.5' is not a number"),
    "score is true": (one(score=True), "row 3: score True is not a number"),
    "no score": (one(score=None), "row 3: no 'score'; a detector says how sure it is"),
    "annotations": (
        lambda rows: [{**row, "score": None, "iscrowd": 0} | {"score": None} for row in rows],
        "score None is not a number",
    ),
    "rows of annotations": (
        lambda rows: [{"iscrowd": 0, **{k: v for k, v in r.items() if k != "score"}} for r in rows],
        "row 1: no 'score': this is an annotation, ground truth and not a detection",
    ),
    "no image": (one(image_id=None), "row 3: no 'image_id'"),
    "no class": (one(category_id=None), "row 3: no 'category_id'"),
    "no box": (one(bbox=None), "row 3: no 'bbox'"),
    "image is a fraction": (one(image_id=1.5), "row 3: image_id 1.5 is not a whole number or a"),
    "class is true": (one(category_id=True), "row 3: category_id True is not a whole number"),
    "three sides": (one(bbox=[1, 2, 3]), "row 3: bbox [1, 2, 3] is not four numbers"),
    "a side is a text": (one(bbox=[1, 2, 3, "4"]), "row 3: bbox [1, 2, 3, '4'] is not four"),
    "a box is a text": (one(bbox="1234"), "row 3: bbox '1234' is not four numbers"),
    "empty": (
        lambda _: [],
        "holds no detections; check that the detector wrote them there, or add",
    ),
    "repeated": (
        lambda rows: rows + rows,
        "row 31: repeats an earlier row, as do 30 of 60 rows",
    ),
    "truth": (
        lambda rows: {"images": [], "annotations": rows, "categories": []},
        "is a COCO annotation file, with images, annotations, categories: ground truth, not",
    ),
    "one object": (lambda rows: {"results": rows}, "holds one object, not a list"),
    "list of lists": (lambda rows: [[row] for row in rows], "row 1 is not an object"),
    "fractions": (
        boxes(lambda x, y, w, h: [x / W, y / H, w / W, h / H]),
        "every box is within 1.5 px of the upper left corner: these are fractions",
    ),
    "corners": (
        boxes(lambda x, y, w, h: [x, y, x + w, y + h]),
        "[x1, y1, x2, y2]",
    ),
    "centres": (
        boxes(lambda x, y, w, h: [x + w / 2, y + h / 2, w, h]),
        "of the objects as they stand, and 100 % if they are [cx, cy, w, h]",
    ),
    "twice the size": (
        boxes(lambda x, y, w, h: [2 * x, 2 * y, 2 * w, 2 * h]),
        "if they are multiplied by 0.5",
    ),
    "half the size": (
        boxes(lambda x, y, w, h: [x / 2, y / 2, w / 2, h / 2]),
        "multiplied by 2",
    ),
    "stretched": (
        boxes(lambda x, y, w, h: [x * 416 / W, y * 416 / H, w * 416 / W, h * 416 / H]),
        "if they are pixels of an input stretched to 416x416; multiply x by width / 416",
    ),
    "letterbox": (
        boxes(lambda x, y, w, h: [x * 1.6, y * 1.6 + 128, w * 1.6, h * 1.6]),
        "if they are pixels of an input of 1024x1024 with the image in its middle (letterbox)",
    ),
    "classes from 1": (
        lambda rows: [
            {**r, "category_id": {1: 2, 2: 5}[r["category_id"]]}
            for r in rows
            if r["category_id"] != 5
        ],
        "% of the objects with their class, and 67 % if every class is the next lower one",
    ),
    "outside": (
        boxes(lambda x, y, w, h: [x + 3000, y, w, h]),
        "100 % of the boxes lie outside of their images, which have up to 640 x 480 px while boxes "
        "reach to 3552 x 459",
    ),
}


@pytest.mark.parametrize(("change", "words"), CASES.values(), ids=CASES)
def test_rows_that_cannot_be_meant(
    capsys: Capture, change: Callable[[Rows], Any], words: str
) -> None:
    Path("rows.json").write_text(json.dumps(change(good())))
    refuse(capsys, words, "rows.json")


# --- files and folders -----------------------------------------------------------------------


def write(name: str, content: bytes | str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def folder(name: str, *rows: str) -> str:
    """A folder with one text file of the first image."""
    write(f"{name}/a_10.txt", "\n".join(rows) + "\n")
    return name


def loop() -> str:
    Path("loop.json").symlink_to("loop.json")
    return "loop.json"


def no_files() -> str:
    Path("nothing").mkdir()
    return "nothing"


def pipe() -> str:
    os.mkfifo("pipe.json")
    return "pipe.json"


FILES: dict[str, tuple[Callable[[], str], str]] = {
    "missing": (lambda: "missing.json", "missing.json: cannot be read (No such file or directory)"),
    "loop": (loop, "loop.json: cannot be read (Too many levels of symbolic links)"),
    "pipe": (pipe, "pipe.json: cannot be read (not a regular file)"),
    "no files": (no_files, "nothing: holds no .txt files"),
    "cut off": (
        lambda: write("cut.json", json.dumps(good())[:300]),
        "cut.json, line 1, character 3",
    ),
    "cut gzip": (
        lambda: write("cut.json.gz", gzip.compress(json.dumps(good()).encode())[:-20]),
        "cut.json.gz: cannot be unpacked",
    ),
    "empty file": (lambda: write("empty.json", ""), "empty.json: is empty; a file without"),
    "binary": (
        lambda: write("model.pt", b"PK\3\4\0\0\0"),
        "model.pt: is a binary file; known: coco,",
    ),
    "binary text": (lambda: folder("f", "\0\1\2"), "a_10.txt: is a binary file"),
    "UTF-16": (lambda: write("a.json", "[]".encode("utf-16")), "a.json: is not a UTF-8 text file"),
    "Latin-1 table": (
        lambda: write(
            "a.csv", "image,class,score,x,y,w,h\na_10,Fähre,0.5,1,2,3,4\n".encode("latin1")
        ),
        "a.csv: is not a UTF-8 text file; save it as UTF-8",
    ),
    "some text": (lambda: write("a.log", "hello"), "a.log: is in no known layout; known: coco,"),
    "single text file": (
        lambda: write("a_10.txt", "0 0.5 0.5 0.1 0.1 0.9"),
        "is a single text file; give the folder",
    ),
    "unknown rows": (lambda: folder("f", "a b c"), "'a b c' is a row of no known layout"),
    "labels of YOLO": (
        lambda: folder("f", "0 0.5 0.5 0.1 0.1"),
        "a_10.txt, row 1: 5 columns, and no score: these are labels",
    ),
    "class of YOLO": (
        lambda: folder("f", "3 0.5 0.5 0.1 0.1 0.9"),
        "a_10.txt, row 1: 3 is not a class of COCO val.json (numbers: 0 car, 1 bus, 2 awning",
    ),
    "fraction of a class": (
        lambda: folder("f", "0 .5 .5 .1 .1 .9", "0.5 .5 .5 .1 .1 .9"),
        "row 2: class 0.5 is not a whole number",
    ),
    "scores in second place": (
        lambda: folder("f", "0 0.9 0.5 0.5 0.1 1.2"),
        "the score 1.2 is not in 0..1",
    ),
    "word in YOLO": (lambda: folder("f", "0 .5 .5 .1 .1 high"), "row 1: 'high' is not a number"),
    "truth of VisDrone": (
        lambda: folder("f", "10,10,20,20,1,2,0,1", "10,40,20,20,0,1,0,0"),
        "every score is 0 or 1 and no row ends in -1,-1: these are annotations",
    ),
    "columns of VisDrone": (
        lambda: folder("f", "10,10,20,20,0.5"),
        "row 1: 5 columns in 10,10,20,20,0.5; a row is left,",
    ),
    "class of VisDrone": (
        lambda: folder("f", "10,10,20,20,0.5,0,-1,-1"),
        "a_10.txt, row 1: 0 is not a class",
    ),
    "columns of VOC": (
        lambda: folder("f", "bus 0.5 1 2 30 40", "bus 0.5 1 2"),
        "'bus 0.5 1 2' is a row of no known layout",
    ),
    "class of VOC": (lambda: folder("f", "tram 0.5 1 2 30 40"), "row 1: 'tram' is not a class"),
    "negative size of VOC": (
        lambda: folder("f", "bus 0.5 50 2 30 40"),
        "row 1: the box [49, 1, -19, 39] has a negative",
    ),
    "two layouts": (
        lambda: (folder("f", "bus 0.5 1 2 30 40"), write("f/a_20.txt", "1,2,3,4,.5,1,-1,-1"))[0],
        "is of layout voc, f/a_20.txt of visdrone; add --layout NAME",
    ),
    "unknown image of a folder": (
        lambda: (folder("f"), write("f/a_70.txt", "bus 0.5 1 2 30 40"))[0],
        "f/a_70.txt, row 1: 'a_70' is not an image of COCO val.json; did you mean 'a_",
    ),
    "devkit class": (
        lambda: write("f/comp4_det_test_tram.txt", "a_10 0.5 1 2 30 40\n").partition("/")[0],
        "row 1: 'tram' is not a class",
    ),
    "no score in a table": (
        lambda: write("a.csv", "image,class,x1,y1,x2,y2\n"),
        "a.csv: no column is the score; keep one",
    ),
    "two images in a table": (
        lambda: write("a.csv", "image,image_id,class,score,x1,y1,x2,y2\n"),
        "a.csv: both image and image_id could be the image",
    ),
    "two boxes in a table": (
        lambda: write("a.csv", "image,class,score,x1,y1,x2,y2,x,y,w,h\n"),
        "a.csv: several columns could be the box; keep four of these: x1,y1,x2,y2 or",
    ),
    "no box in a table": (
        lambda: write("a.csv", "image,class,score,x,y\n"),
        "no columns are the box",
    ),
    "one name twice": (
        lambda: write("a.csv", "image,class,score,score,x1,y1,x2,y2\n"),
        "two columns are called 'score'",
    ),
    "short row of a table": (
        lambda: write("a.csv", "image,class,score,x1,y1,x2,y2\na_10,bus,0.5,1\n"),
        "row 2: 4 columns",
    ),
    "word in a table": (
        lambda: write("a.csv", "image,class,score,x1,y1,x2,y2\na_10,bus,?,1,2,3,4\n"),
        "a.csv, row 2: '?' is not a number",
    ),
    "open quote in a table": (
        lambda: write("a.csv", 'image,class,score,x1,y1,x2,y2\na_10,bus,"0.5,1,2,3,4\n'),
        "a.csv: is not a valid CSV file",
    ),
}


@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES)
def test_files_that_hold_no_detections(
    capsys: Capture, make: Callable[[], str], words: str
) -> None:
    refuse(capsys, words, make())


def test_folders_that_may_not_be_read(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder("f", "0 .5 .5 .1 .1 .9")

    def denied(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    refuse(capsys, "f: cannot be read (Permission denied)", path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layout", "yolo"], "layout yolo is a folder of .txt files, and this is a file"),
        (["--layout", "yollo"], "--layout: unknown 'yollo'; did you mean 'yolo'?"),
        (["--label", "fpn"], "--label: suite small has a row 'fpn' of its own"),
        (["--label", ""], "--label: '' is not a valid label"),
        (["--label", " a"], "--label: ' a' is not a valid label"),
        (["--label", "a\x1b[1m"], "is not a valid label"),
        (["--label", "x" * 101], "is not a valid label"),
        (["--protocol", "tiny"], "--protocol: the suite has one; write --set protocol=NAME"),
        (["--truth", "data/val.json"], "give --suite SUITE and --label NAME"),
        (["--set", "dataset.root=away"], "dataset.root: no folder"),
        (["--format", "xml"], "--format: unknown 'xml'"),
        (["--limit", "2"], "is not an image of COCO val.json"),
        (["--limit", "2", "--smoke", "2"], "--smoke: chooses the images itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options(capsys: Capture, options: list[str], words: str) -> None:
    path = WRITERS["coco"][1](Path(), split(), detections(split()))
    refuse(capsys, words, path, *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--suite", "small.yaml"], "--label: give the name of the row"),
        ([], "give --suite SUITE and --label NAME"),
        (["--truth", "data/val.json", "--label", "a"], "--label: has no effect with --truth"),
        (["--truth", "data/val.json", "--seed", "1"], "--seed: has no effect with --truth"),
        (["--truth", "data/val.json", "--protocol", "cocoo"], "did you mean 'coco'?"),
        (["--truth", "away.json"], "away.json: no such folder; give the one that holds images"),
        (["--truth", "data/images"], "data/images: "),
        (["--truth", "rows.bbox.json"], "rows.bbox.json: has no list 'images'"),
    ],
    ids=str,
)
def test_what_to_score_against(capsys: Capture, options: list[str], words: str) -> None:
    path = WRITERS["coco"][1](Path(), split(), detections(split()))
    check_refusal(capsys, words, "score", path, *options)
