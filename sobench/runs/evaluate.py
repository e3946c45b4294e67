"""From a trained network to metrics: detections are stored first, and scored from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset
from sobench.data.load import load
from sobench.metrics import coco
from sobench.metrics.detections import read_rows, write_rows
from sobench.metrics.scores import Scores
from sobench.runs.detect import detect
from sobench.runs.folder import RunFolder, size_name
from sobench.runs.record import Record
from sobench.runs.state import outdated
from sobench.runs.weights import build_network, trained_weights, with_input_size
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def score_stored(run: Run, dataset: Dataset, stored: Path) -> Scores:
    """Metrics of the detections in a file, under the suite's protocol."""
    protocol = PROTOCOLS[run.suite.protocol]
    return coco.score(dataset, read_rows(stored), protocol, run.suite.engine)


def score_sizes(
    run: Run,
    results: Path,
    outcome: Record,
    device: torch.device,
    on_images: Callable[[int, int], None],
) -> dict[str, Scores]:
    """Metrics at the suite's further input sizes, with the weights of the finished run.

    Sizes whose detections are stored are only scored; those of another suite are kept while they
    are by the present protocol.

    Raises:
        RunError: a size has no detections, and there are no weights to detect with.
    """
    scores = {
        name: scored
        for name, scored in outcome.sizes.items()
        if not outdated(run, scored, "tested")
    }
    if not run.suite.eval_sizes:
        return scores
    folder, dataset = RunFolder.of(run, results), load(run.suite.dataset, "val").first(run.limit)
    files = {size: folder.detections(size) for size in run.suite.eval_sizes}
    undetected = [size for size, stored in files.items() if not stored.exists()]
    # Weights and training boxes, which anchors may be fitted to, only if there is a use for them.
    if undetected:
        training = load(run.suite.dataset, "train").first(run.limit)
        weights = trained_weights(run, results)
    for size in undetected:
        detector = build_network(run, training, device, size)
        detector.load_state_dict(weights)
        settings = with_input_size(run.suite, size).input
        images = cached_images(dataset, "val", run.data, settings, on_images)
        detections = detect(
            detector, images, dataset, settings, batch_size=run.suite.schedule.batch_size,
            precision=run.suite.precision, on_images=on_images,
        )  # fmt: skip
        write_rows(files[size], detections)
    return scores | {size_name(size): score_stored(run, dataset, files[size]) for size in files}


def delete_size_detections(folder: RunFolder) -> None:
    """Delete the detections of an earlier training at further input sizes."""
    for path in folder.size_detections():
        path.unlink()
