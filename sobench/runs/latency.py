"""Latencies that were left out while others used the device, measured later."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from sobench.data.pixels import resized_images
from sobench.device import device_name
from sobench.device_use import using
from sobench.errors import RunLocked, SobenchError, reason_of
from sobench.runs import record
from sobench.runs.callbacks import MatrixProgressCallback
from sobench.runs.cost import latency_of
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.runs.splits import cache_name, check_data_unchanged, load_split
from sobench.runs.weights import trained_network
from sobench.suite.plan import Run, with_required


def measure_latencies(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    outcomes: Sequence[Record],
    callback: MatrixProgressCallback,
) -> list[Record]:
    """The records of finished runs, with the latencies that they lack, where they can be measured.

    Args:
        runs: to which the records belong, or which require those.
        device: must be of the kind that a run trained on, as its record says so of all its times.
    """
    by_id = {run.settings_id: run for run in with_required(runs)}
    lacking = [
        outcome
        for outcome in outcomes
        if outcome.scores and outcome.cost is not None and outcome.cost.latency_ms is None
    ]
    measured: dict[str, Record] = {}
    with using(device):
        for number, outcome in enumerate(lacking, 1):
            run = by_id[outcome.settings_id]
            callback.on_run_start(run, number, len(lacking))
            try:
                measured[run.settings_id] = _with_latency(run, results, device, callback)
            except (SobenchError, OSError) as error:
                callback.warn(f"{run.name}: its latency cannot be measured: {reason_of(error)}")
    return [measured.get(outcome.settings_id, outcome) for outcome in outcomes]


def _with_latency(
    run: Run, results: Path, device: torch.device, callback: MatrixProgressCallback
) -> Record:
    """The record of a run with its latency, written to its folder.

    Raises:
        SobenchError: it is held by another process, its weights are gone, or it trained on another
            kind of device.
    """
    folder = RunFolder.of(run, results)
    with folder.lock():
        outcome = record.read(folder.path)
        if outcome is None or outcome.cost is None:
            raise RunLocked(f"{folder.path}: its record has gone meanwhile")
        trained_on = outcome.environment.device if outcome.environment else ""
        if trained_on != device_name(device):
            raise SobenchError(f"it trained on {trained_on}, and this is {device_name(device)}")
        callback.on_stage("measure latency")
        val = load_split(run, "val")
        images = resized_images(
            val, cache_name(run, "val"), run.data, run.suite.input,
            callback.on_images, callback.warn, partial(check_data_unchanged, run),
        )  # fmt: skip
        network = trained_network(run, results, load_split(run, "train"), device)
        latency = latency_of(run, network, images, callback.warn)
        outcome = outcome.model_copy(
            update={"cost": outcome.cost.model_copy(update={"latency_ms": latency})}
        )
        if latency is not None:
            record.write(outcome, folder.path)
    return outcome
