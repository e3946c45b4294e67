"""What other tools call images and classes -> the ids of a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from sobench.data.annotation_files import shown
from sobench.data.dataset import AnnotatedImage, Dataset
from sobench.errors import DataError, did_you_mean
from sobench.metrics.foreign.rows import ForeignRows, Key, as_key
from sobench.text import shortened

_SHOWN = 10


def image_positions(rows: ForeignRows, dataset: Dataset) -> list[int]:
    """Where each of ``rows.image_keys`` stands among the images of the data set.

    A name is a file name, with or without folders and suffix, or else an id in digits. A number is
    an id; if not all numbers are ids but all are names in digits, such as 7 for ``000007.jpg``,
    they are taken as names.

    Raises:
        DataError: an image is not one of the data set, or could be one of two.
    """
    by_id = {image.id: position for position, image in enumerate(dataset.images)}
    by_name, by_number = _by_name(dataset.images), _by_number(dataset.images)
    numbers = [key for key in rows.image_keys if isinstance(key, int)]
    are_ids = all(number in by_id for number in numbers)
    are_names = bool(numbers) and all(number in by_number for number in numbers)
    if are_ids and are_names and any(by_id[n] != by_number[n] for n in numbers):
        example = next(n for n in numbers if by_id[n] != by_number[n])
        raise DataError(
            f"{_place(rows, rows.image, example, rows.image_keys)}: image_id {example} is the id "
            f"of {shown(dataset.images[by_id[example]].name)} and the number of "
            f"{shown(dataset.images[by_number[example]].name)}; give file_name in every row"
        )
    of_numbers = by_number if are_names and not are_ids else by_id
    positions = []
    for key in rows.image_keys:
        found = of_numbers.get(key) if isinstance(key, int) else _named(key, by_name, by_id)
        if found is None:
            place = _place(rows, rows.image, key, rows.image_keys)
            raise DataError(f"{place}: {_unknown_image(key, dataset, by_name)}")
        if found < 0:
            place = _place(rows, rows.image, key, rows.image_keys)
            raise DataError(
                f"{place}: two images of {dataset.title} are called {shown(key)}; write the name "
                "with its folder"
            )
        positions.append(found)
    return positions


def class_positions(rows: ForeignRows, dataset: Dataset) -> list[int]:
    """Where each of ``rows.class_keys`` stands among the classes of the data set.

    Raises:
        DataError: a class is not one of the data set.
    """
    by_id = {number: label for label, number in enumerate(dataset.category_ids)}
    # The numbers of YOLO's own data are ids that begin at 0.
    if rows.are_positions and 0 not in by_id:
        by_id = {label: label for label in range(len(dataset.classes))}
    by_name = {name: label for label, name in enumerate(dataset.classes)}
    positions = []
    for key in rows.class_keys:
        found = by_id.get(key) if isinstance(key, int) else by_name.get(key)
        if found is None:
            place = _place(rows, rows.label, key, rows.class_keys)
            raise DataError(f"{place}: {_unknown_class(key, rows, by_id, dataset)}")
        positions.append(found)
    return positions


def _by_name(images: Sequence[AnnotatedImage]) -> Mapping[str, int]:
    """File name with and without folders and suffix -> position; -1 where two are called so."""
    found: dict[str, int] = {}
    # The longest form of a name counts first, so that a shorter one is only ambiguous as itself.
    forms: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for position, image in enumerate(images):
        path = PurePath(image.name)
        whole = dict.fromkeys((str(path), str(path.with_suffix("")), path.name, path.stem))
        for rank, form in enumerate(whole):
            forms[rank].append((form, position))
    for rank in sorted(forms):
        new: dict[str, int] = {}
        for form, position in forms[rank]:
            new[form] = position if new.get(form, position) == position else -1
        found = new | found
    return found


def _by_number(images: Sequence[AnnotatedImage]) -> dict[int, int]:
    """Number that a file is called by -> position; of files with one number, none counts."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        number = as_key(PurePath(image.name).stem)
        if isinstance(number, int):
            numbers[number].append(position)
    return {number: found[0] for number, found in numbers.items() if len(found) == 1}


def _named(key: str, by_name: Mapping[str, int], by_id: Mapping[int, int]) -> int | None:
    """The position of an image of this name; -1 for one of two, ``None`` for none."""
    path = PurePath(key)
    for form in (key, str(path), path.name, path.stem):
        if form in by_name:
            return by_name[form]
    number = as_key(key)
    return by_id.get(number) if isinstance(number, int) else None


def _place(rows: ForeignRows, codes: Iterable[int], key: Key, keys: Sequence[Key]) -> str:
    """The first row with a key."""
    code = keys.index(key)
    return rows.place(next(index for index, value in enumerate(codes) if value == code))


def _unknown_image(key: Key, dataset: Dataset, by_name: Mapping[str, int]) -> str:
    what = f"{shown(key)} is not an image of {dataset.title}"
    if isinstance(key, int):
        ids = sorted(image.id for image in dataset.images)
        nearest = min(ids, key=lambda number: abs(number - key), default=None)
        return (
            f"{what} (ids {_few(ids)}; the nearest is {nearest}); score against the split that "
            "they were made on"
        )
    names = [form for form in by_name if "." in PurePath(key).name or "." not in form]
    return f"{what};{did_you_mean(key, names)}"


def _unknown_class(key: Key, rows: ForeignRows, by_id: Mapping[int, int], dataset: Dataset) -> str:
    what = f"{shown(key)} is not a class of {dataset.title}"
    if isinstance(key, str):
        return f"{what};{did_you_mean(key, dataset.classes)}"
    kind = "numbers" if rows.are_positions else "ids"
    valid = ", ".join(f"{number} {dataset.classes[label]}" for number, label in by_id.items())
    hint = ""
    if key == 0 and not rows.are_positions:
        hint = "; these look like positions from 0, and ids are asked for"
    return f"{what} ({kind}: {shortened(valid, 300)}){hint}"


def _few(numbers: Sequence[int]) -> str:
    more = f", ..., {numbers[-1]}" if len(numbers) > _SHOWN else ""
    return ", ".join(map(str, numbers[: _SHOWN if not more else _SHOWN - 1])) + more
