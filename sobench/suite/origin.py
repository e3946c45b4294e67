"""Trained detectors from outside of a suite that rows start from; needs no torch.

A place is a file, the folder of a finished run, or a folder that holds a single one. It counts by
the content of its weights, wherever it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sobench.errors import SuiteError, did_you_mean, reason_of
from sobench.regular_files import open_regular
from sobench.suite.paths import expanded
from sobench.suite.weights import file_digest
from sobench.text import plain, quoted
from sobench.yaml_text import as_written

_RECORD = "record.json"
_WAY_OUT = (
    "write the folder of a finished run, the file of its checkpoint or of a state dict, or the "
    "label of another row"
)


@dataclass(frozen=True)
class Origin:
    """The weights that a row starts from.

    Attributes:
        place: as the suite has it, with the placeholders filled in.
        path: the file of the weights.
        digest: of the file's content.
        training: what is known of the training, in words; empty for a bare file.
        method, switches: of that training, if a record tells them.
        classes: names of the classes in the order of their labels, if a record tells them.
        renamed: class of the suite -> class of these weights, where their names differ.
    """

    place: str
    path: Path
    digest: str
    training: str = ""
    method: str = ""
    switches: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """All of it that can change a result."""
        return {
            "weights": self.digest,
            "classes": list(self.classes),
            "renamed": dict(self.renamed),
        }

    def described(self, method: str, switches: Mapping[str, Any]) -> str:
        """Where the weights are from, as it is printed with a row of this method."""
        parts = [f"the weights of {self.place}", self.training or "of which no record is known"]
        if self.method not in ("", method):
            parts.append(f"of method {self.method}")
        parts += [
            f"{key}: {as_written(value)}"
            for key, value in self.switches.items()
            if switches.get(key, value) != value
        ]
        parts += [f"{new} from {old}" for new, old in self.renamed.items()]
        return ", ".join(parts)


def origin_of(place: str, renamed: Mapping[str, str] | None = None) -> Origin:
    """The weights at a place, and what their run's record says of them.

    Raises:
        SuiteError: there is no file, no finished run or more than one, or a class is unknown.
    """
    try:
        path, record = _weights_and_record(expanded(place), place)
        digest = file_digest(path)
    except KeyError as error:
        raise SuiteError(
            f"init_from: {place} needs the variable {error.args[0]}, which is not set; export it, "
            f"or {_WAY_OUT}"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else reason_of(error)
        raise SuiteError(f"init_from: {place}: {reason}; {_WAY_OUT}") from None
    classes = _classes(record)
    for new, old in (renamed or {}).items():
        if classes and old not in classes:
            raise SuiteError(
                f"init_classes: {new}: {quoted(old)} is not a class of {place};"
                f"{did_you_mean(old, classes)}"
            )
    settings = _settings(record)
    return Origin(
        place,
        path,
        digest,
        training=_training(record),
        method=str(settings.get("method", "")),
        switches=_mapping(settings.get("switches")),
        classes=classes,
        renamed=dict(renamed or {}),
    )


def _weights_and_record(path: Path, place: str) -> tuple[Path, dict[str, Any]]:
    """The file of the weights at a path, and the record of their run or nothing."""
    if not path.is_dir():
        if not path.is_file():
            path.stat()  # says why
            raise SuiteError(f"init_from: {place}: not a regular file; {_WAY_OUT}")
        record = _read(path.parent / _RECORD)
        is_of_record = path.name.startswith(f"checkpoint-{_last_step(record):08d}-")
        return path, record if is_of_record else {}
    records = [_read(path / _RECORD)]
    folders = [path]
    if not records[0]:
        folders = sorted(file.parent for file in path.glob(f"*/{_RECORD}"))
        records = [_read(folder / _RECORD) for folder in folders]
    finished = [pair for pair in zip(folders, records, strict=True) if pair[1].get("scores")]
    if len(finished) != 1:
        names = ", ".join(plain(folder.name) for folder, _ in finished[:3])
        count = f"{len(finished)} finished runs ({names})" if finished else "no finished run"
        raise SuiteError(f"init_from: {place}: holds {count}; {_WAY_OUT}")
    ((folder, record),) = finished
    files = sorted(folder.glob(f"checkpoint-{_last_step(record):08d}-*.pt"))
    if not files:
        raise SuiteError(
            f"init_from: {place}: the run has no checkpoint of its last step; train it anew"
        )
    # Of several one is damaged: a name ends in the first digits of its content's SHA-256.
    sound = [file for file in files if f"-{file_digest(file)}" in file.name]
    if not sound:
        raise SuiteError(
            f"init_from: {place}: {files[-1].name} is damaged; delete it and train the run anew"
        )
    return sound[-1], record


def _read(path: Path) -> dict[str, Any]:
    """The content of a record; empty if it is not there or cannot be read as one."""
    try:
        status = path.stat()
        return _parsed(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, RecursionError):
        return {}


@cache
def _parsed(path: Path, modified: int, size: int) -> dict[str, Any]:
    del modified, size  # part of the cache's key, as for digests
    with open_regular(path) as file:
        content = json.load(file)
    return content if isinstance(content, dict) else {}


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(record.get("settings"))


def _mapping(content: object) -> Mapping[str, Any]:
    return content if isinstance(content, dict) else {}


def _last_step(record: Mapping[str, Any]) -> int:
    try:
        return int(record["history"][-1]["step"])
    except (LookupError, TypeError, ValueError, OverflowError):
        return 0


def _classes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes, which every set of scores has in the order of their labels."""
    try:
        return tuple(map(str, next(iter(record["scores"].values()))["per_class"]))
    except (LookupError, TypeError, AttributeError, StopIteration):
        return ()


def _training(record: Mapping[str, Any]) -> str:
    """A record in words; empty without one."""
    if not record:
        return ""
    dataset = _mapping(_settings(record).get("dataset"))
    data = " ".join(str(dataset[key]) for key in ("format", "train") if key in dataset)
    texts = [f"trained on {data} ({len(_classes(record))} classes)"]
    texts += [f"{record.get('label')} seed {record.get('seed')} of suite {record.get('suite')}"]
    if record.get("status") == "partial":
        texts += [f"partial: {record.get('reason')}"]
    return plain(", ".join(texts), 500)
