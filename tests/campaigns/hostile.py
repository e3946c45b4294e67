"""Hostile values, and seeded damage to trees of values, to rows of text and to bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

ESCAPES = "\x1b[2J\x1b]0;mine\x07\x9b31m"
TEXTS = (
    "", " ", "a\0b", "\ud800", "\udcff", ESCAPES, "[/x]", "[bold red]x", "=1+1", "@SUM(A1)",
    '=HYPERLINK("http://x")', "../../x", "/etc/hostname", "/dev/zero", "a" * 5000, "é" * 300,
    "\u202eabc", "\r\nerror: forged", "%s%n{0}{}", "$SECRET", "${SECRET}", "~root", "all", "none",
    "imagenet", "null", "1e999", "nan", "١٢", "\u2028", "\ufeff", "😀", "a|b", "`x`", "<b>&amp;",
    "x\ty", "con", ".", "-1", "true", "0x10", "1_000", "2001-99-99", "\x7f", "'\"", "s" * 256,
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 31, 255, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**23,
    10**400, 1e308, -1e308, 5e-324, 1e-300, 0.5, -0.0, 1.5, float("nan"), float("inf"),
    float("-inf"), True, False, 1e16,
)  # fmt: skip
SHAPES: tuple[Any, ...] = (
    None, [], {}, [[]], [None], [1, 2], ["a"], {"a": 1}, {"": None}, [[[[1]]]], [0] * 3000,
    {"name": "fpn"}, ["fpn"] * 500, {"a": {"b": {"c": 1}}}, [-1, 0], [True, False], ["a", "a"],
)  # fmt: skip

_RAW = re.compile('"\ue000([a-z0-9]+)\ue000"')
RAW = {
    "digits4301": "9" * 4301,
    "digits6000": "-" + "1" * 6000,
    "deep400": "[" * 400 + "]" * 400,
    "deep3000": "[" * 3000 + "]" * 3000,
    "deep100000": "[" * 100_000 + "]" * 100_000,
    "deepmap": '{"a":' * 1500 + "1" + "}" * 1500,
    "exponent": "1e400",
    "long": '"' + "x" * 100_000 + '"',
    "many": "[" + "0," * 50_000 + "0]",
}
"""Name -> JSON that ``json.dumps`` would not write."""

_PAIRS = tuple(zip("abcdefgh", "bcdefghi", strict=True))
ALIASES = (
    "[&a [x,x,x,x,x,x,x,x,x], "
    + ", ".join(f"&{new} [{','.join(['*' + old] * 9)}]" for old, new in _PAIRS)
    + "]"
)
"""YAML of 500 bytes: a list that holds 9^9 items."""
ENTITIES = (
    '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in _PAIRS)
    + "]>"
)
"""A prologue of XML, after which ``&i;`` is a text of 10^9 letters."""

Place = tuple[Any, ...]


def raw(name: str) -> str:
    """A mark in a tree that ``to_json`` replaces by the text ``RAW[name]``."""
    return f"\ue000{name}\ue000"


def to_json(tree: Any, ascii_only: bool = True) -> str:
    """The tree as JSON."""
    text = json.dumps(tree, ensure_ascii=ascii_only)
    if ascii_only:
        text = text.replace("\\ue000", "\ue000")
    return _RAW.sub(lambda mark: RAW.get(mark[1], mark[0]), text)


def value(random: Random) -> Any:
    """A hostile value of any type."""
    kind = random.random()
    if kind < 0.35:
        return random.choice(NUMBERS)
    if kind < 0.7:
        return random.choice(TEXTS)
    if kind < 0.9:
        return random.choice(SHAPES)
    return raw(random.choice(list(RAW)))


def paths(tree: Any, path: Place = ()) -> Iterator[Place]:
    """Every place in a tree of dicts and lists, except its root."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, item in inner:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from paths(item, (*path, key))


def copied(tree: Any) -> Any:
    """A copy of dicts and lists; other values stay."""
    if isinstance(tree, dict):
        return {key: copied(item) for key, item in tree.items()}
    return [copied(item) for item in tree] if isinstance(tree, list) else tree


def mutate(random: Random, tree: Any, times: int = 1) -> tuple[Any, str]:
    """A copy of a tree with so many changes, and what they are."""
    tree, told = copied(tree), []
    for _ in range(times):
        places = list(paths(tree))
        if not places:
            break
        *parents, key = random.choice(places)
        section = tree
        for name in parents:
            section = section[name]
        told.append(f"{'.'.join(map(str, (*parents, key)))} {_change(random, section, key)}")
    return tree, "; ".join(told)


