"""From a trained network to metrics: detections are stored first, and scored from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset
from sobench.data.load import load
from sobench.metrics import coco as detection
from sobench.metrics.detections import read_rows, write_rows
from sobench.metrics.scores import Scores
from sobench.runs import weights as network
from sobench.runs.detect import detect
from sobench.runs.record import Record, size_name
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

Watch = Callable[[int, int], None]
"""Told of images done and images in all."""


def detections_file(run: Run, results: Path, size: tuple[int, int] | None = None) -> Path:
    """Where the detections of a run are stored, at its own input or at another size."""
    name = "" if size in (None, run.suite.input.size) else f"-{size_name(size)}"
    return run.folder(results) / f"detections{name}.json.gz"


def delete_size_detections(run: Run, results: Path) -> None:
    """Delete what an earlier training has detected at other sizes."""
    for path in run.folder(results).glob("detections-*.json.gz"):
        path.unlink()


def score_stored(run: Run, dataset: Dataset, stored: Path) -> Scores:
    """Metrics of the detections in a file, under the suite's protocol."""
    protocol = PROTOCOLS[run.suite.protocol]
    return detection.score(dataset, read_rows(stored), protocol, run.suite.engine)


def score_sizes(
    run: Run, results: Path, old: Record, device: torch.device, watch: Watch
) -> dict[str, Scores]:
    """Metrics at the suite's further input sizes, of the weights that the run has left behind.

    Sizes whose detections are stored are only scored; those of another suite are kept while they
    are by the present protocol.

    Raises:
        RunError: there are no weights to detect with.
    """
    found = {name: scored for name, scored in old.sizes.items() if _as_wanted(run, scored)}
    if not run.suite.eval_sizes:
        return found
    dataset = load(run.suite.dataset, "val").first(run.limit)
    files = {size: detections_file(run, results, size) for size in run.suite.eval_sizes}
    unseen = [size for size, stored in files.items() if not stored.exists()]
    if unseen:
        training = load(run.suite.dataset, "train").first(run.limit)
        weights = network.weights(run, results)
    for size in unseen:
        detector = network.build(run, training, device, size)
        detector.load_state_dict(weights)
        resized = network.with_input_size(run, size)
        images = cached_images(dataset, "val", run.data, resized.suite.input, watch)
        write_rows(files[size], detect(resized, detector, dataset, images, device, watch))
    return found | {size_name(size): score_stored(run, dataset, files[size]) for size in files}


def lacking_sizes(run: Run, outcome: Record) -> list[tuple[int, int]]:
    """Further input sizes of the suite that a finished run has no present scores at."""
    return [
        size
        for size in run.suite.eval_sizes
        if not _as_wanted(run, outcome.sizes.get(size_name(size)))
    ]


def is_evaluated(run: Run, outcome: Record) -> bool:
    """Whether a finished run has scores by the suite's present protocol, engine and sizes."""
    return _as_wanted(run, outcome.scored) and not lacking_sizes(run, outcome)


def can_evaluate(run: Run, results: Path, outcome: Record) -> bool:
    """Whether what a run has left behind is enough to score it, without training."""
    if not detections_file(run, results).exists():
        return False
    sizes = all(detections_file(run, results, size).exists() for size in run.suite.eval_sizes)
    return sizes or network.has_weights(run, results, outcome)


def _as_wanted(run: Run, scored: Scores | None) -> bool:
    return (
        scored is not None
        and scored.protocol == run.suite.protocol
        and scored.protocol_version == PROTOCOLS[run.suite.protocol].version
        and scored.engine.startswith(run.suite.engine + " ")
    )
