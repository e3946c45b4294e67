"""Suite files as text."""

from __future__ import annotations

from typing import Any

import yaml

from tests.tiny_suite import CONTENT

SCHEDULE = {
    "epochs": 3, "batch_size": 2, "lr": 0.005, "milestones": [2],
    "warmup": {"steps": 2, "start": 0.1},
}  # fmt: skip


def text_of(**changes: Any) -> str:
    """The tiny suite as YAML with some values replaced; ``__`` is the dot of a key."""
    content = yaml.safe_load(yaml.safe_dump(CONTENT | {"schedule": SCHEDULE}))
    for key, value in changes.items():
        *parents, last = key.split("__")
        part = content
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return yaml.safe_dump(content)


def fpn(**deviations: Any) -> list[dict[str, Any]]:
    """The rows of a suite with FPN alone, and with deviations."""
    return [{"name": "fpn", "deviations": deviations}]
