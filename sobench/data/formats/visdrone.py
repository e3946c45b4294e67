"""VisDrone-DET: each split has a folder of images and a folder of 8-column text files."""

from __future__ import annotations

from pathlib import Path

from sobench.data.annotation_files import finite_numbers, read_rows, shown
from sobench.data.annotations import AnnotatedBox, ReadReport, Split, to_annotated_image
from sobench.data.dataset import EVERY_CLASS, Dataset
from sobench.data.image_lists import list_images
from sobench.data.images import ImageFiles, read_size
from sobench.errors import DataError
from sobench.suite.datasets import VisDroneData
from sobench.text import plain

CLASSES = (
    "pedestrian", "people", "bicycle", "car", "van",
    "truck", "tricycle", "awning-tricycle", "bus", "motor",
)  # fmt: skip
CATEGORY_IDS = tuple(range(1, 11))
COLUMNS = ("left", "top", "width", "height", "score", "category", "truncation", "occlusion")

IGNORED_REGIONS = "ignored regions (category 0), for all classes"
OTHERS_DROPPED = "rows of category 11 (others), dropped"
NOT_CONSIDERED = "rows with score 0, ignored for their class"

_IGNORED, _OTHERS = 0, 11
_CATEGORIES = frozenset(range(_IGNORED, _OTHERS + 1))


def sources(root: Path, spec: VisDroneData, split: Split) -> tuple[list[Path], list[Path]]:
    """The annotation files of a split, sorted, and its image folder.

    Raises:
        DataError: the folder of annotations does not exist.
    """
    folder = root / (spec.train if split == "train" else spec.val)
    annotations = folder / "annotations"
    if not annotations.is_dir():
        raise DataError(
            f"{annotations}: no such annotation folder; "
            f"correct dataset.root or dataset.{split}, which is {folder.name!r}"
        )
    return sorted(annotations.glob("*.txt"), key=str), [folder / "images"]


def identity(_root: Path, _spec: VisDroneData) -> tuple[str, ...]:
    """Nothing: a dataset is its files."""
    return ()


def read(root: Path, spec: VisDroneData, split: Split) -> Dataset:
    """Read one split; sizes come from the headers of the images.

    Category 0 becomes an ignore region of all classes. A row with score 0 is ground truth that
    the benchmark does not consider, so it becomes an ignore region of its class. Category 11
    (others) is dropped.

    Raises:
        DataError: a file or folder is missing, a row is malformed, or an image and its annotation
            do not come in pairs.
    """
    files, (folder,) = sources(root, spec, split)
    pairs = _pairs(files, folder)
    report = ReadReport()
    images = []
    for position, (file, name) in enumerate(pairs, start=1):
        boxes, size = _boxes(file, report), read_size(folder / name)
        images.append(to_annotated_image(position, name, size, boxes, file, report))
    return Dataset(
        title=f"VisDrone-DET {folder.parent.name}",
        classes=CLASSES,
        category_ids=CATEGORY_IDS,
        images=tuple(images),
        read_image=ImageFiles.of(images, folder),
        skipped=tuple(report.skipped),
        notes=report.notes,
    )


def _pairs(files: list[Path], folder: Path) -> list[tuple[Path, str]]:
    """Annotation file and image name of every image, in the order of the images' names."""
    names = list_images(folder)
    if not names:
        raise DataError(f"{folder}: holds no images; correct dataset.root or the split")
    by_stem = {file.stem: file for file in files}
    pairs: dict[str, tuple[Path, str]] = {}
    for name in names:
        stem = Path(name).stem
        if stem in pairs:
            raise DataError(
                f"{folder / name}: is a second image {shown(stem)} beside {pairs[stem][1]}; "
                "remove one of the two"
            )
        if stem not in by_stem:
            raise DataError(
                f"{folder / name}: has no annotation {folder.parent / 'annotations' / stem}.txt; "
                "add it (an empty file for an image without objects) or remove the image"
            )
        pairs[stem] = by_stem[stem], name
    for stem, file in by_stem.items():
        if stem not in pairs:
            raise DataError(f"{file}: has no image in {folder}; add it or remove the annotation")
    return list(pairs.values())


def _boxes(file: Path, report: ReadReport) -> list[AnnotatedBox]:
    boxes = []
    for number, row in read_rows(file):
        box = _box(row, file, f"row {number}")
        if box is None:
            report.notes[OTHERS_DROPPED] += 1
            continue
        if box.ignore:
            report.notes[IGNORED_REGIONS if box.label == EVERY_CLASS else NOT_CONSIDERED] += 1
        boxes.append(box)
    return boxes


def _box(row: str, file: Path, where: str) -> AnnotatedBox | None:
    """The box of a row, or ``None`` for category 11."""
    cells = row.removesuffix(",").split(",")
    if len(cells) != len(COLUMNS):
        raise DataError(
            f"{file}, {where}: {len(cells)} columns in {shown(row)}, not the {len(COLUMNS)} of "
            f"{','.join(COLUMNS)}; correct or remove the row"
        )
    left, top, width, height, score, category, *_ = finite_numbers(cells, COLUMNS, file, where)
    if category not in _CATEGORIES:
        raise DataError(
            f"{file}, {where}: category is {plain(cells[5].strip())}, not one of 0..11; "
            "correct or remove the row"
        )
    if score not in (0, 1):
        raise DataError(
            f"{file}, {where}: score is {plain(cells[4].strip())}, but in ground truth it is 0 or "
            "1; give annotations, not detections"
        )
    if category == _OTHERS:
        return None
    box = left, top, left + width, top + height
    if category == _IGNORED:
        return AnnotatedBox(where, box, EVERY_CLASS, ignore=True)
    return AnnotatedBox(where, box, int(category) - 1, ignore=score == 0)
