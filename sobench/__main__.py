"""``python -m sobench``."""

from __future__ import annotations

from sobench.cli import main

main()
