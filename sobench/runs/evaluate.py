"""From a trained network to metrics: detections are stored first, and scored from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sobench.data.blank import BlankedImages
from sobench.data.dataset import Dataset
from sobench.data.pixels import resized_images
from sobench.metrics.detections import DetectionTable, tabulate, write_detections
from sobench.metrics.scores import Scores
from sobench.metrics.scoring import score
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.detect import detect
from sobench.runs.folder import RunFolder
from sobench.runs.matches import stored_detections
from sobench.runs.multi_scale import Look, detect_together
from sobench.runs.record import Record
from sobench.runs.splits import cache_name, check_data_unchanged, load_split
from sobench.runs.state import has_detections
from sobench.runs.weights import build_network, trained_weights, with_input_size
from sobench.suite.further_tests import FurtherTest, further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


def score_stored(run: Run, dataset: Dataset, stored: Path, digest: str) -> dict[str, Scores]:
    """Scores of the detections in a file under the suite's protocol, by their name.

    Raises:
        RunError: the file is not the one that was written.
    """
    table = stored_detections(stored, digest)
    scores = score(dataset, table, PROTOCOLS[run.suite.protocol], run.suite.engine)
    return {scores.name: scores}


def run_further_tests(
    run: Run,
    results: Path,
    outcome: Record,
    device: torch.device,
    callback: ProgressCallback,
) -> Iterator[Record]:
    """The record after each of the suite's further tests that it had no present scores of.

    Tests whose detections are there as they were written are only scored; for the others, the
    weights of the finished run detect.

    Raises:
        RunError: a test has no detections, and there are no weights to detect with.
    """
    suite = run.suite
    untested = [test for test in further_tests(suite) if not outcome.tested_by(suite, test)]
    if not untested:
        return
    folder, dataset = RunFolder.of(run, results), load_split(run, "val")
    undetected = [test for test in untested if not has_detections(folder, outcome, test.name)]
    # Weights and training boxes, which anchors may be fitted to, only if there is a use for them.
    if undetected:
        training = load_split(run, "train")
        weights = trained_weights(run, results)
    check_data_unchanged(run)
    for test in untested:
        path = folder.detections(test.name)
        if test in undetected:
            looks = _looks(run, test, training, dataset, weights, device, callback)
            digests = outcome.digests | {
                path.name: write_detections(path, _detect(run, test, looks, dataset, callback))
            }
            outcome = outcome.model_copy(update={"digests": digests})
        scores = score_stored(run, dataset, path, outcome.digests[path.name])
        sizes = outcome.sizes | {test.name: outcome.sizes.get(test.name, {}) | scores}
        outcome = outcome.model_copy(update={"sizes": sizes})
        yield outcome


def delete_further_detections(folder: RunFolder) -> None:
    """Delete the detections of an earlier training in further tests."""
    for path in folder.further_detections():
        path.unlink()


def _looks(
    run: Run,
    test: FurtherTest,
    training: Dataset,
    dataset: Dataset,
    weights: Mapping[str, Tensor],
    device: torch.device,
    callback: ProgressCallback,
) -> list[Look]:
    """The trained network with the images of a test, once for each input and mirroring."""
    check = partial(check_data_unchanged, run)
    looks: list[Look] = []
    for size in test.inputs:
        detector = build_network(run, training, device, size)
        if looks:  # with the same weights in memory
            detector.load_state_dict(looks[0].detector.state_dict(), assign=True)
        else:
            detector.load_state_dict(weights)
        settings = with_input_size(run.suite, size).input
        images = resized_images(
            dataset, cache_name(run, "val"), run.data, settings,
            callback.on_images, callback.warn, check,
        )  # fmt: skip
        if test.keep_background is not None:
            images = BlankedImages(images, dataset, settings, test.keep_background)
        looks += [Look(detector, images, settings, flip) for flip in (False, True)[: 1 + test.flip]]
    return looks


def _detect(
    run: Run,
    test: FurtherTest,
    looks: Sequence[Look],
    dataset: Dataset,
    callback: ProgressCallback,
) -> DetectionTable:
    suite, on_images = run.suite, callback.on_images
    if test.is_merged:
        rows = detect_together(
            looks, dataset, suite.detect,
            batch_size=suite.schedule.batch_size, precision=suite.precision, on_images=on_images,
        )  # fmt: skip
    else:
        (look,) = looks
        rows = detect(
            look.detector, look.images, dataset, look.settings,
            batch_size=suite.schedule.batch_size, precision=suite.precision, on_images=on_images,
        )  # fmt: skip
    return tabulate(rows, "detections")
