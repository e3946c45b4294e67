"""Packages that bring methods, installed for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from sobench.suite.methods import _entry_points, get_method


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    name: str = "my-package",
    version: str = "1.2",
    points: dict[str, str] | None = None,
) -> None:
    """Put a package where Python finds it, as ``pip install`` would.

    Args:
        files: path -> content.
        points: its entry points, method -> ``module:attribute``.
    """
    points = points or {"my_neck": "my_package:METHOD"}
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": "[sobench.methods]\n"
        + "".join(f"{key} = {value}\n" for key, value in points.items()),
        f"{info}/RECORD": "",
    }
    site = folder / f"{name}-{version}"
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(content)
    monkeypatch.syspath_prepend(site)
    forget_packages()


def forget_packages() -> None:
    """Look again at what is installed when a method is next asked for."""
    get_method.cache_clear()
    _entry_points.cache_clear()


IMPORTS = "from sobench.suite.methods import Method, Need, Switch, When\n"


def row(**changes: str) -> str:
    """A module with a row of ``METHOD``; values are Python."""
    arguments = {"title": "'Mine'", "paper": "''"} | changes
    fields = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return f"{IMPORTS}NAN = float('nan')\nMETHOD = Method({fields})\n"
