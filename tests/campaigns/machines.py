"""Four machines at one folder, whose file system has no locks: leases alone keep them apart."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from sobench import lease, processes
from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harness import Child, start
from tests.campaigns.matrix import KINDS, RUN, fresh, remove
from tests.campaigns.operations import NO_FLOCK, without_flock
from tests.campaigns.processes import problems_of

NAME = "machines"
TITLE = "rounds of four machines at one matrix, without flock"

MACHINES = 4
SECONDS = 4
"""For which a lease is good; a machine with two cores for all of this may be late by seconds."""

STOPPED = SECONDS + 2.0


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Begin on four machines at once; kill one of them or stop it for a while, and compare."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _round(seed, folder, counts))


def _round(seed: int, folder: Path, counts: Counts) -> None:
    random = Random(seed)
    kind = random.choice(KINDS)
    case = fresh(folder, kind, random)
    fate = random.choice(("nothing happens", "one killed", "one stopped for a while"))
    victim = random.randrange(MACHINES)
    number = random.choice(NO_FLOCK)
    children = []
    for machine in range(MACHINES):
        inside = on_machine(machine, number)
        children.append(start(case, *RUN, inside=inside, name=f"machine-{machine}"))
    moment = random.uniform(0, 3)
    if fate != "nothing happens":
        children[victim].wait_for(moment)
        _meet(children[victim], fate)
    endings = [child.wait() for child in children]
    killed = victim if fate == "one killed" else None
    survivors = [ending for machine, ending in enumerate(endings) if machine != killed]
    problems = problems_of(case, kind, survivors, endings, killed is not None)
    problems += [f"{path.name} is left" for path in (case / "results").rglob(".lease.*")]
    line = failure(NAME, seed, f"{kind} data, {fate}: {'; '.join(problems)}") if problems else ""
    codes = Counter(f"exit {ending.code}" for ending in survivors)
    counts.add(fate, *codes.elements(), failure=line)
    if not problems:
        remove(case)


def _meet(child: Child, fate: str) -> None:
    if fate == "one killed":
        child.send(signal.SIGKILL)
        return
    child.send(signal.SIGSTOP)
    time.sleep(STOPPED)
    child.send(signal.SIGCONT)


def on_machine(number: int, error: int) -> Callable[[], None]:
    """For a child: a machine of its own that shares a file system without locks with others."""

    def inside() -> None:
        without_flock(error)()
        real = processes.process

        def process(pid: object) -> dict[str, object]:
            return real(pid) | {"boot": f"machine {number}", "host": f"machine-{number}"}

        processes.process = process
        os.environ[lease.SECONDS] = str(SECONDS)

    return inside
