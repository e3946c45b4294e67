"""Results of a suite without training: detections made from the objects, scored and matched."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sobench.compare.leaderboard import leaderboard
from sobench.compare.page_data import PageData, page_data
from sobench.data.dataset import Dataset
from sobench.data.fingerprint import fingerprint
from sobench.metrics.detections import DetectionRow, tabulate, write_detections
from sobench.metrics.matches_file import write_matches
from sobench.metrics.scoring import match, score
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Epoch
from sobench.runs.splits import load_split
from sobench.suite.plan import Run, plan
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.reader import load
from tests.records import COST, record_of


def keep_detected(path: Path, results: Path = Path("results")) -> list[Run]:
    """Records, detections and matches of all runs of a suite; each row is better than the last."""
    suite = load(path)
    runs = plan(suite, fingerprint(suite.dataset))
    for number, run in enumerate(runs):
        dataset = load_split(run, "val")
        protocol, folder = PROTOCOLS[run.suite.protocol], RunFolder.of(run, results)
        table = tabulate(_detections(dataset, number, 6.0 / (1 + number)), "detections")
        digest = write_detections(folder.detections(), table)
        outcome = record_of(
            run,
            scored=score(dataset, table, protocol),
            digests={folder.detections().name: digest},
            history=[
                Epoch(
                    epoch=n, step=10 * n, losses={"total": 2.0 / n}, ap=0.1 * n if n > 1 else None
                )
                for n in (1, 2, 3)
            ],
            cost=COST.model_copy(update={"gflops": 1.0 + number, "latency_ms": 9.0 - number}),
        )
        record.write(outcome, folder.path)
        write_matches(folder.matches(protocol), match(dataset, table, protocol, digest))
    return runs


def page_of(path: Path, limit: int | None = None, partial: tuple[str, ...] = ()) -> PageData:
    """What a page about a suite shows of the results in the working folder."""
    runs, results = plan(load(path), "", limit, partial), Path("results")
    return page_data(leaderboard(runs, results), runs, results)


def _detections(dataset: Dataset, seed: int, noise: float) -> list[DetectionRow]:
    """Most objects, moved by some pixels; some of another class, some twice, some of nothing."""
    random = np.random.default_rng(seed)
    rows: list[DetectionRow] = []

    def add(image: int, label: int, box: list[float]) -> None:
        sure = float(random.random())
        category = dataset.category_ids[label]
        rows.append({"image_id": image, "category_id": category, "bbox": box, "score": sure})

    for image in dataset.images:
        for corners, label in zip(image.boxes.tolist(), image.labels.tolist(), strict=True):
            x, y, right, bottom = corners
            dx, dy = random.normal(0, noise, 2).tolist()
            box = [x + dx, y + dy, right - x, bottom - y]
            chance = random.random()
            if chance < 0.75:
                add(image.id, label, box)
            if chance > 0.6:
                add(image.id, (label + 1) % len(dataset.classes), box)
            if chance < 0.1:
                add(image.id, label, box)
        add(image.id, 0, [0.0, 0.0, 5.0, 5.0])
    return rows
