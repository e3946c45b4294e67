"""Text that came from elsewhere, as a message shows it: on one line, and not too long."""

from __future__ import annotations

import re

LONGEST = 80
"""Characters of a value or name in a message."""

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: what a terminal obeys
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of reading
    "\u2028\u2029\U000e0000-\U000e007f"  # other ends of lines, and tags that nobody sees
    "\ud800-\udfff]"  # half characters, which cannot be encoded
)


def printable(text: str, keep: str = "") -> str:
    """The text with every control character written out, such as ``\\x1b``; ``keep`` are left."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0], keep), text)


def is_printable(text: str) -> bool:
    """Whether a text has no character that ``printable`` would write out."""
    return _UNPRINTABLE.search(text) is None


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and end with dots between them."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 3]}...{text[-end:]}"


def quoted(text: object) -> str:
    """A name in quotes, printable and not too long."""
    return repr(shortened(str(text)))


def plain(text: object, longest: int = LONGEST) -> str:
    """A name without quotes, printable and not too long."""
    return printable(shortened(str(text), longest))


def _escaped(character: str, keep: str) -> str:
    return character if character in keep else character.encode("unicode_escape").decode()
