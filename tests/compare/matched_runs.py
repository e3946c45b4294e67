"""Runs with a record and matches of simulated detections, for what resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sobench.compare.bootstrap import resample
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import write_matches
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from tests.benchmarks.simulated import World, draw_scenes, draw_training
from tests.records import record_of, scored

WORLD = World(images=40, objects=4, false=4, seed_noise=0.15)
DIGEST = "0" * 64


def keep_runs(
    runs: Sequence[Run], results: Path, quality: Mapping[str, float], world: World = WORLD
) -> list[Record]:
    """Records and matches of runs whose rows, by their label, are of this quality.

    All see the same drawn images, and a seed of a row always detects the same.
    """
    scenes = draw_scenes(world, np.random.default_rng(0))
    taste = np.zeros(world.images)
    outcomes = []
    for run in runs:
        random = np.random.default_rng([run.seed, *run.entry.label.encode()])
        drawn = draw_training(world, scenes, taste, quality[run.entry.label], random)
        outcomes.append(keep_run(run, results, replace(drawn, detections=DIGEST)))
    return outcomes


def keep_run(run: Run, results: Path, matches: Matches, **changes: Any) -> Record:
    """The record and the matches of one run, in its folder."""
    folder = RunFolder.of(run, results)
    whole = resample(matches, np.ones((len(matches.image_ids), 1)))
    metrics = {name: _number(values[0]) for name, values in whole.metrics.items()}
    per_class = {
        name: {key: _number(values[0, label]) for key, values in whole.per_class.items()}
        for label, name in enumerate(matches.classes)
    }
    outcome = record_of(
        run,
        scored=scored(0.0, matches.protocol, metrics=metrics, per_class=per_class),
        digests={folder.detections().name: matches.detections},
        images={"train": 9, "val": len(matches.image_ids)},
        **changes,
    )
    record.write(outcome, folder.path)
    write_matches(folder.matches(PROTOCOLS[matches.protocol]), matches)
    return outcome


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
