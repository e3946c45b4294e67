"""Runs as jobs of a Slurm queue, or as processes of this machine, by submitit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from sobench.errors import RequestError, reason_of
from sobench.runs.spread.job import Job, Outcome, do_job

LOCAL = "local"
"""The address that stands for processes of this machine."""

MINUTES = 24 * 60
"""Of a job, unless the user says otherwise; one that is ended goes back into the queue."""

_NUMBERS = {"time": "timeout_min", "cpus_per_task": "cpus_per_task"}
_KNOWN = ("partition", "account", "qos", "constraint", "mem", "exclude", "nodelist")
"""Parameters of ``sbatch`` that submitit knows; time is in minutes."""

_TIMEOUTS = 100
"""How often a job is put back into the queue when its time is over; preemptions are not counted."""


class SlurmEngine:
    """Hands arrays of jobs to Slurm, those that build on others as dependent ones."""

    def __init__(
        self,
        folder: Path,
        address: str | None,
        gpus_per_run: int,
        parameters: Mapping[str, str],
    ) -> None:
        """Make the queue ready.

        Args:
            folder: of submitit's files, which all machines see.
            address: ``local`` for processes of this machine, one a core, in place of a queue.
            parameters: of ``sbatch``, such as ``partition``.

        Raises:
            RequestError: submitit is missing, or there is no queue here.
        """
        self._submitit = _imported()
        self._is_local = address == LOCAL
        self.slots = max(1, os.cpu_count() or 1) if self._is_local else None
        kind = LOCAL if self._is_local else "slurm"
        try:
            self._executor = self._submitit.AutoExecutor(
                folder=folder, cluster=kind, **{f"{kind}_max_num_timeout": _TIMEOUTS}
            )
        except RuntimeError as error:
            raise RequestError(
                f"--spread slurm: there is no Slurm here ({reason_of(error)}); start it where "
                "`sbatch` works, or try it with --address local"
            ) from None
        own = {"name": "sobench", "timeout_min": MINUTES, "cpus_per_task": 1}
        gpus = {"gpus_per_node": gpus_per_run} if gpus_per_run else {}
        self._executor.update_parameters(**own | gpus | of_slurm(parameters))

    def submit(self, jobs: Sequence[Job], after: Sequence[Any]) -> list[Any]:
        """Hand over an array of jobs; ``after`` is empty for processes of this machine."""
        if self._is_local:
            return [_Local(self._executor, job) for job in jobs]
        dependency = ":".join(["afterany", *(handle.job_id for handle in after)])
        self._executor.update_parameters(slurm_dependency=dependency if after else None)
        try:
            return list(self._executor.map_array(Requeued(), jobs))
        except self._submitit.core.utils.FailedSubmissionError as error:
            raise RequestError(f"--spread slurm: sbatch refused the jobs: {error}") from None

    def outcome(self, handle: Any) -> Outcome | None:
        """What became of a job, or ``None`` as long as it has not ended."""
        if isinstance(handle, _Local):
            return handle.outcome()
        return _outcome(handle) if handle.done() else None

    def cancel(self, handles: Sequence[Any]) -> None:
        """End jobs, also those that wait in the queue."""
        for handle in handles:
            handle.cancel(check=False)

    def close(self) -> None:
        """Nothing is left open."""


class Requeued:
    """``do_job``, put back into the queue when Slurm ends it; it goes on from its checkpoint."""

    def __call__(self, job: Job) -> Outcome:
        """Do a job.

        Raises:
            SystemExit: submitit has put the job back into the queue.
        """
        name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2").removeprefix("SIG")
        number = signal.Signals[f"SIG{name}"]
        put_back = signal.getsignal(number)
        codes: list[Any] = []

        def leave(received: int, frame: FrameType | None) -> None:
            # A run takes an exit in its middle for a failure of its method, and leaves a record.
            try:
                if callable(put_back):
                    put_back(received, frame)
            except SystemExit as leaving:
                codes.append(leaving.code)
                raise KeyboardInterrupt from None

        signal.signal(number, leave)
        try:
            return do_job(job)
        except KeyboardInterrupt:
            if not codes:
                raise
            sys.exit(codes[0])

    def checkpoint(self, job: Job) -> Any:
        """What is to be put back; called when the job is to end for others, or its time is over."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Requeued(), job)


class _Local:
    """A job in a process of this machine; one that is killed is begun again, as a queue does."""

    tries = 5

    def __init__(self, executor: Any, job: Job) -> None:
        self.executor, self.job = executor, job
        self.handle = executor.submit(Requeued(), job)

    def outcome(self) -> Outcome | None:
        if not self.handle.done():
            return None
        outcome = _outcome(self.handle)
        if outcome.record is None and _was_lost(self.handle) and self.tries:
            self.tries -= 1
            self.handle = self.executor.submit(Requeued(), self.job)
            return None
        return outcome

    def cancel(self, check: bool) -> None:
        self.handle.cancel(check=check)


def _outcome(handle: Any) -> Outcome:
    """What became of a job that has ended."""
    try:
        outcome: Outcome = handle.result()
    except Exception as error:  # submitit raises what the job raised, or its own
        return Outcome(None, problem=f"job {handle.job_id} left no result: {reason_of(error)}")
    return outcome


def _was_lost(handle: Any) -> bool:
    """Whether a process ended without a word."""
    return not handle.paths.result_pickle.exists()


def of_slurm(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as submitit takes them; those that it does not know go to ``sbatch`` as is.

    Raises:
        RequestError: a time is not a number of minutes, or a number of cores no number.
    """
    taken: dict[str, Any] = {}
    others: dict[str, str] = {}
    for key, value in parameters.items():
        if key in _NUMBERS:
            if not value.isdecimal() or not int(value):
                raise RequestError(f"--slurm {key}={value}: is not a whole number of {key}")
            taken[_NUMBERS[key]] = int(value)
        elif key in _KNOWN:
            taken[f"slurm_{key}"] = value
        else:
            others[key] = value
    return taken | ({"slurm_additional_parameters": others} if others else {})


def _imported() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise RequestError(
            "--spread slurm: submitit is not installed; pip install 'sobench[slurm]'"
        ) from None
    module: ModuleType = submitit
    return module
