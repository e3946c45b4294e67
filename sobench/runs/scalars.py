"""The log of a training as scalars for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sobench.errors import RequestError
from sobench.runs.folder import RunFolder
from sobench.runs.training_log import read_log


def write_scalars(place: Path, out: Path) -> int:
    """Write the scalars of a run's log as an event file into a folder; returns their number.

    Args:
        place: the folder of a run, finished or not, or a file in it.

    Raises:
        RequestError: there is no log, ``out`` has event files already, or TensorBoard is missing.
    """
    log = RunFolder(place if place.is_dir() else place.parent).log
    try:
        rows = list(read_log(log))
    except OSError as error:
        raise RequestError(
            f"{log}: {error.strerror}; give the folder of a run that has begun to train"
        ) from None
    if not rows:
        raise RequestError(f"{log}: nothing is logged yet")
    if find_spec("tensorboard") is None:
        raise RequestError(
            "--format tensorboard: needs tensorboard; pip install 'sobench[tensorboard]'"
        )
    # Two files of one run would be drawn as one curve that jumps back.
    if any(out.glob("events.out.tfevents.*")):
        raise RequestError(f"{out}: has event files already; give another folder")
    from torch.utils.tensorboard import SummaryWriter

    number = 0
    with SummaryWriter(str(out)) as writer:
        for row in rows:
            for name, value in scalars(row):
                writer.add_scalar(name, value, row["step"])
                number += 1
    return number


def scalars(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Names and values of a row: of a step its losses, of an epoch their means and the scores."""
    is_step = "lr" in row
    values = {f"loss/{name}": value for name, value in row["losses"].items()}
    if is_step:
        values |= {"lr": row["lr"], "grad_norm": row.get("grad_norm")}
    else:
        values = {f"epoch/{name}": value for name, value in values.items()}
        values |= {"val/AP": row.get("ap"), "val/AP50": row.get("ap50")}
    for name, value in values.items():
        if isinstance(value, int | float):
            yield name, float(value)