def _change(random: Random, section: Any, key: Any) -> str:
    """Change one place of a dict or list; returns what was done, in a word."""
    kind = random.random()
    old = section[key]
    if kind < 0.5:
        section[key] = value(random)
        return f"= {_short(section[key])}"
    if kind < 0.58:
        del section[key]
        return "deleted"
    if kind < 0.66:
        section[key] = random.choice(([old], {"a": old}, [old, old], str(old), [[old]] * 3))
        return "wrapped"
    if kind < 0.74 and isinstance(old, int | float):
        factor = random.choice((-1, 0, 0.5, 2, 1000, 1e30))
        section[key] = old * factor if random.random() < 0.5 else old + random.choice((-1, 1, 0.5))
        return f"= {_short(section[key])}"
    if kind < 0.82 and isinstance(section, dict):
        name = random.choice((f"{key}s", str(key).upper(), random.choice(TEXTS), f"x.{key}"))
        section[name] = section.pop(key)
        return f"renamed {_short(name)}"
    if kind < 0.9 and isinstance(section, list):
        section.extend(copied(old) for _ in range(random.choice((1, 2, 50))))
        return "repeated"
    if isinstance(section, dict):
        other = random.choice(list(section))
        section[key], section[other] = section[other], section[key]
        return f"exchanged with {_short(other)}"
    random.shuffle(section)
    return "shuffled"


def damage(random: Random, data: bytes) -> tuple[bytes, str]:
    """Bytes with one kind of damage, and which."""
    content = bytearray(data)
    size = max(len(content), 1)
    place = random.randrange(size)
    kind = random.choice(("flip", "byte", "cut", "zero", "double", "insert", "head", "swap"))
    if not content:
        return bytes(random.randbytes(40)), "noise"
    if kind == "flip":
        for _ in range(random.choice((1, 3, 30))):
            content[random.randrange(size)] ^= 1 << random.randrange(8)
    elif kind == "byte":
        for _ in range(random.choice((1, 2, 10))):
            content[random.randrange(size)] = random.choice((0, 10, 34, 91, 123, 127, 255))
    elif kind == "cut":
        del content[place:]
    elif kind == "zero":
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    elif kind == "double":
        content[place:place] = content[: random.randrange(size) + 1]
    elif kind == "insert":
        content[place:place] = random.choice(
            (b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\r", b"\xef\xbb\xbf", b"\xc3")
        )
    elif kind == "head":
        content[random.randrange(min(64, size))] = random.randrange(256)
    else:
        other = random.randrange(size)
        content[place], content[other] = content[other], content[place]
    return bytes(content), f"{kind} at {place}"


def damage_rows(random: Random, text: str, separator: str) -> tuple[str, str]:
    """A text of rows with a change of one cell or row, and which."""
    rows = text.split("\n")
    number = random.randrange(len(rows))
    cells = rows[number].split(separator)
    column = random.randrange(len(cells))
    kind = random.choice(("cell", "cell", "cell", "drop", "add", "row", "blank", "noise"))
    if kind == "cell":
        new = value(random)
        cells[column] = as_text(new)
    elif kind == "drop":
        del cells[column]
    elif kind == "add":
        cells += [random.choice(("0", "x", "", "1e5"))] * random.choice((1, 2, 200))
    rows[number] = separator.join(cells)
    if kind == "row":
        rows[number:number] = [rows[number]] * random.choice((1, 2, 300))
    elif kind == "blank":
        rows[number] = random.choice(("", "   ", "\t", separator * 7, "#"))
    elif kind == "noise":
        rows[number] = random.choice(TEXTS)
    return "\n".join(rows), f"row {number + 1}, column {column + 1}: {kind} {_short(cells)}"


def as_text(new: Any) -> str:
    """A value as it would stand in a text file."""
    text = str(new)
    mark = re.fullmatch("\ue000([a-z0-9]+)\ue000", text)
    return RAW[mark[1]] if mark else text


def to_bytes(text: str) -> bytes:
    """UTF-8; lone surrogates become bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _short(thing: Any) -> str:
    return ascii(thing)[:50]


def file_name(name: str) -> str:
    """A name with the raw marks and the longest of texts cut off."""
    return name.replace("\ue000", "")[:4000]
