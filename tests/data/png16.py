"""PNG files with colours of 16 bits, which Pillow reads but does not write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def save_colours_of_16_bits(path: Path, pixels: np.ndarray) -> None:
    """Write ``[H, W, 3]`` values of 0 to 65535."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
