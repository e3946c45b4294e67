"""The file that keeps matches beside the record of a run: a small ``.npz`` without pickled code."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray
from sobench.errors import DataError
from sobench.files import write_atomic
from sobench.metrics.detections import SCORE_DECIMALS
from sobench.metrics.matches import Int32Array, Matches, outcome_shape
from sobench.metrics.matching import IGNORED, TRUE
from sobench.suite.protocols import PROTOCOLS

Arrays = dict[str, NDArray[Any]]

_LAYOUT = 1
"""Version of the file's arrays."""

DAMAGE = (
    OSError, EOFError, ValueError, LookupError, TypeError, OverflowError, MemoryError,
    RecursionError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""All that reading a damaged file of arrays may raise."""


def write_matches(path: Path, matches: Matches) -> None:
    """Write matches, whole or not at all; identical ones give identical bytes with one zlib.

    Raises:
        OSError: the file cannot be written.
    """
    head = {
        "layout": _LAYOUT,
        "protocol": matches.protocol,
        "protocol_version": matches.protocol_version,
        "detections": matches.detections,
        "classes": matches.classes,
        "shape": [len(matches.image), *matches.num_objects.shape],
    }
    arrays: Arrays = {
        "head": np.frombuffer(json.dumps(head).encode(), np.uint8),
        "image_ids": matches.image_ids,
        "image": _small(matches.image),
        "of_class": np.bincount(matches.label, minlength=len(matches.classes)),
        **_packed_scores(matches.score),
        "true": _packed(matches.outcome == TRUE),
        "ignored": _packed(matches.outcome == IGNORED),
        "num_objects": _small(matches.num_objects),
        "found": _small(matches.found[matches.outcome[0, 0] == TRUE]),
        "object_image": _small(matches.object_image),
        "object_label": _small(matches.object_label),
        "object_area": matches.object_area,
    }
    write_arrays(path, arrays)


def read_matches(path: Path) -> Matches:
    """Read a file that ``write_matches`` has written.

    Raises:
        DataError: the file is missing, damaged or of another version of the protocol.
    """
    try:
        return _matches(read_arrays(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; sobench run makes it") from error
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: the matches are not readable ({reason}); "
            "delete it, and the next sobench run makes it again"
        ) from error


def is_of(path: Path, digest: str) -> bool:
    """Whether a file holds the matches of the detections with this SHA-256, undamaged."""
    try:
        head = json.loads(read_arrays(path, ("head",))["head"].tobytes())
        protocol = PROTOCOLS[head["protocol"]]
        written = (head["layout"], head["protocol_version"], head["detections"])
        return bool(written == (_LAYOUT, protocol.version, digest))
    except DAMAGE:
        return False


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an ``.npz`` without pickled code, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path, names: tuple[str, ...] = ()) -> Arrays:
    """The arrays of these names, or all, of a file whose members all fit their checksums.

    Raises:
        Exception: one of ``DAMAGE``.
    """
    if names:  # what is read is checked by reading it
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} does not fit its checksum")
    # Opened here, for numpy leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in names or stored.files}


def _matches(arrays: Arrays) -> Matches:
    """Matches from the arrays of a file; raises any of many errors if they do not fit together."""
    head = json.loads(arrays["head"].tobytes())
    if head["layout"] != _LAYOUT:
        raise ValueError(f"layout {head['layout']}, and this sobench reads {_LAYOUT}")
    protocol = PROTOCOLS[head["protocol"]]
    if head["protocol_version"] != protocol.version:
        raise ValueError(f"protocol {protocol.name} v{head['protocol_version']} is not the present")
    detections, areas, images, classes = head["shape"]
    expected_areas, thresholds = outcome_shape(protocol)
    image, of_class = arrays["image"].astype(np.int32), arrays["of_class"]
    label = np.repeat(np.arange(classes, dtype=np.int32), of_class)
    true, ignored = (
        _unpacked(arrays[name], (areas, thresholds, detections)) for name in ("true", "ignored")
    )
    found = np.full(detections, -1, np.int32)
    found[true[0, 0]] = arrays["found"]
    objects = len(arrays["object_image"])
    matches = Matches(
        protocol.name, protocol.version, str(head["detections"]),
        image_ids=arrays["image_ids"], classes=tuple(map(str, head["classes"])),
        image=image, label=label, score=_unpacked_scores(arrays), rank=_ranks(image, label, images),
        outcome=true.astype(np.int8) - ignored.astype(np.int8),
        num_objects=arrays["num_objects"].astype(np.int32).reshape(areas, images, classes),
        found=found, object_image=arrays["object_image"].astype(np.int32),
        object_label=arrays["object_label"].astype(np.int32), object_area=arrays["object_area"],
    )  # fmt: skip
    fits = (
        areas == expected_areas and images == len(matches.image_ids)
        and classes == len(matches.classes) == len(of_class)
        and detections == len(image) == len(label) == len(matches.score)
        and objects == len(matches.object_label) == len(matches.object_area)
        and not (true & ignored).any()
        and all(
            values.min(initial=0) >= low and values.max(initial=-1) < high
            for values, low, high in (
                (image, 0, images), (matches.object_image, 0, images),
                (matches.object_label, 0, classes), (found, -1, objects),
            )
        )
    )  # fmt: skip
    if not fits:
        raise ValueError("its arrays do not fit together")
    return matches


def _ranks(image: Int32Array, label: Int32Array, images: int) -> Int32Array:
    """The rank of each detection in its image and class, in which they stand by falling score."""
    cells = label.astype(np.int64) * images + image
    order = np.argsort(cells, kind="stable")
    rank = np.empty(len(cells), np.int32)
    rank[order] = np.arange(len(cells)) - np.searchsorted(cells[order], cells[order])
    return rank


def _small(values: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """The same integers, none negative, in as few bytes each as they need."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _packed(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Flags ``[A, T, D]`` as bits of what changes from one threshold to the next: mostly zeros."""
    changes = flags.copy()
    changes[:, 1:] ^= flags[:, :-1]
    return np.packbits(changes)


def _unpacked(bits: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    count = int(np.prod(shape))
    if bits.dtype != np.uint8 or len(bits) != -(-count // 8):
        raise ValueError("a number of outcomes that is not that of the detections")
    changes = np.unpackbits(bits, count=count).reshape(shape)
    return np.bitwise_xor.accumulate(changes, axis=1).astype(np.bool_)


def _packed_scores(scores: FloatArray) -> Arrays:
    """Scores as differences of multiples of 1e-9, if that gives them back to the bit."""
    with np.errstate(all="ignore"):
        steps = np.rint(scores * 10**SCORE_DECIMALS)
    if np.abs(steps).max(initial=0) < 2**53 and np.array_equal(_from_steps(steps), scores):
        return {"steps": np.diff(steps.astype(np.int64), prepend=0)}
    return {"score": scores}


def _from_steps(steps: NDArray[Any]) -> FloatArray:
    scores: FloatArray = steps / 10.0**SCORE_DECIMALS
    return scores


def _unpacked_scores(arrays: Arrays) -> FloatArray:
    if "steps" in arrays:
        return _from_steps(np.cumsum(arrays["steps"]))
    scores: FloatArray = arrays["score"].astype(np.float64)
    return scores
