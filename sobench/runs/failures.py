"""What a run leaves that an error has ended: a record with the reason, and the traceback."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path

import torch

from sobench.device import device_name
from sobench.environment import describe
from sobench.errors import Diverged, SobenchError, reason_of
from sobench.files import write_atomic
from sobench.lease import check_held
from sobench.runs import record
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.suite.plan import Run


def record_failure(
    run: Run,
    results: Path,
    device: torch.device,
    callback: ProgressCallback,
    error: BaseException,
) -> Record:
    """Leave the reason and the traceback of a failure in the run's folder, which the caller holds.

    An earlier result, with other weights, still counts: its record stays.

    Raises:
        LeaseLost: the folder is no longer held, which may be what the error comes from.
    """
    folder, outcome = RunFolder.of(run, results), failure(run, error, device)
    check_held(folder.path)
    trace = "".join(traceback.format_exception(error))
    try:
        write_atomic(folder.error, trace.encode(errors="backslashreplace"))
        earlier = record.read_sound(folder.path)
        if earlier is None or not earlier.scores:
            record.write(outcome, folder.path)
    except OSError as problem:
        callback.warn(f"{run.name}: the failure could not be recorded: {reason_of(problem)}")
    return outcome


def failure(run: Run, error: BaseException, device: torch.device) -> Record:
    """The record of a run that an error has ended; it is not written."""
    reason = reason_of(error)
    if not isinstance(error, SobenchError):
        reason = f"{reason} (the traceback is in error.txt of the run's folder)"
    return Record(
        **record.identity(run),
        status="diverged" if isinstance(error, Diverged) else "failed",
        reason=reason,
        environment=describe(device_name(device), torch.get_num_threads()),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
