"""The README and the pages of ``docs/``: their code blocks, commands, options and links."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = (README, *sorted(DOCS.glob("*.md")))


class Block(NamedTuple):
    """A fenced block of code, without its indentation."""

    language: str
    content: str


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The code blocks of a page, all or those of a language."""
    fenced = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", page.read_text(), re.M | re.S)
    every = [Block(name, textwrap.dedent(content)) for _, name, content in fenced]
    return [block for block in every if language in (None, block.language)]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.M | re.S)


def commands(page: Path) -> list[str]:
    """Every ``sobench ...`` that a page names, in blocks and within sentences."""
    in_blocks = [
        line
        for block in blocks(page)
        if block.language in ("", "sh")
        for line in block.content.splitlines()
        if line.startswith("sobench ")
    ]
    return in_blocks + re.findall(r"`(sobench [^`]+)`", prose(page))


def options(page: Path) -> set[str]:
    """Every ``--option`` that a page names within its sentences and tables."""
    return set(re.findall(r"`(--[a-z][a-z-]*)", prose(page)))


def first_column(page: Path, heading: str) -> list[str]:
    """Names in code in the first column of the table whose first heading is this one."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page.read_text(), re.M)
    assert table, f"{page.name} has no table that begins with {heading!r}"
    cells = [row.split("|")[1] for row in table[1].splitlines()]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def links(page: Path) -> list[tuple[Path, str]]:
    """File and anchor of every link of a page to a file of the repository."""
    targets = re.findall(r"\]\(([^)]+)\)", prose(page))
    local = [target.partition("#") for target in targets if "://" not in target]
    return [(page.parent / file if file else page, anchor) for file, _, anchor in local]


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get where it is shown."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
