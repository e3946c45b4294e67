"""Whether ``sobench check`` finds what it should, and nothing else.

``python -m tests.benchmarks.gate simulate [BASELINE...]`` counts false alarms, and finds the
smallest drop in AP that nine of ten checks see, with trainings drawn from the recorded spread.
``plant`` trains with four planted mistakes, each with a seed of the baseline and with a new one;
``repeat`` trains an unchanged tree with ten new seeds. Both take minutes: ``--methods`` shortens.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from sobench.compare.accuracy_gate import Results, accuracy_findings, power_findings
from sobench.compare.baseline import Baseline, SeedResult, read_baseline
from sobench.compare.findings import ALL_ROWS
from tests.benchmarks.planted import MISTAKES

ROOT = Path(__file__).parents[2]
NEW_SEED = 100
"""The first seed that no baseline has."""


def drawn(
    rng: np.random.Generator, results: Results, seeds: int, drop: float = 0.0, row: str = ""
) -> dict[str, list[SeedResult]]:
    """Trainings of each row, drawn from a normal distribution with its mean and spread.

    Args:
        drop: what every AP loses, of one row or, without its label, of all.
    """
    return {
        label: [
            _one(rng, of_row, seed, drop if row in ("", label) else 0.0) for seed in range(seeds)
        ]
        for label, of_row in results.items()
    }


def _one(
    rng: np.random.Generator, of_row: Sequence[SeedResult], seed: int, drop: float
) -> SeedResult:
    def draw(values: Sequence[float]) -> float:
        return float(rng.normal(np.mean(values), np.std(values, ddof=1)))

    aps = [name for name in of_row[0].metrics if all(r.metrics[name] is not None for r in of_row)]
    metrics: dict[str, float | None] = {
        name: max(0.0, draw([r.metrics[name] or 0.0 for r in of_row]) - drop) for name in aps
    }
    changes = {
        "seed": seed,
        "metrics": metrics,
        "losses": {"total": draw([r.losses["total"] for r in of_row])},
        "first_losses": tuple(
            draw(losses) for losses in zip(*(r.first_losses for r in of_row), strict=False)
        ),
        "detections": max(0, round(draw([float(r.detections) for r in of_row]))),
    }
    return of_row[0].model_copy(update=changes)


def alarms(
    baseline: Baseline, recorded: int, seeds: int, trials: int, drop: float = 0.0, row: str = ""
) -> float:
    """Share of the checks that fail, each against a baseline that is drawn as well."""
    rng = np.random.default_rng(0)
    truth = {label: of.seeds for label, of in baseline.rows.items() if len(of.seeds) > 1}
    failed = 0
    for _ in range(trials):
        then = drawn(rng, truth, recorded)
        now = drawn(rng, truth, seeds, drop, row)
        failed += any(f.fails for f in accuracy_findings(then, now, baseline.protocol))
    return failed / trials


def smallest_found(
    baseline: Baseline, recorded: int, seeds: int, trials: int, row: str = ""
) -> float:
    """The smallest drop in AP that nine checks in ten find, to .002."""
    low, high = 0.0, 0.5
    while high - low > 0.002:
        middle = (low + high) / 2
        found = alarms(baseline, recorded, seeds, trials, middle, row) >= 0.9
        low, high = (low, middle) if found else (middle, high)
    return high


@click.group()
def main() -> None:
    """False alarms, power, planted mistakes."""


@main.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--trials", default=1000)
def simulate(files: tuple[Path, ...], trials: int) -> None:
    """False alarms, and the smallest drop that is found, by drawing from recorded spreads."""
    for file in files or sorted((ROOT / "baselines" / "recorded").glob("*.json")):
        baseline = read_baseline(file)
        click.echo(f"{baseline.suite}: {len(baseline.rows)} rows")
        recorded = baseline.most_seeds
        for seeds in (1, 3):
            share = alarms(baseline, recorded, seeds, trials)
            click.echo(
                f"  {recorded} recorded seeds, {seeds} new: {share:.1%} of {trials} checks of an "
                "unchanged tree fail"
            )
            results = {label: of.seeds for label, of in baseline.rows.items()}
            for finding in power_findings(results, seeds, baseline.protocol):
                if finding.metric == "AP" and finding.verdict != "too coarse":
                    row = "" if finding.row == ALL_ROWS else finding.row
                    drop = smallest_found(baseline, recorded, seeds, max(100, trials // 10), row)
                    click.echo(
                        f"    {finding.row}: AP {finding.baseline:.3f}, found nine times in ten "
                        f"by any metric: a drop of {drop:.3f} (predicted from AP alone: "
                        f"{finding.detectable:.3f})"
                    )


def sobench(*arguments: str | Path, mistake: str = "") -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with a mistake if one is named."""
    module = ["tests.benchmarks.planted", mistake] if mistake else ["sobench"]
    words = [sys.executable, "-m", *module, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)


