"""Baselines and results that nobody trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sobench.compare.baseline import Machine, SeedResult

MACHINE = Machine(
    code="0.1.0 abcdef0123", python="3.11.0", packages={"torch": "2.0"}, system="Linux x86_64",
    device="some processor, 2 cores", threads=2, processor="0123456789ab",
)  # fmt: skip


def seed_result(seed: int = 0, ap: float | None = 0.5, **changes: Any) -> SeedResult:
    """A training; its AP of small objects is half of its AP."""
    values: dict[str, Any] = {
        "seed": seed,
        "settings_id": f"{seed:012d}",
        "metrics": {"AP": ap, "AP_S": None if ap is None else ap / 2, "AR@100": 0.6},
        "losses": {"class": 0.75, "total": 1.0},
        "first_losses": (4.0, 3.0, 2.0),
        "detections": 100,
        "parameters": 1000,
        "gflops": 1.5,
        "train_images_s": 20.0,
        "machine": 0,
    }
    return SeedResult(**values | changes)


def trainings(rows: Mapping[str, Sequence[float]], **changes: Any) -> dict[str, list[SeedResult]]:
    """A row for each label, with the AP of its seeds."""
    return {
        label: [seed_result(seed, ap, **changes) for seed, ap in enumerate(aps)]
        for label, aps in rows.items()
    }
