"""From a trained network to metrics: detections are stored first, and scored from there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset
from sobench.errors import DataError, RunError
from sobench.metrics import coco
from sobench.metrics.detections import read_rows, write_rows
from sobench.metrics.scores import Scores
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.detect import detect
from sobench.runs.folder import RunFolder, size_name
from sobench.runs.record import Record
from sobench.runs.splits import cache_name, check_data_unchanged, load_split
from sobench.runs.state import has_detections
from sobench.runs.weights import build_network, trained_weights, with_input_size
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def score_stored(run: Run, dataset: Dataset, stored: Path, digest: str) -> dict[str, Scores]:
    """Scores of the detections in a file under the suite's protocol, by their name.

    Raises:
        RunError: the file is not the one that was written.
    """
    try:
        rows = read_rows(stored, digest)
    except DataError as error:
        raise RunError(str(error)) from None  # which concerns this run only
    scores = coco.score(dataset, rows, PROTOCOLS[run.suite.protocol], run.suite.engine)
    return {scores.name: scores}


def score_sizes(
    run: Run,
    results: Path,
    outcome: Record,
    device: torch.device,
    callback: ProgressCallback,
) -> Iterator[Record]:
    """The record after each of the suite's further input sizes that it had no present scores at.

    Sizes whose detections are there as they were written are only scored; at the others, the
    weights of the finished run detect.

    Raises:
        RunError: a size has no detections, and there are no weights to detect with.
    """
    suite = run.suite
    untested = [size for size in suite.eval_sizes if not outcome.tested_by(suite, size)]
    if not untested:
        return
    folder, dataset = RunFolder.of(run, results), load_split(run, "val")
    undetected = [size for size in untested if not has_detections(folder, outcome, size)]
    # Weights and training boxes, which anchors may be fitted to, only if there is a use for them.
    if undetected:
        training = load_split(run, "train")
        weights = trained_weights(run, results)
    check = partial(check_data_unchanged, run)
    check()
    for size in untested:
        path = folder.detections(size)
        if size in undetected:
            detector = build_network(run, training, device, size)
            detector.load_state_dict(weights)
            settings = with_input_size(suite, size).input
            images = cached_images(
                dataset, cache_name(run, "val"), run.data, settings,
                callback.on_images, callback.warn, check,
            )  # fmt: skip
            detections = detect(
                detector, images, dataset, settings, batch_size=suite.schedule.batch_size,
                precision=suite.precision, on_images=callback.on_images,
            )  # fmt: skip
            digests = outcome.digests | {path.name: write_rows(path, detections)}
            outcome = outcome.model_copy(update={"digests": digests})
        name = size_name(size)
        scores = score_stored(run, dataset, path, outcome.digests[path.name])
        sizes = outcome.sizes | {name: outcome.sizes.get(name, {}) | scores}
        outcome = outcome.model_copy(update={"sizes": sizes})
        yield outcome


def delete_size_detections(folder: RunFolder) -> None:
    """Delete the detections of an earlier training at further input sizes."""
    for path in folder.size_detections():
        path.unlink()