def check(
    suite: Path, results: Path, seeds: str, methods: str, *more: str | Path, mistake: str = ""
) -> tuple[int, list[str]]:
    """Exit code and failing tests of a check, such as ``fpn AP 0.186 -> 0.090``."""
    chosen = ["--methods", methods] if methods else []
    done = sobench(
        "check", suite, "--results", results, "--seeds", seeds, "--format", "json", *chosen, *more,
        mistake=mistake,
    )  # fmt: skip
    if done.returncode not in (0, 3):
        return done.returncode, [done.stderr.strip()[-300:]]
    findings = [f for f in json.loads(done.stdout)["findings"] if f["verdict"] in
                ("worse", "changed", "failed", "diverged", "missing")]  # fmt: skip
    return done.returncode, [
        f"{f['row']} {f['metric']} {f['baseline']:.4g} -> {f['now']:.4g}"
        if f["now"] is not None
        else f"{f['row']} {f['metric']} {f['verdict']}"
        for f in findings
    ]


def named(baseline: Path | None) -> list[str | Path]:
    """The option that names a baseline, if it is not the suite's own."""
    return ["--baseline", baseline.resolve()] if baseline else []


_suite = click.option("--suite", type=click.Path(path_type=Path), default=Path("suites/gate.yaml"))
_baseline = click.option("--baseline", type=click.Path(path_type=Path))
_methods = click.option("--methods", default="")


@main.command()
@_suite
@_baseline
@click.option("--methods", default="fpn", help="The rows that are trained, with fpn among them.")
@click.option("--only", default="", help="These mistakes, such as nms,classes.")
@click.option("--seeds", default=f"0,{NEW_SEED}", help="One of the baseline, and a new one.")
def plant(suite: Path, baseline: Path | None, methods: str, only: str, seeds: str) -> None:
    """Train with each mistake; every check must end with exit code 3."""
    more = named(baseline)
    missed = 0
    for mistake in only.split(",") if only else MISTAKES:
        for seed in seeds.split(","):
            with tempfile.TemporaryDirectory() as folder:
                code, found = check(suite, Path(folder), seed, methods, *more, mistake=mistake)
            missed += code != 3
            click.echo(f"{mistake}, seed {seed}: exit {code}: {'; '.join(found) or 'nothing'}")
    sys.exit(1 if missed else 0)


@main.command()
@_suite
@_baseline
@_methods
@click.option("--times", default=10)
@click.option("--results", type=click.Path(path_type=Path), help="To keep the trainings.")
def repeat(
    suite: Path, baseline: Path | None, methods: str, times: int, results: Path | None
) -> None:
    """Check the unchanged tree with new seeds, one after the other; every check must pass."""
    more = named(baseline)
    passed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(NEW_SEED, NEW_SEED + times):
            code, found = check(suite, results or Path(scratch), str(seed), methods, *more)
            passed += code == 0
            click.echo(f"seed {seed}: exit {code}: {'; '.join(found) or 'pass'}")
    click.echo(f"{passed} of {times} passed")
    sys.exit(0 if passed == times else 1)


if __name__ == "__main__":
    main()
