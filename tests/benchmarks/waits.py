"""How often a training step waits for a GPU, and how many operations it launches there.

Run by name: ``python -m tests.benchmarks.waits``. Nothing is computed, so no GPU is needed; the
numbers are those of ``tests/training/fake_cuda.py``, of the second step.
"""

from __future__ import annotations

import warnings

import click

from tests.training.rehearsal import CASES, planned, rehearse_training

_REGIONS = {"pre_nms_top_n": 1000, "post_nms_top_n": 1000, "batch_size_per_image": 512}


@click.command()
@click.option("--backbone", default="resnet50")
@click.option("--size", default=512)
@click.option("--batch", default=16)
@click.option("--boxes", default=180, help="of every image, padding included")
@click.option("--rows", default="", help="only rows whose name begins so")
def main(backbone: str, size: int, batch: int, boxes: int, rows: str) -> None:
    """Print a line for every row."""
    warnings.simplefilter("ignore")
    sections = {
        "input": {"size": [size, size]},
        "backbone": {"name": backbone, "weights": "none", "norm": "train"},
        "neck": {"channels": 256},
        "regions": _REGIONS,
    }
    for case in CASES:
        if str(case).startswith(rows):
            log = rehearse_training(case, planned(case, batch, **sections), boxes)
            click.echo(f"{case!s:50} {len(log.waits):4} waits {log.launches:6} launches")


if __name__ == "__main__":
    main()
