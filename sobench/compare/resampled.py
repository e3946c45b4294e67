"""The resampled metrics of a run, computed once from its matches and kept beside them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from sobench.compare.bootstrap import RESAMPLES, Resampled, draw_weights, resample
from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import DAMAGE, Arrays, read_arrays, write_arrays
from sobench.metrics.table import score_metrics
from sobench.runs.folder import RunFolder
from sobench.runs.matches import load_matches
from sobench.runs.search import folder_of
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS, Protocol

_LAYOUT = 1
"""Version of the file; raised whenever a value could change."""


def load_resampled(
    run: Run, results: Path, resamples: int = RESAMPLES, seed: int = 0, data: str = ""
) -> Resampled | None:
    """The metrics of a finished run in each resample of the images.

    Args:
        run: planned with or without its data.
        resamples: how many.
        seed: of the draws.
        data: fingerprint of the data, for a run that was planned without it.

    Returns:
        ``None`` if the run has no matches of the detections in its record.
    """
    folder = RunFolder(folder_of(run, results, data))
    matches = load_matches(run, results, data)
    return None if matches is None else resample_once(folder, matches, resamples, seed)


def resample_once(
    folder: RunFolder, matches: Matches, resamples: int = RESAMPLES, seed: int = 0
) -> Resampled:
    """The metrics in resamples of the images, from the run's folder if they were computed before.

    Images are drawn by their number, the resamples and the seed alone, so that resample ``b`` of
    one run is resample ``b`` of every other on the same images. What is computed is kept, if the
    folder can be written.
    """
    protocol, images = PROTOCOLS[matches.protocol], len(matches.image_ids)
    key = {
        "layout": _LAYOUT, "detections": matches.detections, "resamples": resamples, "seed": seed,
        "images": images, "classes": list(matches.classes),
    }  # fmt: skip
    path = folder.bootstrap(protocol)
    kept = _read(path, key, protocol)
    if kept is not None:
        return kept
    made = resample(matches, draw_weights(images, resamples, seed))
    arrays: Arrays = {"head": np.frombuffer(json.dumps(key).encode(), np.uint8)}
    arrays |= {f"metric {name}": values for name, values in made.metrics.items()}
    arrays |= {f"class {name}": values for name, values in made.per_class.items()}
    with suppress(OSError):  # it is computed again next time
        write_arrays(path, arrays)
    return made


def _read(path: Path, key: dict[str, Any], protocol: Protocol) -> Resampled | None:
    """The values in a file, if they are those that are asked for, and undamaged."""
    try:
        arrays = read_arrays(path)
        if json.loads(arrays["head"].tobytes()) != key:
            return None
        metrics: dict[str, FloatArray] = {
            metric.name: arrays[f"metric {metric.name}"] for metric in score_metrics(protocol)
        }
        per_class: dict[str, FloatArray] = {
            name: arrays[f"class {name}"] for name in ("AP", "AP50", "AP75", "AR")
        }
    except DAMAGE:
        return None
    fits = all(values.shape == (key["resamples"],) for values in metrics.values()) and all(
        values.shape == (key["resamples"], len(key["classes"])) for values in per_class.values()
    )
    return Resampled(metrics, per_class) if fits else None
