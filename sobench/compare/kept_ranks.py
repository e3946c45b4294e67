"""Average ranks, kept in the cache folder, since their tests take long to load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import numpy as np

from sobench.compare.average_rank import AverageRanks, Friedman, RankedPair, average_ranks
from sobench.compare.intervals import FloatArray
from sobench.data.cache import remember
from sobench.data.cache_folder import cache_folder
from sobench.files import read_sealed

_LAYOUT = 1
"""Version of the file; raised whenever a value could change."""


def kept_or_new(rows: Sequence[str], datasets: Sequence[str], scores: FloatArray) -> AverageRanks:
    """As ``average_ranks``, which is asked once for the same names and scores."""
    asked = json.dumps([_LAYOUT, list(rows), list(datasets), scores.tolist()])
    path = cache_folder() / "ranks" / f"{sha256(asked.encode()).hexdigest()}.kept"
    if (body := read_sealed(path)) is not None:
        return _ranks(json.loads(body))
    made = average_ranks(rows, datasets, scores)
    remember(path, json.dumps(asdict(made), default=np.ndarray.tolist).encode())
    return made


def _ranks(content: Mapping[str, Any]) -> AverageRanks:
    return AverageRanks(
        rows=tuple(content["rows"]),
        datasets=tuple(content["datasets"]),
        scores=np.array(content["scores"]),
        ranks=np.array(content["ranks"]),
        average=np.array(content["average"]),
        friedman=Friedman(**content["friedman"]),
        critical=content["critical"],
        groups=tuple(map(tuple, content["groups"])),
        pairs=tuple(RankedPair(**pair) for pair in content["pairs"]),
    )
