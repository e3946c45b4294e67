"""A discrete-event model of many processes on one folder of results.

Which run a process takes next is decided by ``sobench.runs.choice.next_run``, as in a real process;
around it this file does what ``run_matrix`` does, with trainings that only take their time. Every
look at a run costs operations of the file server that all processes share. A worker that is lost
leaves its run to whoever looks at it after the lease has run out, who goes on from the last
checkpoint; another worker takes its place.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sobench.runs.choice import next_run, pause_seconds

HOUR = 3600.0


@dataclass(frozen=True)
class Job:
    """A run: its seconds of training, and the ids of those that must be done before it."""

    id: str
    seconds: float
    builds_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Of what the cluster consists; times are in seconds.

    Attributes:
        workers: processes with a GPU each.
        failures_per_hour: of one worker, without memory.
        checkpoint: between two checkpoints.
        load: from taking a run until its first step.
        lease: after which the run of a lost worker may be taken over.
        restart: until another worker is there in place of a lost one.
        pause: that a look at a held run takes, without its operations.
        start_operations: of the file server, for each run, when a worker starts.
        held_operations, done_operations: the same for a look at a held or a done run.
        operations_per_second: that the file server does for all workers together.
    """

    workers: int = 64
    failures_per_hour: float = 0.0
    checkpoint: float = 60.0
    load: float = 30.0
    lease: float = 120.0
    restart: float = 300.0
    pause: float = 0.1
    start_operations: int = 36
    held_operations: int = 13
    done_operations: int = 48
    operations_per_second: float = 10_000.0


@dataclass
class Outcome:
    """What came of it; times are in seconds.

    Attributes:
        makespan: until the last run is done.
        failures: workers that were lost before that.
        lost: training that had to be done again.
        reloaded: loading of runs that had been loaded before.
        looking: of all workers together, on starting and on looking at runs.
        operations: of the file server.
        longest_start: until a worker knew all states.
    """

    makespan: float = 0.0
    failures: int = 0
    lost: float = 0.0
    reloaded: float = 0.0
    looking: float = 0.0
    operations: int = 0
    longest_start: float = 0.0


@dataclass
class _Worker:
    """What a process knows: runs not known to be done, and those found held since it last took one.

    ``life`` counts its restarts, so that what was planned for an earlier one is not done.
    """

    life: int = 0
    waiting: list[Job] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    has_moved: bool = False
    waited: float = 0.0
    job: Job | None = None
    since: float = 0.0


def bounds(jobs: Sequence[Job], workers: int) -> tuple[float, float]:
    """No schedule is shorter than the work by worker, or than the longest chain; in seconds."""
    ends: dict[str, float] = {}
    for job in jobs:
        ends[job.id] = job.seconds + max((ends[other] for other in job.builds_on), default=0.0)
    return sum(job.seconds for job in jobs) / workers, max(ends.values())


def simulate(jobs: Sequence[Job], cluster: Cluster, seed: int = 0) -> Outcome:
    """Train jobs, each of which comes after those that it builds on."""
    return _Simulation(jobs, cluster, seed).run()


class _Simulation:
    """The state of the cluster, and the events to come."""

    def __init__(self, jobs: Sequence[Job], cluster: Cluster, seed: int) -> None:
        self.jobs, self.cluster, self.outcome = jobs, cluster, Outcome()
        self.random = np.random.default_rng(seed)
        self.workers = [_Worker() for _ in range(cluster.workers)]
        self.done: set[str] = set()
        self.held_until: dict[str, float] = {}
        self.trained: dict[str, float] = {}  # seconds, as of the last checkpoint
        self.server_free = 0.0
        self.events: list[tuple[float, int, int, str, int]] = []
        self.number = 0

    def run(self) -> Outcome:
        """Go from event to event until every run is done."""
        for index in range(len(self.workers)):
            self._plan(0.0, index, "start")
        actions = {"start": self._start, "look": self._look, "end": self._end, "fail": self._fail}
        while len(self.done) < len(self.jobs):
            now, _, index, name, life = heapq.heappop(self.events)
            if self.workers[index].life == life:
                actions[name](now, index)
        return self.outcome

    def _plan(self, when: float, index: int, name: str) -> None:
        self.number += 1  # so that events of one time are in the order of their planning
        life = self.workers[index].life
        heapq.heappush(self.events, (when, self.number, index, name, life))

    def _served(self, now: float, operations: int) -> float:
        """When the file server has done so many operations that are asked for now."""
        self.server_free = max(now, self.server_free)
        self.server_free += operations / self.cluster.operations_per_second
        self.outcome.operations += operations
        self.outcome.looking += self.server_free - now
        return self.server_free

    def _start(self, now: float, index: int) -> None:
        """Read all states; runs that are done by then need no further look."""
        worker, rate = self.workers[index], self.cluster.failures_per_hour
        ready = self._served(now, self.cluster.start_operations * len(self.jobs))
        self.outcome.longest_start = max(self.outcome.longest_start, ready - now)
        worker.waiting = [job for job in self.jobs if job.id not in self.done]
        self._plan(ready, index, "look")
        if rate:
            self._plan(now + self.random.exponential(HOUR / rate), index, "fail")

    def _look(self, now: float, index: int) -> None:
        """One round of ``run_matrix``."""
        worker, cluster = self.workers[index], self.cluster
        job = next_run(worker.waiting, worker.held)
        if job is None:
            pause = 0.0 if worker.has_moved else pause_seconds(worker.waited)
            worker.waited += pause
            worker.held, worker.has_moved = set(), False
            if worker.waiting:
                self._plan(now + pause, index, "look")
        elif job.id in self.done:
            worker.waiting.remove(job)
            worker.has_moved = True
            self._plan(self._served(now, cluster.done_operations), index, "look")
        elif self.held_until.get(job.id, 0.0) > now:
            worker.held.add(job.id)
            self.outcome.looking += cluster.pause
            ready = self._served(now, cluster.held_operations) + cluster.pause
            self._plan(ready, index, "look")
        else:
            worker.job, worker.since = job, now
            self.held_until[job.id] = np.inf
            left = job.seconds - self.trained.get(job.id, 0.0)
            self._plan(now + cluster.load + left, index, "end")

    def _end(self, now: float, index: int) -> None:
        """A training is done; what was held before may be free since."""
        worker = self.workers[index]
        assert worker.job is not None
        self.done.add(worker.job.id)
        worker.waiting.remove(worker.job)
        worker.job, worker.held, worker.has_moved, worker.waited = None, set(), True, 0.0
        self.outcome.makespan = now
        self._plan(now, index, "look")

    def _fail(self, now: float, index: int) -> None:
        """A worker is lost, with what its training has done since the last checkpoint."""
        worker, cluster = self.workers[index], self.cluster
        self.outcome.failures += 1
        if worker.job is not None:
            ran = now - worker.since
            trained = max(0.0, ran - cluster.load)
            kept = trained // cluster.checkpoint * cluster.checkpoint
            self.trained[worker.job.id] = self.trained.get(worker.job.id, 0.0) + kept
            self.outcome.lost += trained - kept
            self.outcome.reloaded += min(ran, cluster.load)
            self.held_until[worker.job.id] = now + cluster.lease
        worker.life += 1
        worker.job, worker.held, worker.has_moved, worker.waited = None, set(), False, 0.0
        self._plan(now + cluster.restart, index, "start")
