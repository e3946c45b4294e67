"""The resampled metrics of a run, computed once from its matches and kept beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from sobench.compare.bootstrap import draw_weights, resample
from sobench.compare.intervals import RESAMPLES
from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import DAMAGE, Arrays, read_arrays, write_arrays
from sobench.metrics.table import class_metrics, score_metrics
from sobench.metrics.weighted import Weighted
from sobench.runs.folder import RunFolder
from sobench.runs.matches import matches_of
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS, Protocol

_LAYOUT = 3
"""Version of the file; raised whenever a value could change."""


def resampled_of(
    run: Run, folder: RunFolder, outcome: Record, resamples: int = RESAMPLES, seed: int = 0
) -> Weighted | None:
    """The metrics of a finished run in each resample of the images.

    The same images are drawn for every run on them, so that resample ``b`` of one run is resample
    ``b`` of another. What is computed is kept in the run's folder or, if that cannot be written,
    in the user's cache folder; it counts for as long as the detections are the same.

    Args:
        run: planned with or without its data.
        outcome: the record in ``folder``.
        resamples: how many.
        seed: of the draws.

    Returns:
        ``None`` if the run has no matches of the detections in its record.
    """
    digest = outcome.digests.get(folder.detections().name)
    if digest is None:
        return None
    protocol = PROTOCOLS[run.suite.protocol]
    paths = _places(folder, digest, protocol)
    key = {
        "layout": _LAYOUT, "detections": digest, "resamples": resamples, "seed": seed,
        "data": outcome.data, "val": outcome.images.get("val"),
    }  # fmt: skip
    for path in paths:
        kept = _read(path, key, protocol)
        if kept is not None:
            return kept
    matches = matches_of(run, folder, outcome)
    if matches is None:
        return None
    return _made(paths, matches, key, resamples, seed)


def _places(folder: RunFolder, digest: str, protocol: Protocol) -> tuple[Path, ...]:
    """Where the values may be kept, the better place first."""
    name = f"{digest}-{protocol.name}-v{protocol.version}.npz"
    return folder.bootstrap(protocol), cache_folder() / "bootstrap" / name


def _made(
    paths: Sequence[Path], matches: Matches, key: dict[str, Any], resamples: int, seed: int
) -> Weighted:
    """Resample, and keep the values if that can be."""
    images = len(matches.image_ids)
    made = resample(matches, draw_weights(images, resamples, seed))
    head = json.dumps(key)
    arrays: Arrays = {"head": np.frombuffer(head.encode(), np.uint8), "images": np.array(images)}
    arrays |= {f"metric {name}": values for name, values in made.metrics.items()}
    arrays |= {f"class {name}": values for name, values in made.per_class.items()}
    arrays |= {"holding": np.array([*made.holding.values()], np.int64)}
    arrays |= {"class holding": made.class_holding}
    for path in paths:
        with suppress(OSError):  # if no place can be written, it is computed again next time
            write_arrays(path, arrays)
            break
    return made


def _read(path: Path, key: dict[str, Any], protocol: Protocol) -> Weighted | None:
    """The values in a file, if they are those that are asked for, and undamaged."""
    try:
        arrays = read_arrays(path)
        if json.loads(arrays["head"].tobytes()) != key:
            return None
        metrics: dict[str, FloatArray] = {
            metric.name: arrays[f"metric {metric.name}"] for metric in score_metrics(protocol)
        }
        per_class: dict[str, FloatArray] = {
            name: arrays[f"class {name}"] for name in class_metrics(protocol)
        }
        holding = dict(zip(metrics, arrays["holding"].tolist(), strict=True))
        class_holding, images = arrays["class holding"], int(arrays["images"])
    except DAMAGE:
        return None
    fits = all(values.shape == (key["resamples"],) for values in metrics.values()) and all(
        len(values) == key["resamples"] for values in per_class.values()
    )
    return Weighted(metrics, per_class, holding, class_holding, images) if fits else None
