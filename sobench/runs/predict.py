"""Detections of a finished run on image files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path, PurePosixPath

import numpy as np

from sobench.data.annotations import Split
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, Size, as_boxes, as_labels
from sobench.data.image_lists import list_images
from sobench.data.images import decode
from sobench.data.load import read_annotations
from sobench.data.resize import resize
from sobench.errors import DataError, reason_of
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.models.detector import Detector
from sobench.runs.detect import detect
from sobench.runs.stored import StoredRun, no_images
from sobench.suite.datasets import DataSpec


@dataclass(frozen=True)
class ImageFile:
    """An image that is asked for.

    Attributes:
        path: of the file.
        name: of what is written for it, different for every image: its place below the folder that
            was given, or its bare name, without a suffix.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Prediction:
    """The detections on an image.

    Attributes:
        rows: in pixels of the original image, best first; ``category_id`` is the label.
        truth: its annotations, if the suite's data has this image.
        declared: the size that these were made for.
    """

    file: ImageFile
    rows: tuple[DetectionRow, ...]
    truth: AnnotatedImage | None
    declared: Size | None


class GroundTruth:
    """The annotated images of a data set by the names of their files."""

    def __init__(self, spec: DataSpec) -> None:
        self._by_name: defaultdict[str, list[AnnotatedImage]] = defaultdict(list)
        splits: tuple[Split, ...] = ("val", "train")
        for split in splits:
            for image in read_annotations(spec, split).images:
                self._by_name[Path(image.name).name].append(image)

    def find(self, path: Path) -> AnnotatedImage | None:
        """The annotations of an image: of its name, with as many of the folders as they name.

        ``None`` if no image is called so, or several with different annotations are.
        """
        parts = path.resolve().parts
        fitting = [
            image
            for image in self._by_name.get(path.name, ())
            if parts[-len(Path(image.name).parts) :] == Path(image.name).parts
        ]
        if not fitting:
            return None
        first = fitting[0]
        same = all(
            image.size == first.size and np.array_equal(image.boxes, first.boxes)
            for image in fitting[1:]
        )
        return first if same else None


def list_files(places: Sequence[Path], warn: Callable[[str], None]) -> list[ImageFile]:
    """The images that files and folders name, each once, in the order in which they are given.

    Args:
        warn: told of folders without images and of those that cannot be read.
    """
    names: dict[Path, str] = {}
    for place in places:
        if not place.is_dir():
            names.setdefault(place, place.name)
            continue
        try:
            found = list_images(place)
        except (DataError, OSError) as error:
            warn(reason_of(error))
            continue
        if not found:
            warn(f"{place}: no images in this folder")
        for name in found:
            names.setdefault(place / name, name)
    taken: set[str] = set()
    return [ImageFile(path, _unused(name, taken)) for path, name in names.items()]


def _unused(name: str, taken: set[str]) -> str:
    """The name without its suffix, with a number if another image has it; adds it to ``taken``."""
    stem = str(PurePosixPath(name).with_suffix(""))
    numbered = (f"{stem}-{number}" for number in count(2))
    chosen = next(text for text in chain([stem], numbered) if text not in taken)
    taken.add(chosen)
    return chosen


def predict(
    stored: StoredRun,
    detector: Detector,
    files: Sequence[ImageFile],
    score_threshold: float,
    truth: GroundTruth | None,
    warn: Callable[[str], None],
) -> Iterator[Prediction]:
    """Detect on image files, with the settings and the precision that the run was scored with.

    Args:
        detector: of ``trained_detector``.
        score_threshold: detections of a lower score are left out; the run's own threshold, NMS and
            limit hold anyway.
        warn: told of every image that cannot be read; the others go on.
    """
    suite = stored.run.suite
    batch_size = suite.schedule.batch_size
    for start in range(0, len(files), batch_size):
        images: list[AnnotatedImage] = []
        pixels: list[ImageArray] = []
        done: list[tuple[ImageFile, AnnotatedImage | None]] = []
        for file in files[start : start + batch_size]:
            try:
                annotated, image = _read(file.path, truth)
            except DataError as error:
                # Ways out that concern a data set have no place here.
                warn(f"{str(error).partition(';')[0]}; left out")
                continue
            height, width = image.shape[:2]
            images.append(_unannotated(len(images), str(file.path), width, height))
            pixels.append(resize(image, suite.input))
            done.append((file, annotated))
        if not images:
            continue
        dataset: Dataset = replace(no_images(stored.classes), images=tuple(images))
        rows = detect(
            detector, pixels, dataset, suite.input,
            batch_size=batch_size, precision=suite.precision,
        )  # fmt: skip
        by_image: defaultdict[int, list[DetectionRow]] = defaultdict(list)
        for row in _rounded(rows):
            if row["score"] >= score_threshold:
                by_image[row["image_id"]].append(row)
        for number, (file, annotated) in enumerate(done):
            declared = annotated.size if annotated else None
            yield Prediction(file, tuple(by_image[number]), annotated, declared)


def _rounded(rows: Sequence[DetectionRow]) -> Iterator[DetectionRow]:
    """Rows with the digits that are stored and scored."""
    table = tabulate(rows, "detections")
    columns = (table.image_ids, table.category_ids, table.boxes, table.scores)
    for image, category, box, score in zip(*(c.tolist() for c in columns), strict=True):
        yield {"image_id": image, "category_id": category, "bbox": box, "score": score}


def _read(path: Path, truth: GroundTruth | None) -> tuple[AnnotatedImage | None, ImageArray]:
    """An image ``[H, W, 3]``, turned as its annotations are, and these if it has any."""
    annotated = truth.find(path) if truth else None
    if annotated is not None:
        try:
            return annotated, decode(path, annotated.size)
        except DataError:  # another image of this name, or a file that is damaged
            pass
    return None, decode(path, None)


def _unannotated(number: int, name: str, width: int, height: int) -> AnnotatedImage:
    boxes, labels = as_boxes([]), as_labels([])
    return AnnotatedImage(number, name, width, height, boxes, labels, np.empty(0), boxes, labels)
