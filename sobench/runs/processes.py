"""One training in several processes on one machine, started by torch's elastic launcher.

This process holds the run's folder, starts the others, shows what the first of them tells, and goes
on with the trained network when they are done. A GPU each, or on a CPU a share of its threads.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NoReturn

import torch
import torch.distributed

from sobench.data.resize import has_one_canvas
from sobench.device import pin_kernels
from sobench.errors import ProcessLost, RequestError, RunError, reason_of
from sobench.lease import check_held
from sobench.metrics.cost import reset_peak_memory
from sobench.models.parts.whole_batch import Share, sharing
from sobench.runs.callbacks import ProgressCallback
from sobench.runs.train import load_splits, train_run
from sobench.suite.plan import Run
from sobench.training.progress import TrainProgress

MOST_RESTARTS = 3
"""How often a run is started again after one of its processes was lost."""

_TIMEOUT = timedelta(days=1)
"""Of a message to the other processes, which may have to wait while the first one scores."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's ``prctl``."""

_SECONDS_TO_FALL = 5
"""In which a process that misses another one leaves it to the launcher to name the lost one."""


def check_processes(device: torch.device, processes: int) -> None:
    """Check that there is a GPU for every process.

    Raises:
        RequestError: there are fewer, or the device is one of several GPUs.
    """
    if processes == 1 or device.type != "cuda":
        return
    if device.index:
        raise RequestError(
            f"--gpus-per-run {processes} takes the first {processes} GPUs; leave out --device "
            f"{device}, or let CUDA_VISIBLE_DEVICES say which GPUs these are"
        )
    count = torch.cuda.device_count()
    if processes > count:
        raise RequestError(f"--gpus-per-run {processes}: torch sees {count} CUDA device(s) here")


def backend_of(device: torch.device, processes: int) -> str:
    """How torch's processes talk: ``gloo``, or ``nccl`` on CUDA; empty for one process."""
    if processes == 1:
        return ""
    return "nccl" if device.type == "cuda" else "gloo"


def threads_of(device: torch.device, processes: int) -> int:
    """The number of CPU threads of each process, which on a CPU share those of this one."""
    threads = torch.get_num_threads()
    return max(1, threads // processes) if device.type == "cpu" else threads


def train_in_processes(
    run: Run,
    results: Path,
    device: torch.device,
    processes: int,
    callback: ProgressCallback,
    checkpoint_seconds: float,
) -> float | None:
    """Train a run, whose folder the caller holds and whose images are in the cache.

    Its last checkpoint then holds the weights. If a process is lost, as by a kill, all are started
    again and go on from the newest checkpoint.

    Returns:
        peak memory of the first process, as of ``peak_memory_mb``.

    Raises:
        ProcessLost: that happened too often.
        Exception: whatever a process has failed with.
    """
    for restart in range(1 + MOST_RESTARTS):
        try:
            return _launched(run, results, device, processes, callback, checkpoint_seconds)
        except ProcessLost as error:
            if restart == MOST_RESTARTS:
                raise ProcessLost(f"{error}, {1 + MOST_RESTARTS} times") from error
            callback.warn(
                f"{run.name}: {error}; the run goes on from its last checkpoint "
                f"(restart {restart + 1} of {MOST_RESTARTS})"
            )
    raise AssertionError


def _launched(
    run: Run,
    results: Path,
    device: torch.device,
    processes: int,
    callback: ProgressCallback,
    checkpoint_seconds: float,
) -> float | None:
    """One launch of all processes; arguments and result are those of ``train_in_processes``."""
    # These import much of torch, which one process does not need.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    pipes = [get_context("spawn").Pipe(duplex=False) for _ in range(processes)]
    listener = _Listener([reader for reader, _ in pipes], run.folder(results), callback)
    task = _Task(
        run, results, device, threads_of(device, processes), checkpoint_seconds, os.getpid()
    )
    lost = None
    with _quiet(), TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=run.id, max_restarts=0,
            rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
            # A signal interrupts this process as it does without others; it then stops them.
            signals_to_handle="", logs_specs=DefaultLogsSpecs(logs),
        )  # fmt: skip
        try:
            elastic_launch(config, work)(task, [writer for _, writer in pipes])
        except ChildFailedError as error:
            number, failure = error.get_first_failure()
            how = f"exited with {failure.exitcode}"
            if failure.exitcode < 0:
                how = f"was killed by {signal.Signals(-failure.exitcode).name}"
            lost = ProcessLost(f"process {number + 1} of {processes} {how}")
        finally:
            for _, writer in pipes:
                writer.close()
            listener.join()
    if listener.problem is not None:
        raise listener.problem
    if lost is not None:
        raise lost
    return listener.peak


@dataclass(frozen=True)
class _Task:
    """What every process is given."""

    run: Run
    results: Path
    device: torch.device
    threads: int
    checkpoint_seconds: float
    parent: int


