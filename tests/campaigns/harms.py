"""Ways in which the content of a file comes to harm."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

PAGE = 4096


def flip(content: bytes, random: Random) -> bytes:
    """One to three bits, anywhere."""
    harmed = bytearray(content)
    for _ in range(random.randint(1, 3)):
        harmed[random.randrange(len(harmed))] ^= 1 << random.randrange(8)
    return bytes(harmed)


def zero(content: bytes, random: Random) -> bytes:
    """A page that was never written."""
    start = random.randrange(len(content)) // PAGE * PAGE
    if len(content) <= PAGE:  # else nothing would be left
        start = random.randrange(len(content))
    length = min(PAGE, len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def truncate(content: bytes, random: Random) -> bytes:
    """The beginning of the file, or nothing."""
    return content[: random.randrange(len(content))]


def scramble(content: bytes, random: Random) -> bytes:
    """Some bytes of chance."""
    start = random.randrange(len(content))
    length = min(random.randint(1, 64), len(content) - start)
    return content[:start] + random.randbytes(length) + content[start + length :]


def digits(content: bytes, random: Random) -> bytes:
    """Other digits in place of some: the harm that no parser sees."""
    places = [index for index, byte in enumerate(content) if chr(byte).isdigit()]
    harmed = bytearray(content)
    for place in random.sample(places, min(len(places), random.randint(1, 4))):
        harmed[place] = ord(random.choice("123456789"))
    return bytes(harmed)


def double(content: bytes, random: Random) -> bytes:  # noqa: ARG001
    """The content twice."""
    return content * 2


CONTENT: dict[str, Callable[[bytes, Random], bytes]] = {
    "flip": flip,
    "zero": zero,
    "truncate": truncate,
    "scramble": scramble,
    "digits": digits,
    "double": double,
}


def harm(path: Path, others: Sequence[Path], random: Random) -> str:
    """Harm a file in one way, and name the way.

    Args:
        others: files of its kind, with which it may be swapped.
    """
    others = [other for other in others if other.read_bytes() != path.read_bytes()]
    name = random.choice([*CONTENT, *(["swap"] * 2 if others else []), "delete"])
    if name == "delete":
        path.unlink()
        return name
    content = path.read_bytes()
    if name == "swap":
        harmed = random.choice(others).read_bytes()
    else:
        harmed = CONTENT[name](content, random)
        while harmed == content:  # there may be no digit in it, or nothing but zeros
            name = random.choice(list(CONTENT))
            harmed = CONTENT[name](content, random)
    replace(path, harmed)
    return name


def replace(path: Path, content: bytes) -> None:
    """Write anew, so that a file which shares its content with this one keeps it."""
    new = path.with_name(f"{path.name}.harmed")
    new.write_bytes(content)
    os.replace(new, path)  # noqa: PTH105


def ground_truth(annotations: Path) -> bytes:
    """The boxes of a COCO file as detections that are sure of themselves."""
    rows = [
        {key: row[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for row in json.loads(annotations.read_bytes())["annotations"]
    ]
    return gzip.compress(json.dumps(rows).encode())
