"""Do the intervals hold, and what do tiers tell apart? Simulated detectors of known quality.

Run with ``python -m tests.benchmarks.coverage [--seeds 3 --noise 0.06]``. In each trial a data set
and ten methods of equal expected quality are drawn, each method is trained with one seed or three,
and the verdict is taken as for a leaderboard. Printed is how often the 95 % interval of a
difference contains zero, over all pairs and trials; beside it the same for the naive bootstrap,
which draws images and seeds with replacement and takes percentiles; and how often tiers split the
ten. With ``--power-trials 20``, five of the ten are made better step by step: how often is a better
one told apart from another?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from unittest.mock import patch

import click
import numpy as np

from sobench.compare.bootstrap import draw_weights, resample
from sobench.compare.intervals import Sample
from sobench.compare.tiers import ALPHA
from sobench.compare.verdict import Verdict, judge
from sobench.metrics.weighted import Weighted
from sobench.suite.protocols import PROTOCOLS
from tests.benchmarks.simulated import World, draw_scenes, draw_taste, draw_training

COCO = PROTOCOLS["coco"]
FEW = replace(COCO, name="simulated", max_dets=(100,), bins={"S": COCO.bins["S"]})
"""The protocol of what is measured and no more."""

METRICS = ("AP", "AP50", "AP_S")
METHODS = 10
NAMES = tuple(f"method {number}" for number in range(METHODS))


@dataclass(frozen=True)
class Trial:
    """The verdict on ten methods, and the samples that it was made from."""

    verdict: Verdict
    samples: dict[str, dict[str, Sample]]


def draw_trial(
    world: World, seeds: int, better: float, resamples: int, random: np.random.Generator
) -> Trial:
    """Ten methods on one drawn data set; those of an even number are better by ``better``."""
    scenes = draw_scenes(world, random)
    weights = draw_weights(world.images, resamples, int(random.integers(2**31)))
    whole = np.hstack([np.ones((world.images, 1)), weights])
    samples: dict[str, dict[str, Sample]] = {}
    for number, name in enumerate(NAMES):
        taste = draw_taste(world, random)
        quality = better if number % 2 == 0 else 0.0
        trainings = [
            resample(draw_training(world, scenes, taste, quality, random), whole)
            for _ in range(seeds)
        ]
        samples[name] = {metric: _sample(trainings, metric, world.images) for metric in METRICS}
    return Trial(judge(samples), samples)


def _sample(trainings: Sequence[Weighted], metric: str, images: int) -> Sample:
    """A sample of trainings that were resampled ``[1 + B]``, the whole split first."""
    values = np.stack([training.metrics[metric] for training in trainings])
    return Sample(values[:, 0], values[:, 1:], images, trainings[0].holding[metric])


def covered(trial: Trial, metric: str) -> float:
    """The share of pairs whose interval contains zero."""
    found = [of_pair[metric] for of_pair in trial.verdict.pairs.values()]
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


def covered_naively(trial: Trial, metric: str, random: np.random.Generator) -> float:
    """The same of percentiles over resamples of images, each with seeds drawn with replacement."""
    means = []
    for of_row in trial.samples.values():
        draws = of_row[metric].draws
        chosen = random.integers(0, len(draws), draws.shape)
        means.append(np.take_along_axis(draws, chosen, axis=0).mean(axis=0))
    ends = [np.nanquantile(a - b, (0.025, 0.975)) for a, b in combinations(means, 2)]
    return float(np.mean([low <= 0 <= high for low, high in ends]))


def is_split(trial: Trial) -> bool:
    """Whether the ten are in more than one tier."""
    return len({*trial.verdict.tiers.values()}) > 1


def told_apart(trial: Trial) -> float:
    """The share of pairs of a better and another method that are told apart."""
    pairs = [
        of_pair["AP"].adjusted < ALPHA
        for (a, b), of_pair in trial.verdict.pairs.items()
        if NAMES.index(a) % 2 != NAMES.index(b) % 2
    ]
    return float(np.mean(pairs))


def gap(trial: Trial) -> float:
    """Mean AP of the better methods less that of the others."""
    means = [of_row["AP"].values.mean() for of_row in trial.samples.values()]
    return float(np.mean(means[::2]) - np.mean(means[1::2]))


def trials(
    world: World, seeds: int, number: int, resamples: int, better: float = 0.0, start: int = 0
) -> Iterator[Trial]:
    """Trials of one kind, each with a random state of its own."""
    for index in range(number):
        yield draw_trial(world, seeds, better, resamples, np.random.default_rng([start, index]))


def coverage_lines(world: World, seeds: int, number: int, resamples: int) -> Iterator[str]:
    """Coverage of ten equal methods, and how often tiers split them."""
    ours: dict[str, list[float]] = {metric: [] for metric in METRICS}
    of_one_pair: dict[str, list[bool]] = {metric: [] for metric in METRICS}
    naive: dict[str, list[float]] = {metric: [] for metric in METRICS}
    splits, spread, random = [], [], np.random.default_rng(0)
    for trial in trials(world, seeds, number, resamples):
        for metric in METRICS:
            ours[metric].append(covered(trial, metric))
            naive[metric].append(covered_naively(trial, metric, random))
            found = trial.verdict.difference(NAMES[0], NAMES[1], metric)
            of_one_pair[metric].append(found.low <= 0 <= found.high)
        splits.append(is_split(trial))
        spread += [
            of_row["AP"].values.std(ddof=1) for of_row in trial.samples.values() if seeds > 1
        ]
    title = f"{seeds} seed{'s' * (seeds > 1)}, seed noise {world.seed_noise}"
    if spread:
        title += f" (AP over seeds +-{np.sqrt(np.mean(np.square(spread))):.4f})"
    yield title
    for metric in METRICS:
        yield (
            f"  {metric:5s} zero in the interval: {100 * np.mean(ours[metric]):.1f} % of pairs, "
            f"{100 * np.mean(of_one_pair[metric]):.1f} % of the first one; "
            f"naive bootstrap {100 * np.mean(naive[metric]):.1f} % of all"
        )
    yield f"  ten equal methods are split in {100 * np.mean(splits):.1f} % of {number} trials"


def power_lines(world: World, seeds: int, number: int, resamples: int) -> Iterator[str]:
    """How often a better method is told apart from another, step by step."""
    yield f"{seeds} seed{'s' * (seeds > 1)}, seed noise {world.seed_noise}: told apart"
    for better in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
        found = list(trials(world, seeds, number, resamples, better, start=1))
        gaps, shares = [gap(trial) for trial in found], [told_apart(trial) for trial in found]
        yield f"  AP better by {np.mean(gaps):.3f}: {100 * np.mean(shares):.0f} % of pairs"


@click.command()
@click.option("--seeds", default=1, show_default=True, help="Trainings of each method.")
@click.option("--noise", default=0.0, show_default=True, help="Of seeds, on the scale of logits.")
@click.option("--trials", "number", default=200, show_default=True, help="Of equal methods.")
@click.option("--power-trials", default=0, show_default=True, help="For each of six differences.")
@click.option("--images", default=120, show_default=True)
@click.option("--resamples", default=300, show_default=True)
def main(
    seeds: int, noise: float, number: int, power_trials: int, images: int, resamples: int
) -> None:
    """Measure coverage and the rate of false splits, or power."""
    world = World(images=images, seed_noise=noise, protocol=FEW)
    with patch.dict(PROTOCOLS, {FEW.name: FEW}):
        for line in coverage_lines(world, seeds, number, resamples) if number else ():
            click.echo(line)
        for line in power_lines(world, seeds, power_trials, resamples) if power_trials else ():
            click.echo(line)


if __name__ == "__main__":
    main()
