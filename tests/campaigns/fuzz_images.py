"""Damaged images of every format: decoded, or refused in a line, within bounds."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, features

from sobench.data.images import decode, read_size
from tests.campaigns import hostile
from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Case, Fuzz, run
from tests.campaigns.guard import Result

NAME = "fuzz_images"
OF_SUITES = ("BMP", "JPEG", "MPO", "PNG", "TIFF", "WEBP")
"""Formats that a data set would hold; nothing else may be opened, whatever its suffix is."""

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MODES = (
    "1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F",
    "I;16", "I;16B",
)  # fmt: skip
_PLAIN = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_COMPRESSIONS = (
    None,
    "tiff_lzw",
    "tiff_deflate",
    "packbits",
    "jpeg",
    "group4",
    "tiff_adobe_deflate",
)


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Fuzz images until the time is over."""
    return run(FUZZ, seed, seconds, folder)


def draw(random: Random) -> Case:
    """An image of a format and mode, mostly damaged, under any suffix."""
    name = random.choice(_PLAIN if random.random() < 0.6 else _formats())
    mode, suffix = random.choice(_MODES), random.choice(_SUFFIXES)
    times = random.choice((0, 1, 1, 1, 2, 5))
    seed = random.randrange(2**32)

    def content() -> bytes:
        again = Random(seed)
        data = saved(again, name, mode)
        for _ in range(times):
            data, _told = hostile.damage(again, data)
        return data

    title = f"{name} of {mode}, damaged at {times} places, as {suffix}"
    return case_of(title, content, suffix, "" if times else name)


@cache
def _formats() -> tuple[str, ...]:
    """All formats that Pillow can write here."""
    Image.init()
    absent = set() if features.check("avif") else {"AVIF"}
    return tuple(sorted(set(Image.SAVE) - absent))


def saved(random: Random, name: str, mode: str) -> bytes:
    """An image of this format, in this mode where the format has it."""
    pixels = np.random.default_rng(random.randrange(1000)).integers(0, 255, (13, 17, 3), np.uint8)
    picture = Image.fromarray(pixels)
    for choice in (mode, "RGB", "L", "1"):
        try:
            file = io.BytesIO()
            _converted(picture, choice).save(file, name, **_options(random, name))
            return file.getvalue()
        except Exception:  # Pillow writes none of it, for a reason of its own
            continue
    return b""


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if mode in ("I;16", "I;16B"):
        deep = np.asarray(picture.convert("L")).astype("<u2") * 257
        return Image.frombytes("I;16", picture.size, deep.tobytes()).convert(mode)
    if mode in ("LAB", "PA"):
        return Image.new(mode, picture.size, 3)
    return picture.convert(mode)


def _options(random: Random, name: str) -> dict[str, Any]:
    """Options of a format, and EXIF data that may be noise."""
    options: dict[str, Any] = {}
    if name == "TIFF":
        options["compression"] = random.choice(_COMPRESSIONS)
    if name in ("JPEG", "PNG", "WEBP", "TIFF") and random.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112] = random.choice((0, 1, 3, 6, 8, 9, 65535))
        data = exif.tobytes()
        if random.random() < 0.5:
            data = data[:6] + hostile.damage(random, data[6:])[0]
        options["exif"] = data
    if name == "PNG":
        options["bits"] = random.choice((1, 2, 4, 8))
    if name in ("GIF", "WEBP", "PNG", "TIFF") and random.random() < 0.3:
        options |= {"save_all": True, "append_images": [Image.new("RGB", (9, 9))] * 3}
    return options


def case_of(
    title: str, content: Callable[[], bytes], suffix: str, whole: str = "", refused: bool = False
) -> Case:
    """An image read by its header, decoded, and decoded with sizes of an annotation.

    Args:
        content: makes it, in the child: Pillow and its libraries complain of what they write.
        whole: its format if it is not damaged.
        refused: nothing but a refusal is right.
    """
    path = Path(f"image{suffix}")

    def check(results: Sequence[Result]) -> str:
        opened = any(result.code == 0 for result in results)
        if whole and whole not in OF_SUITES and opened:
            return f"{whole} was opened"
        return "was accepted" if refused and opened else ""

    def decode_declared() -> None:
        pixels = decode(path, (13, 17))
        assert pixels.shape == (13, 17, 3)
        assert pixels.dtype == np.uint8

    def decode_any() -> None:
        pixels = decode(path, None)
        assert pixels.shape[:2] == read_size(path), "the header says another size"

    def make(folder: Path) -> None:
        (folder / path).write_bytes(content())

    return Case(title, make, [lambda: read_size(path), decode_any, decode_declared], check=check)


def _png(width: int, height: int, pixels: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header says any size, with compressed rows and further chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bmp(width: int, height: int) -> bytes:
    head = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    return (
        head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(64)
    )


def _text_bomb(kind: bytes, head: bytes) -> bytes:
    """A PNG with a chunk that inflates to 100 MB."""
    good = _png(17, 13, b"\0" * 18 * 13)
    bomb = _chunk(kind, head + zlib.compress(bytes(100_000_000), 1))
    return good[:33] + bomb + good[33:]


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 17 13
%%EndComments
(touched) (w) file closefile
showpage
%%EOF
"""

_IN_FRAME = b"\xc5\xd0\xd3\xc6" + struct.pack("<6IH2s", 32, len(EPS), 0, 0, 0, 0, 0, b"")
_GIF = b"\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0\0;"

_KNOWN: dict[str, Callable[[], bytes]] = {
    "PostScript": lambda: EPS,
    "PostScript in a frame of DOS": lambda: _IN_FRAME + EPS,
    "PDF": lambda: b"%PDF-1.4\n",
    "nothing": lambda: b"",
    "a GIF of 65535x65535": lambda: b"GIF89a" + _GIF,
    "a PNG of 2^31": lambda: _png(2**31 - 1, 2**31 - 1, b"\0" * 100),
    "a PNG of 65535x65535": lambda: _png(65535, 65535, bytes(1_000_000)),
    "a PNG of 0x0": lambda: _png(0, 0, b""),
    "a PNG of 30000x1": lambda: _png(30000, 1, bytes(30001)),
    "a PNG of 1x30000": lambda: _png(1, 30000, bytes(60000)),
    "a PNG of 13000x13000 that ends": lambda: _png(13000, 13000, bytes(1_000_000)),
    "a text that inflates": lambda: _text_bomb(b"zTXt", b"a\0\0"),
    "an international text that inflates": lambda: _text_bomb(b"iTXt", b"a\0\1\0\0\0"),
    "a profile that inflates": lambda: _text_bomb(b"iCCP", b"a\0\0"),
    "a BMP of 2^31": lambda: _bmp(2**31 - 1, 2**31 - 1),
    "a BMP of negative width": lambda: _bmp(-17, 13),
    "a BMP of -2^31": lambda: _bmp(17, -(2**31)),
}  # fmt: skip

FIXED = [
    case_of(f"known: {name}", make, suffix, refused=name.startswith("PostScript"))
    for name, make in _KNOWN.items()
    for suffix in ((".png", ".jpg") if name == "PostScript" else (".png",))
]
FUZZ = Fuzz(NAME, "fuzz: images", FIXED, draw)
