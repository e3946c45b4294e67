"""Seconds of training: over all sessions, without the scoring between epochs."""

from __future__ import annotations

import pytest

from sobench.training.state import TrainClock, TrainState


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr("sobench.training.state.time", stopped)
    return stopped


def test_a_resumed_training_adds_its_seconds_and_tells_its_own_speed(time: Time) -> None:
    state = TrainState(step=10, seconds=50.0)
    clock = TrainClock(state)
    speeds = []
    for _ in range(2):
        time.now += 2
        state.step += 1
        speeds.append(clock.step(batch_size=8))
    assert state.seconds == 54
    assert speeds == [4, 4]


def test_scoring_is_not_training(time: Time) -> None:
    state = TrainState()
    clock = TrainClock(state)
    time.now += 3
    state.step += 1
    clock.step(batch_size=6)
    with clock.paused():
        time.now += 100
    time.now += 1
    state.step += 1
    assert clock.step(batch_size=6) == 3
    assert state.seconds == 4


def test_a_checkpoint_is_due_so_many_seconds_after_the_last(time: Time) -> None:
    clock = TrainClock(TrainState())
    time.now += 60
    assert clock.due(60)
    clock.saved()
    time.now += 59
    assert not clock.due(60)
