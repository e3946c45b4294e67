"""The model of a cluster on matrices that are small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation.__main__ import matrix, method_costs
from tests.simulation.cluster import Cluster, Job, _Simulation, bounds, simulate

FREE = Cluster(
    workers=2, load=0.0, pause=0.0, start_operations=0, held_operations=0, done_operations=0
)
"""Nothing takes time but training."""


def test_runs_are_shared_and_the_bound_is_met() -> None:
    jobs = [Job("a", 30), Job("b", 20), Job("c", 10)]
    found = simulate(jobs, FREE)
    # One worker does a, the other b and then c.
    assert found.makespan == 30 == max(bounds(jobs, 2))
    assert (found.failures, found.lost, found.operations) == (0, 0, 0)


def test_a_student_waits_for_its_teacher_while_others_go_on() -> None:
    jobs = [Job("teacher", 40), Job("student", 30, ("teacher",)), Job("other", 20)]
    found = simulate(jobs, FREE)
    assert bounds(jobs, 2) == (45, 70)
    assert found.makespan == 70


def test_the_first_fit_may_take_longer_than_the_bound() -> None:
    jobs = [Job("a", 10), Job("b", 10), Job("long", 40)]
    assert max(bounds(jobs, 2)) == 40
    assert simulate(jobs, FREE).makespan == 50


def test_every_worker_reads_all_states_from_one_file_server() -> None:
    cluster = Cluster(workers=2, load=5.0, start_operations=10, operations_per_second=2.0)
    jobs = [Job("a", 100.0)]
    simulation = _Simulation(jobs, cluster, seed=0)
    found = simulation.run()
    # The first worker is served after 5 s, the second after 10 s; loading takes 5 s more.
    assert found.makespan == 5 + 5 + 100
    assert found.longest_start == 10


def test_a_lost_run_goes_on_from_its_checkpoint_once_its_lease_has_run_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(
        workers=1, failures_per_hour=1.0, checkpoint=60.0, load=10.0, lease=120.0, restart=30.0,
        start_operations=0, held_operations=0, done_operations=0, pause=0.0,
    )  # fmt: skip
    simulation = _Simulation([Job("a", 200.0)], cluster, seed=0)
    lives = iter([160.0, 1e9])

    class Fixed:
        def exponential(self, _: float) -> float:
            return next(lives)

    monkeypatch.setattr(simulation, "random", Fixed())
    found = simulation.run()
    # Lost at 160 after 150 s of training, of which two checkpoints keep 120 and 30 are lost. The
    # next worker comes at 190, and the lease ends at 280: it looks every second, and from 20 s on
    # after a twentieth of its wait.
    assert (found.failures, found.lost, found.reloaded) == (1, 30.0, 10.0)
    takeover = found.makespan - 10 - (200 - 120)
    assert 280 <= takeover < 280 + 90 / 20 + 1


def test_the_same_seed_gives_the_same_outcome() -> None:
    jobs, cluster = matrix(60, 1.0), Cluster(workers=4, failures_per_hour=0.5)
    first = simulate(jobs, cluster, seed=1)
    assert simulate(jobs, cluster, seed=1) == first
    assert simulate(jobs, cluster, seed=2) != first
    assert first.failures > 0
    assert first.makespan > max(bounds(jobs, 4))


def test_the_matrix_has_a_teacher_before_every_student() -> None:
    jobs = matrix(110, 2.0)
    assert len(jobs) == 110
    places = {job.id: place for place, job in enumerate(jobs)}
    assert all(places[other] < places[job.id] for job in jobs for other in job.builds_on)
    assert method_costs()["fpn"] == 1.0
    assert next(job for job in jobs if job.id == "fpn 0").seconds == pytest.approx(7200)
    assert np.all([job.seconds > 0 for job in jobs])
