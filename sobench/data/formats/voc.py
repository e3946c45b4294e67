"""PASCAL VOC: one XML file per image, and text files that list the images of a split."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from sobench.data.annotation_files import finite_numbers, read_image_ids, read_regular, shown
from sobench.data.annotations import (
    LARGEST_SIDE,
    AnnotatedBox,
    ReadReport,
    Split,
    check_class_names,
    check_inside,
    outside_files,
    to_annotated_image,
    zero_size_reason,
)
from sobench.data.dataset import AnnotatedImage, Dataset, Size, SkippedRow
from sobench.data.image_lists import list_images
from sobench.data.images import ImageFiles, read_size
from sobench.errors import DataError, did_you_mean
from sobench.suite.datasets import VocData

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
CORNERS = ("xmin", "ymin", "xmax", "ymax")

DIFFICULT = "difficult objects, ignored for their class"
TRAINED = "difficult objects, trained on like the others"


def sources(root: Path, spec: VocData, split: Split) -> tuple[list[Path], list[Path]]:
    """Image sets and annotation files of a split, each sorted, and the image folders.

    Raises:
        DataError: an image set is missing or malformed.
    """
    files: list[Path] = []
    images: list[Path] = []
    for base, image_set in _image_sets(root, spec, split):
        annotations, folder = base / "Annotations", base / "JPEGImages"
        stems = sorted(_stems(root, spec, base, image_set))
        files += [_set_file(base, image_set), *(annotations / f"{stem}.xml" for stem in stems)]
        images.append(folder)
        if spec.outside_root:
            names = _image_names(folder)
            trees = ((stem, _tree(annotations / f"{stem}.xml")) for stem in stems)
            images += outside_files([_image_name(*pair, names) for pair in trees], folder)
    return files, images


def identity(_root: Path, spec: VocData) -> tuple[str, ...]:
    """The class names, if they are not those of VOC."""
    return spec.classes or ()


def read(root: Path, spec: VocData, split: Split) -> Dataset:
    """Read one split; ``"VOC2007/trainval + VOC2012/trainval"`` joins image sets below ``root``.

    Coordinates of the files are 1-based and inclusive, so a box is ``xmin - 1, ymin - 1, xmax,
    ymax``; one whose corners coincide in a direction counts as having no size. A difficult object
    becomes an ignore region of its class, but of the training images an object with ``difficult:
    train``. Images are needed only if the XML states no size.

    Raises:
        DataError: a file is missing or malformed, or a class is unknown.
    """
    classes = spec.classes or CLASSES
    check_class_names(classes, "dataset.classes")
    labels = {name: label for label, name in enumerate(classes)}
    report = ReadReport()
    is_trained = split == "train" and spec.difficult == "train"
    images: list[AnnotatedImage] = []
    paths: list[Path] = []
    for base, image_set in _image_sets(root, spec, split):
        annotations, folder = base / "Annotations", base / "JPEGImages"
        if not annotations.is_dir():
            raise DataError(f"{annotations}: no such annotation folder; correct dataset.root")
        names = _image_names(folder)
        for stem in _stems(root, spec, base, image_set):
            file = annotations / f"{stem}.xml"
            tree = _tree(file)
            name = _image_name(stem, tree, names)
            # The fingerprint covers the folder alone, unless images may be elsewhere.
            check_inside(name, folder, () if spec.outside_root else (folder,), f"{file}: filename")
            path = folder / name
            boxes = _boxes(tree, labels, file, report, is_trained)
            size = _size(tree, file) or read_size(path)
            images.append(to_annotated_image(len(images) + 1, path.name, size, boxes, file, report))
            paths.append(path)
    return Dataset(
        title=f"VOC {spec.train if split == 'train' else spec.val}",
        classes=tuple(classes),
        category_ids=tuple(range(1, len(classes) + 1)),
        images=tuple(images),
        read_image=ImageFiles(tuple(paths), tuple(image.size for image in images)),
        skipped=tuple(report.skipped),
        notes=report.notes,
    )


def class_names(annotations: Path) -> tuple[str, ...]:
    """The names of all objects in a folder of annotation files, in alphabetical order.

    Raises:
        DataError: a file is not XML.
    """
    trees = map(_tree, sorted(annotations.glob("*.xml")))
    names = (object_.findtext("name") or "" for tree in trees for object_ in tree.findall("object"))
    return tuple(sorted({name.strip() for name in names} - {""}))


def _image_sets(root: Path, spec: VocData, split: Split) -> list[tuple[Path, str]]:
    """For every part of a split, the folder that holds ``ImageSets`` and the name of the set."""
    joined = spec.train if split == "train" else spec.val
    parts = []
    for part in joined.split("+"):
        folder, _, image_set = part.strip().rpartition("/")
        if not image_set:
            raise DataError(
                f"dataset.{split}: {shown(joined)} has a part without an image set; "
                "write 'trainval' or 'VOC2007/trainval + VOC2012/trainval'"
            )
        parts.append((root / folder, image_set))
    return parts


def _set_file(base: Path, image_set: str) -> Path:
    return base / "ImageSets" / "Main" / f"{image_set}.txt"


def _stems(root: Path, spec: VocData, base: Path, image_set: str) -> list[str]:
    """The images of an image set, by the names of their annotation files without the suffix."""
    file, annotations = _set_file(base, image_set), base / "Annotations"
    ids = read_image_ids(file)
    allowed = () if spec.outside_root else (root, base)
    for stem, row in ids.items():
        check_inside(stem, annotations, allowed, f"{file}, row {row}")
    return list(ids)


def _image_names(folder: Path) -> dict[str, str]:
    """Stem -> name of the image files of a folder, which need not exist."""
    return {Path(name).stem: name for name in list_images(folder)} if folder.is_dir() else {}


def _tree(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(read_regular(file))
    except FileNotFoundError:
        raise DataError(
            f"{file}: no such annotation file; add it or remove the image from its image set"
        ) from None
    except ElementTree.ParseError as error:
        raise DataError(f"{file}: is not valid XML ({error}); replace it") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); replace it") from None
    # A LookupError for an encoding that nobody knows.
    except (ValueError, LookupError) as error:
        raise DataError(f"{file}: cannot be read ({error}); replace it") from None


def _image_name(stem: str, tree: ElementTree.Element, names: Mapping[str, str]) -> str:
    """The image of an annotation: by the annotation's own name, then by its ``<filename>``."""
    stated = (tree.findtext("filename") or "").strip()
    return names.get(stem) or names.get(Path(stated).stem) or stated or f"{stem}.jpg"