def work(task: _Task, writers: Sequence[Connection]) -> None:
    """Train the share of this process; the launcher calls this in each."""
    # Whoever interrupts these processes interrupts the one that started them, which ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(task.parent)
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    tell = writers[rank]
    try:
        with redirect_stdout(sys.stderr):
            _train_share(task, rank, processes, tell)
    except BaseException as error:
        _fail(tell, error)


def _train_share(task: _Task, rank: int, processes: int, tell: Connection) -> None:
    torch.set_num_threads(task.threads)
    device = task.device
    if device.type == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    reset_peak_memory(device)
    pin_kernels(device, has_one_canvas(task.run.suite.input))
    # All are on this machine, so that no other network need be up.
    if (loopback := _loopback()) is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    # Sizes are agreed on by the CPUs, for which NCCL has no messages.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
    callback: ProgressCallback = _Teller(tell) if rank == 0 else _Silent()
    train_split, val_split = load_splits(task.run, callback)
    batch_size = min(task.run.suite.schedule.batch_size, len(train_split.images))
    with sharing(Share.of(rank, processes, batch_size)):
        trained = train_run(
            task.run, task.results, train_split, val_split, device, callback,
            task.checkpoint_seconds,
        )  # fmt: skip
    if rank == 0:
        tell.send(("peak", (trained.peak_memory_mb,)))
    torch.distributed.destroy_process_group()


def _fail(tell: Connection, error: BaseException) -> NoReturn:
    """Tell why this process ends, and end it."""
    trace = "".join(traceback.format_exception(error))
    with suppress(OSError):
        try:
            tell.send(("problem", (error, trace)))
        except Exception:  # whatever keeps another package's error from being sent
            tell.send(("problem", (RunError(reason_of(error)), trace)))
    if isinstance(error, ProcessLost):
        time.sleep(_SECONDS_TO_FALL)
    os._exit(1)  # without a wait for threads that wait for other processes


def _die_with(parent: int) -> None:
    """Let the system kill this process when the one that started it ends; Linux knows how."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def _loopback() -> str | None:
    """The network of this machine alone, if it has the usual name."""
    names = {name for _, name in socket.if_nameindex()}
    return next((name for name in ("lo", "lo0") if name in names), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the launcher's own log, since what it says is told in our words."""
    names = "torch.distributed.elastic", "torch.multiprocessing.spawn"
    logs = [logging.getLogger(name) for name in names]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


class _Teller:
    """The progress of the first process, sent to the one that shows it."""

    def __init__(self, tell: Connection) -> None:
        self.tell = tell

    def on_stage(self, text: str) -> None:
        """As of ``ProgressCallback``."""
        self.tell.send(("on_stage", (text,)))

    def on_step(self, progress: TrainProgress) -> None:
        """As of ``ProgressCallback``."""
        self.tell.send(("on_step", (progress,)))

    def on_images(self, done: int, total: int) -> None:
        """As of ``ProgressCallback``."""
        self.tell.send(("on_images", (done, total)))

    def warn(self, message: str) -> None:
        """As of ``ProgressCallback``."""
        self.tell.send(("warn", (message,)))


class _Silent:
    """The progress of the other processes, which is that of the first one."""

    def on_stage(self, text: str) -> None:
        """Nothing."""

    def on_step(self, progress: TrainProgress) -> None:
        """Nothing."""

    def on_images(self, done: int, total: int) -> None:
        """Nothing."""

    def warn(self, message: str) -> None:
        """Nothing."""


class _Listener(Thread):
    """Hands on what the processes tell, while the launcher waits for them.

    Attributes:
        problem: what the first of them has failed with that did not only miss another one, or what
            the callback has raised, after which no more is heard.
        peak: memory of the first process.
    """

    def __init__(
        self, readers: Sequence[Connection], folder: Path, callback: ProgressCallback
    ) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.readers = list(readers)
        self.callback = callback
        self.problem: BaseException | None = None
        self.peak: float | None = None
        self.start()

    def run(self) -> None:
        """Until every process has ended."""
        while self.readers:
            for reader in wait(self.readers):
                assert isinstance(reader, Connection)
                try:
                    self._hand_on(*reader.recv())
                except (EOFError, OSError):  # also in the middle of what a killed one was telling
                    self.readers.remove(reader)
                    reader.close()
                except BaseException as error:
                    # Whoever tells more now breaks down, and the launcher stops the others.
                    self.problem = self.problem or error
                    for other in self.readers:
                        other.close()
                    self.readers = []
                    break

    def _hand_on(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "peak":
            (self.peak,) = arguments
        elif name == "problem":
            error, trace = arguments
            if self.problem is None and not isinstance(error, ProcessLost):
                error.add_note(trace)
                self.problem = error
        else:
            check_held(self.folder)  # which this process holds, not those that train
            getattr(self.callback, name)(*arguments)
