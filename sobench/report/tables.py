"""The formats of a leaderboard that are files, by the names that ``--format`` has for them."""

from __future__ import annotations

from collections.abc import Callable

from sobench.compare.leaderboard import Leaderboard
from sobench.report.leaderboard_latex import latex
from sobench.report.markdown import markdown
from sobench.report.values import as_json, csv
from sobench.report.view import View

FORMATS: dict[str, tuple[str, Callable[[Leaderboard, View], str]]] = {
    "md": ("md", markdown),
    "csv": ("csv", csv),
    "json": ("json", as_json),
    "latex": ("tex", latex),
}
"""Name -> suffix of the file, and what makes its text."""
