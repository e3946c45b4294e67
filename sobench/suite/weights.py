"""Which weights a backbone starts from, told by their content; needs no torch."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from sobench.errors import SuiteError
from sobench.suite.network import Backbone
from sobench.suite.paths import expanded

IMAGENET = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnext101_32x8d": "resnext101_32x8d-8ba56ff5.pth",
    "resnext101_64x4d": "resnext101_64x4d-173b62eb.pth",
    "vgg16": "vgg16-397923af.pth",
}
"""The files of torchvision's ImageNet weights; a name ends in the first digits of its SHA-256."""

_DIGITS = 12


def published_digest(name: str) -> str:
    """The first digits of the SHA-256 of a backbone's ImageNet weights."""
    return Path(IMAGENET[name]).stem.rpartition("-")[2]


def weights_id(settings: Backbone) -> str:
    """``none``, ``imagenet <digest>``, or the digest of the file, wherever it is.

    Raises:
        SuiteError: there is no such file, or it cannot be read.
    """
    if settings.weights == "none":
        return "none"
    if settings.weights == "imagenet":
        return f"imagenet {published_digest(settings.name)}"
    try:
        return file_digest(weights_file(settings))
    except OSError as error:
        raise SuiteError(
            f"backbone.weights: {settings.weights}: {error.strerror}; "
            "write `imagenet`, `none` or a file's path"
        ) from None


def weights_file(settings: Backbone) -> Path:
    """The file of weights that are given by a path.

    Raises:
        SuiteError: the path does not name a regular file; another would be waited for, or never
            end.
        OSError: nothing can be said of the path.
    """
    try:
        path = expanded(settings.weights)
        path.stat()
        if path.is_file():
            return path
        problem = "not a regular file"
    except KeyError as error:
        problem = f"needs the variable {error.args[0]}, which is not set"
    except (ValueError, RuntimeError) as error:  # NUL, half a character, no such home
        problem = str(error)
    raise SuiteError(
        f"backbone.weights: {settings.weights!r}: {problem}; "
        "write `imagenet`, `none` or a file's path"
    )


def content_digest(content: bytes) -> str:
    """The digest of weights that have been read."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def file_digest(path: Path) -> str:
    """The digest of a file of weights, which is read once while it stays as it is."""
    status = path.stat()
    return _file_digest(path, status.st_mtime_ns, status.st_size)


@cache
def _file_digest(path: Path, modified: int, size: int) -> str:
    """The digest of a file, which is read once: the settings of every run ask for it."""
    del modified, size  # part of the cache's key: they tell one state of the file from another
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
