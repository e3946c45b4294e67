"""The ratios of speed that are kept, and what became slower than they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from sobench import environment
from sobench.files import write_atomic

PATH = Path(__file__).parent.parent.parent / "baselines" / "speed.json"

SLACK = 1.1
"""Ratios of one tree differ from day to day by a few hundredths, on a busy machine by more."""

_PACKAGES = ("torch", "torchvision")


def compare(
    found: Mapping[str, float], machine: str, record: bool = False, path: Path = PATH
) -> list[str]:
    """Tell which ratios are greater than those that are kept for this machine.

    Args:
        found: ratio of our step to another one's, by what was measured.
        machine: name of the device.
        record: keep them instead, with those of other measurements.

    Returns:
        what became slower.
    """
    kept = json.loads(path.read_text()) if path.exists() else {}
    if record:
        versions = {name: environment.package_version(name) for name in _PACKAGES}
        versions["sobench"] = environment.code_version()
        rows = {
            name: {"ratio": round(ratio, 3), "machine": machine, "versions": versions}
            for name, ratio in found.items()
        }
        write_atomic(path, (json.dumps(kept | rows, indent=1) + "\n").encode())
        click.echo(f"kept in {path.name}")
        return []
    slower = [
        f"slower: {name}: {ratio:.3f}, was {kept[name]['ratio']:.3f} on {kept[name]['machine']}"
        for name, ratio in found.items()
        if name in kept and ratio > SLACK * kept[name]["ratio"]
    ]
    unknown = [name for name in found if name not in kept]
    for line in slower:
        click.echo(line)
    if unknown:
        click.echo(f"{len(unknown)} ratios have nothing to compare with; --record keeps them")
    elif not slower:
        click.echo(f"nothing is slower than {path.name} says")
    return slower
