"""Runs as tasks of a Ray cluster, or of one that is started on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sobench.errors import RequestError, reason_of
from sobench.runs.spread.job import Job, Outcome, do_job

RETRIES = 5
"""How often a run is tried again whose worker is lost."""


STARTS = 3
"""How often a cluster of this machine is started anew if it takes too long."""


class RayEngine:
    """Hands runs to Ray, which begins those that build on others when these have ended."""

    slots: int | None = None

    def __init__(self, address: str | None, gpus_per_run: int) -> None:
        """Connect to a cluster.

        Args:
            address: ``auto`` for the one that this machine belongs to, ``host:port``, or ``None``
                for a new one of this machine alone, which ends with this process.

        Raises:
            RequestError: Ray is missing, there is no cluster, or no node of it has what a run
                needs.
        """
        if address:
            show_token()
        self._ray = _imported()
        _connect(self._ray, address)
        where = f"the Ray cluster at {address}" if address else "this machine"
        check_nodes(self._ray.nodes(), gpus_per_run, where)
        # A process for each run gives its memory back, and tells how much of it the run took.
        self._do = self._ray.remote(
            num_cpus=1, num_gpus=gpus_per_run, max_retries=RETRIES, max_calls=1,
            scheduling_strategy="SPREAD",
        )(_do_after)  # fmt: skip

    def submit(self, jobs: Sequence[Job], after: Sequence[Any]) -> list[Any]:
        """Hand over jobs, whose arguments are the outcomes that they wait for."""
        return [self._do.options(name=job.task.run.name).remote(job, *after) for job in jobs]

    def outcome(self, handle: Any) -> Outcome | None:
        """What became of a job, or ``None`` as long as it has not ended."""
        ready, _ = self._ray.wait([handle], timeout=0)
        if not ready:
            return None
        try:
            outcome: Outcome = self._ray.get(handle)
        except self._ray.exceptions.RayError as error:
            return Outcome(None, problem=f"Ray gave it up: {reason_of(error)}")
        return outcome

    def cancel(self, handles: Sequence[Any]) -> None:
        """Interrupt jobs, as Ctrl-C does."""
        for handle in handles:
            self._ray.cancel(handle)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()


def check_nodes(nodes: Sequence[dict[str, Any]], gpus: int, where: str) -> None:
    """Make sure that a run fits on a node, or it would wait for ever.

    Raises:
        RequestError: it does not fit on any.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= gpus for node in alive):
        most = max((int(node.get("GPU", 0)) for node in alive), default=0)
        raise RequestError(
            f"--gpus-per-run {gpus}: no node of {where} has as many GPUs and a free core (the most "
            f"GPUs of one node: {most}); a smaller number, --device cpu, or add a node"
        )


def show_token() -> None:
    """Let Ray show the cluster its token, if this user has one; Ray reads this when it is loaded.

    `ray start --head` asks for the token as soon as there is one, as every cluster that was started
    by a program leaves it, but whoever connects shows it only when told so.
    """
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if given or (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _do_after(job: Job, *outcomes: Outcome) -> Outcome:
    """Do a job after others, whose outcomes it reads from the folder of results."""
    del outcomes
    # Ray's own handler exits, which a run takes for a failure of its method.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return do_job(job)
    finally:
        signal.signal(signal.SIGTERM, before)


def _imported() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise RequestError(
            "--spread ray: Ray is not installed; pip install 'sobench[ray]'"
        ) from None
    module: ModuleType = ray
    return module


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to others
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            _start_here(ray, quiet)
    except Exception as error:  # Ray raises kinds of Python's own, down to Exception itself
        if not address:
            why = f"Ray does not start here ({reason_of(error)})"
            raise RequestError(f"--spread ray: {why}; see /tmp/ray/session_latest/logs") from None
        raise RequestError(
            f"--address {address}: there is no Ray cluster ({reason_of(error)}); start one with "
            "`ray start --head`, or leave --address out for this machine alone"
        ) from None


def _start_here(ray: Any, quiet: dict[str, Any]) -> None:
    """Start a cluster of this machine alone; Ray waits no longer for a busy machine than 30 s."""
    for tries_left in reversed(range(STARTS)):
        try:
            ray.init(address="local", include_dashboard=False, **quiet)
            return
        except Exception as error:
            if "timed out" not in str(error) or not tries_left:
                raise
            ray.shutdown()