def _size(tree: ElementTree.Element, file: Path) -> Size | None:
    """Height and width, or ``None`` if the file leaves them out or states 0."""
    names = ("width", "height")
    cells = [tree.findtext(f"size/{name}") or "0" for name in names]
    width, height = finite_numbers(cells, names, file, "size")
    if max(width, height) > LARGEST_SIDE:
        raise DataError(
            f"{file}, size: {width:g}x{height:g} is not a size in pixels; correct it or remove it"
        )
    return (int(height), int(width)) if min(width, height) >= 1 else None


def _boxes(
    tree: ElementTree.Element,
    labels: Mapping[str, int],
    file: Path,
    report: ReadReport,
    is_trained: bool,
) -> list[AnnotatedBox]:
    """The objects of a file; ``is_trained`` makes the difficult ones like the others."""
    boxes = []
    for number, element in enumerate(tree.findall("object"), start=1):
        where = f"object {number}"
        label = _label(element, labels, f"{file}, {where}")
        # findtext takes the first match, which is the box of the object and not that of a part.
        cells = [element.findtext(f"bndbox/{name}") or "" for name in CORNERS]
        xmin, ymin, xmax, ymax = finite_numbers(cells, CORNERS, file, where)
        # Before the shift by a pixel below, which gives coinciding corners an area.
        reason = zero_size_reason(xmin, ymin, xmax, ymax)
        if reason:
            report.skipped.append(SkippedRow(str(file), where, reason))
            continue
        difficult = _difficult(element, f"{file}, {where}")
        if difficult:
            report.notes[TRAINED if is_trained else DIFFICULT] += 1
        ignore = difficult and not is_trained
        boxes.append(AnnotatedBox(where, (xmin - 1, ymin - 1, xmax, ymax), label, ignore))
    return boxes


def _label(element: ElementTree.Element, labels: Mapping[str, int], place: str) -> int:
    name = (element.findtext("name") or "").strip()
    if name not in labels:
        raise DataError(
            f"{place}: unknown class {shown(name)}, correct it or set dataset.classes;"
            f"{did_you_mean(name, labels)}"
        )
    return labels[name]


def _difficult(element: ElementTree.Element, place: str) -> bool:
    text = (element.findtext("difficult") or "0").strip()
    if text not in ("0", "1"):
        raise DataError(f"{place}: difficult is {shown(text)}; write 0 or 1")
    return text == "1"
