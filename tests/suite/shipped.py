"""The suite files that come with the package."""

from __future__ import annotations

from pathlib import Path

SHIPPED = sorted((Path(__file__).parents[2] / "suites").glob("**/*.yaml"))
