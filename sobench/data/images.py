"""Image files: measured by their headers, and decoded to RGB from any mode."""

from __future__ import annotations

import math
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from sobench.data.dataset import AnnotatedImage, ImageArray, Size
from sobench.errors import DataError
from sobench.regular_files import open_regular

STRETCHED = "images of more than 8 bits, scaled by their own range"
HIGH_BYTE = "colour images of 16 bits, of which the high byte is kept; convert them to 8 bits"

LARGEST = Image.MAX_IMAGE_PIXELS or 2**26
"""Pixels of the largest picture that is decoded: Pillow's bound for a doubtful one.

Decoding and resizing hold it several times, 1.4 GB in all."""

_STRIP = 1024
"""Rows that are converted to RGB at once."""

# No others, whatever a file is called: for some, Pillow would start programs.
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")

_WAY_OUT = "replace it or remove its row"
_DIRECT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")

# EXIF 2.3, tag 0x0112: the turn that makes stored pixels upright.
_UPRIGHT: dict[int, Callable[[ImageArray], ImageArray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}
_INVERSE = {6: 8, 8: 6}

# Warning filters belong to the process, so only one thread at a time may exchange them.
_FILTERS = threading.Lock()


@dataclass(frozen=True)
class ImageFiles:
    """Image files as a dataset's ``read_image``; can be pickled for worker processes.

    Attributes:
        paths: one file per image.
        sizes: height and width in pixels that the annotations were made for.
    """

    paths: tuple[Path, ...]
    sizes: tuple[Size, ...]

    @classmethod
    def of(cls, images: Iterable[AnnotatedImage], folder: Path) -> ImageFiles:
        """The files of annotated images, whose names are relative to ``folder``."""
        images = list(images)
        return cls(
            tuple(folder / image.name for image in images),
            tuple(image.size for image in images),
        )

    def __call__(self, index: int) -> ImageArray:
        """``[H, W, 3]`` uint8 RGB of image ``index``; raises ``DataError`` for a broken file."""
        return decode(self.paths[index], self.sizes[index])


@dataclass(frozen=True)
class _Header:
    """Size of the pixels as they are stored (height, width) and EXIF orientation 1..8."""

    stored: Size
    orientation: int

    @property
    def upright(self) -> Size:
        height, width = self.stored
        return (width, height) if self.orientation >= 5 else (height, width)


def read_size(path: Path) -> Size:
    """Height and width in pixels after the orientation tag, from the header alone.

    Raises:
        DataError: the file is missing or not an image.
    """
    with _opened(path) as (_, header):
        return header.upright


def decode(path: Path, declared: Size | None) -> ImageArray:
    """Decode one image.

    The EXIF orientation is obeyed, unless only the stored size is the declared one: then the
    annotation was made on the pixels as they are stored. (An orientation that a PNG file states
    after its pixels is not seen.) Alpha is dropped, not blended. Grey values of 16 bits are scaled
    by the picture's own range; of 16-bit colours the high byte is kept.

    Args:
        path: the image file.
        declared: height and width in pixels according to the annotation, if it states them.

    Returns:
        ``[H, W, 3]`` uint8 RGB, contiguous and writable.

    Raises:
        DataError: the file is missing or broken, has a mode without RGB meaning, or a size other
            than the declared one.
    """
    with _opened(path) as (image, header):
        if declared not in (None, header.upright, header.stored):
            raise DataError(_wrong_size(path, header, declared))
        pixels = _pixels(image, path)
        # Pillow turns TIFF files upright while it loads them, and no others.
        loaded_upright = image.format == "TIFF" or header.orientation == 1
    # Upright pixels unless the annotation was made on the stored ones, whichever Pillow gave.
    if declared in (None, header.upright):
        turn = 1 if loaded_upright else header.orientation
    else:
        turned_back = _INVERSE.get(header.orientation, header.orientation)
        turn = turned_back if loaded_upright else 1
    return np.ascontiguousarray(_UPRIGHT[turn](pixels)) if turn in _UPRIGHT else pixels


def _wrong_size(path: Path, header: _Header, declared: Size | None) -> str:
    assert declared is not None
    stored = ""
    if header.stored != header.upright:
        stored = f" ({_width_x_height(header.stored)} before its orientation tag)"
    return (
        f"{path}: has {_width_x_height(header.upright)} pixels{stored}, but its annotation says "
        f"{_width_x_height(declared)}; correct the annotation or replace the image"
    )


def _width_x_height(size: Size) -> str:
    height, width = size
    return f"{width}x{height}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, _Header]]:
    """The image before its pixels are read, and its header; closes the file in any case."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image file; put it back or remove its row") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); {_WAY_OUT}") from None
    with file:
        try:
            # Pillow warns about large pictures and odd metadata; the user need not care.
            with _FILTERS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(file, formats=_FORMATS)
                header = _header(image)
        except UnidentifiedImageError:
            formats = f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
            raise DataError(
                f"{path}: is not an image in {formats}; convert it, or {_WAY_OUT}"
            ) from None
        except Image.DecompressionBombError:
            raise DataError(_too_large(path)) from None
        # Decoders of damaged files raise whatever comes first: RuntimeError, MemoryError, ...
        except Exception as error:
            raise DataError(_broken(path, error)) from None
        if math.prod(header.stored) > LARGEST:
            raise DataError(_too_large(path))
        if min(header.stored) < 1:
            raise DataError(f"{path}: has no pixels; {_WAY_OUT}")
        with image:
            yield image, header


def count_deep(paths: Iterable[Path]) -> Counter[str]:
    """Counts of the images of more than 8 bits, by what is done to them; headers alone are read.

    Only PNG and TIFF files have so many, so that other files need not be opened.

    Raises:
        DataError: a file is missing or not an image.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            continue
        with _opened(path) as (image, _):
            if image.mode in _DEEP_MODES:
                counts[STRETCHED] += 1
            elif any(";16" in str(tile) for tile in getattr(image, "tile", ())):
                counts[HIGH_BYTE] += 1
    return counts


def _header(image: Image.Image) -> _Header:
    width, height = image.size
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        # Newer versions of Pillow give the upright size of a TIFF file, older ones the stored one.
        width, height = int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    try:
        # The base class, because PngImageFile.getexif decodes the pixels first.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged tag may raise anything, and is no reason to refuse the pixels
        orientation = 1
    return _Header((height, width), orientation if orientation in _UPRIGHT else 1)


def _pixels(image: Image.Image, path: Path) -> ImageArray:
    """``[H, W, 3]`` uint8 RGB, turned as Pillow loads it."""
    try:
        image.load()
        if image.mode in _DEEP_MODES:
            grey = _stretched(np.asarray(image), path)
            return np.repeat(grey[:, :, None], 3, axis=2)
        if image.mode not in _DIRECT_MODES:
            raise DataError(
                f"{path}: pixels of mode {image.mode} have no RGB meaning; "
                "convert it to 8-bit RGB or remove its row"
            )
        # If this stays, the conversion blends, warns or looks for a spare colour.
        image.info.pop("transparency", None)
        return _as_rgb(image)
    except DataError:
        raise
    except Exception as error:
        raise DataError(_broken(path, error)) from None


def _as_rgb(image: Image.Image) -> ImageArray:
    """``[H, W, 3]`` uint8, converted strip by strip: a large picture is not held three times."""
    width, height = image.size
    if height <= _STRIP:
        return np.array(image.convert("RGB"), dtype=np.uint8)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        strip = image.crop((0, top, width, bottom))
        pixels[top:bottom] = np.asarray(strip.convert("RGB"))
    return pixels


def _stretched(values: np.ndarray, path: Path) -> ImageArray:
    """``[H, W]`` uint8 of 16-bit grey values: the smallest becomes 0, the largest 255.

    Sensors of 10 to 14 bits leave the high byte of 16 nearly empty, and the picture black. 32-bit
    integers are read if they fit 16 bits. A picture of one value becomes 0.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF:
        raise DataError(
            f"{path}: grey values {low}..{high} exceed 16 bits; "
            "convert it to 8-bit RGB or remove its row"
        )
    span = max(high - low, 1)
    # Whole numbers, rounded half up: the same on every machine.
    stretched = ((values.astype(np.uint32) - low) * 510 + span) // (2 * span)
    return stretched.astype(np.uint8)


def _too_large(path: Path) -> str:
    return f"{path}: has more than {LARGEST:,} pixels; cut it into tiles or remove its row"


def _broken(path: Path, error: Exception) -> str:
    reason = str(error).partition("\n")[0][:200] or type(error).__name__
    return f"{path}: is damaged ({reason}); {_WAY_OUT}"
