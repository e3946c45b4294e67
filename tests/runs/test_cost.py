"""The costs of a run: what is measured at which size and precision, and which seconds are added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sobench.runs import record
from sobench.runs.cost import measure_cost
from sobench.runs.folder import RunFolder
from sobench.runs.record import Cost
from sobench.suite.plan import Run, plan, with_required
from sobench.training.state import TrainState
from tests.device_users import other_user
from tests.records import COST, record_of
from tests.tiny_suite import tiny_suite

STATE = TrainState(step=100, seconds=50.0)
START = {
    "name": "efpn", "label": "tuned", "init_from": "efpn",
    "deviations": {"schedule.lr": 0.001, "reason": "a test"},
}  # fmt: skip


class Measured:
    """Stands for the measurements and notes what they are given."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        self.images: tuple[int, ...] = ()
        self.is_bf16 = False

    def count_gflops(self, _detector: Any, size: tuple[int, int]) -> float:
        self.size = size
        return 1.5

    def measure_latency(self, _detector: Any, images: Any, precision: torch.autocast) -> float:
        self.images = tuple(images.shape)
        with precision:
            self.is_bf16 = torch.is_autocast_enabled("cpu")
        return 2.5


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    stub = Measured()
    monkeypatch.setattr("sobench.runs.cost.count_gflops", stub.count_gflops)
    monkeypatch.setattr("sobench.runs.cost.measure_latency", stub.measure_latency)
    return stub


def _cost(
    run: Run, results: Path, validation: int = 3, training: int = 9, warned: list[str] | None = None
) -> Cost:
    network = nn.Linear(3, 4)
    network.bias.requires_grad_(False)
    network.register_buffer("mean", torch.zeros(1))
    images = np.zeros((validation, 128, 128, 3), np.uint8)
    warn = [].append if warned is None else warned.append
    return measure_cost(run, results, network, images, training, STATE, warn)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_networks_costs_are_those_at_the_suites_input_and_precision(
    tmp_path: Path, measured: Measured, precision: str
) -> None:
    changes: dict[str, Any] = {"size": [64, 100], "resize": "shorter_side"}
    (run,) = plan(tiny_suite(input=changes, precision=precision), "aaaa")
    cost = _cost(run, tmp_path, validation=20)
    assert measured.size == (64, 128)  # of a wide image, in multiples of 32
    assert measured.images == (16, 3, 64, 128)
    assert measured.is_bf16 == (precision == "bf16")
    assert (cost.gflops, cost.latency_ms) == (1.5, 2.5)
    assert (cost.parameters, cost.trainable) == (16, 12)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("training", "expected"), [(9, 8.0), (4, 8.0), (3, 6.0)])
def test_images_a_second_are_of_the_batches_that_were_trained_on(
    tmp_path: Path, training: int, expected: float
) -> None:
    (run,) = plan(tiny_suite(schedule={"batch_size": 4}), "aaaa")
    assert _cost(run, tmp_path, validation=1, training=training).train_images_s == expected


@pytest.mark.usefixtures("measured")
def test_seconds_of_all_that_a_run_required(tmp_path: Path) -> None:
    """A row that starts from an EFPN, which needs an FPN; its own baseline is one training."""
    plain, extended, run = plan(tiny_suite(methods=["fpn", "efpn", START]), "aaaa")
    seconds = {"fpn": 10.0, "efpn": 20.0, "fpn for tuned": 40.0}
    for required in with_required([run])[:-1]:
        of_training = COST.model_copy(update={"train_s": seconds[required.entry.label]})
        record.write(record_of(required, cost=of_training), required.folder(tmp_path))
    costs = {of.entry.label: _cost(of, tmp_path) for of in (plain, extended, run)}
    assert {label: cost.train_s for label, cost in costs.items()} == dict.fromkeys(costs, 50.0)
    assert {label: cost.required_s for label, cost in costs.items()} == {
        "fpn": 0, "efpn": 10, "tuned": 70,
    }  # fmt: skip
    assert {label: cost.extra_s for label, cost in costs.items()} == {
        "fpn": 0, "efpn": 10 + 50 - 10, "tuned": 70 + 50 - 40,
    }  # fmt: skip


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_seconds_of_a_run_whose_record_is_lost_are_not_known(tmp_path: Path, harm: str) -> None:
    """The baseline of an origin that is done; nothing needs it any more but the sum."""
    _, run = plan(tiny_suite(methods=["efpn", START]), "aaaa")
    for required in with_required([run])[:-1]:
        record.write(record_of(required), required.folder(tmp_path))
    assert _cost(run, tmp_path).required_s == 3 * 90
    lost = RunFolder.of(with_required([run])[0], tmp_path).record
    lost.write_text("{}") if harm == "damaged" else lost.unlink()
    cost = _cost(run, tmp_path)
    assert (cost.train_s, cost.required_s, cost.extra_s) == (50, None, None)


def test_latency_is_left_out_while_another_process_uses_the_device(
    tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_LOCAL", str(tmp_path))
    (run,) = plan(tiny_suite(), "aaaa")
    warned: list[str] = []
    with other_user(torch.device("cpu")):
        assert _cost(run, tmp_path, warned=warned).latency_ms is None
    assert warned == [
        "fpn seed 0: its latency is not measured, since another sobench process computes on the "
        "device; `sobench run` with --latency measures it later"
    ]
    assert measured.images == ()
    assert _cost(run, tmp_path).latency_ms == 2.5
