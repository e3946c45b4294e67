from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.dataset import Dataset, ImageArray
from sobench.data.synthetic import scenes as synthetic
from sobench.errors import CheckpointError, Diverged
from sobench.models.build import build_detector
from sobench.models.detector import Detector, HeadOutput, Stage
from sobench.suite.datasets import SyntheticData
from sobench.suite.plan import Run
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints, step_of
from sobench.training.data import TrainingData
from sobench.training.loop import train, train_step
from sobench.training.optimizer import make_optimizer
from sobench.training.outcome import StepOutcome
from sobench.training.progress import TrainProgress
from sobench.training.state import TrainState
from tests.tiny_suite import tiny_run

CPU = torch.device("cpu")

built = build_detector
"""What a test trains may be made in another way."""


def _data(run: Run) -> tuple[Dataset, ImageArray]:
    assert isinstance(run.suite.dataset, SyntheticData)
    dataset = synthetic.read(run.suite.dataset, "train")
    return dataset, np.stack([dataset.read_image(i) for i in range(len(dataset.images))])


class StopError(Exception):
    """Stands for a kill."""


def _train(
    run: Run,
    folder: Path,
    stop_at: int | None = None,
    scores: list[int] | None = None,
    every: float = 1e9,
) -> tuple[TrainState, Detector, list[TrainProgress]]:
    detector = built(run.suite, run.entry, 5, run.seed)
    steps: list[TrainProgress] = []
    warnings: list[str] = []

    def on_step(progress: TrainProgress) -> None:
        steps.append(progress)
        if progress.step == stop_at:
            raise StopError

    def score() -> dict[str, float | None]:
        detector.eval()
        (scores if scores is not None else []).append(len(steps))
        return {"ap": 0.5, "ap50": None}

    suite = run.suite
    state = train(
        detector, TrainingData(*_data(run), suite.input, suite.augment), suite.schedule, folder,
        run_id=run.id, seed=run.seed, precision=suite.precision,
        log_path=folder / "log.jsonl", score=score, on_step=on_step, warn=warnings.append,
        evaluate_every=suite.evaluate_every, checkpoint_seconds=every,
    )  # fmt: skip
    return state, detector, steps


def _two_stages(detector: Detector) -> Detector:
    """Its head alone, then everything; the second stage is half as long, rounded up."""
    detector.stages = (Stage("head", 1.0), Stage("all", 0.5))

    def start_stage(stage: Stage) -> None:
        for part in (detector.backbone, detector.neck):
            part.requires_grad_(stage.name == "all")

    detector.start_stage = start_stage  # type: ignore[method-assign]
    return detector


@pytest.mark.parametrize("stop_at", [4, 9, 10, 12])
def test_a_training_stopped_in_a_stage_or_between_two_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    def staged(*arguments: Any) -> Detector:
        return _two_stages(build_detector(*arguments))

    monkeypatch.setattr("tests.training.test_loop.built", staged)
    run = tiny_run(schedule={"optimizer": "adamw", "milestones": []})
    whole, reference, seen = _train(run, tmp_path / "whole")
    assert [(p.stage, p.epoch, p.epochs) for p in seen[8:10]] == [("head", 3, 5), ("all", 4, 5)]
    assert seen[9].lr == seen[0].lr < seen[8].lr  # the second stage warms up again
    assert [row["stage"] for row in whole.epochs] == ["head"] * 3 + ["all"] * 2
    with pytest.raises(StopError):
        _train(run, tmp_path / "cut", stop_at, every=0)
    state, detector, _ = _train(run, tmp_path / "cut")
    assert state.epochs == whole.epochs
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, detector.state_dict()[name]), name
    assert _log(tmp_path / "cut") == _log(tmp_path / "whole")


def _log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_same_run_twice_gives_bit_identical_losses_and_weights(tmp_path: Path) -> None:
    _, one, first = _train(tiny_run(), tmp_path / "a")
    _, two, second = _train(tiny_run(), tmp_path / "b")
    assert [p.losses for p in first] == [p.losses for p in second]
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    _, _, other = _train(tiny_run(seed=1), tmp_path / "c", None)
    assert other[0].losses != first[0].losses


@pytest.mark.parametrize(
    ("stop_at", "optimizer", "head", "method"),
    [
        (3, "sgd", "retinanet", "fpn"),
        (4, "adamw", "retinanet", "fpn"),
        (7, "adamw", "retinanet", "fpn"),
        (5, "sgd", "faster_rcnn", "libra"),  # whose samples are drawn at random
    ],
)
def test_a_stopped_training_ends_as_if_it_had_not_been(
    tmp_path: Path, stop_at: int, optimizer: str, head: str, method: str
) -> None:
    small = {"pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16}
    run = tiny_run(schedule={"optimizer": optimizer}, head=head, regions=small, methods=[method])
    whole, reference, _ = _train(run, tmp_path / "whole")
    with pytest.raises(StopError):
        _train(run, tmp_path / "cut", stop_at, every=0)
    state, detector, seen = _train(run, tmp_path / "cut")
    assert seen[0].step <= stop_at + 1
    assert state.last == whole.last
    assert state.epochs == whole.epochs
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, detector.state_dict()[name]), name
    assert _log(tmp_path / "cut") == _log(tmp_path / "whole")


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path: Path) -> None:
    run = tiny_run()
    whole, reference, _ = _train(run, tmp_path / "whole")
    with pytest.raises(StopError):
        _train(run, tmp_path / "cut", 4, every=0)
    newest = list_checkpoints(tmp_path / "cut")[-1]
    content = bytearray(newest.read_bytes())
    content[1000] ^= 4
    newest.write_bytes(content)
    state, detector, seen = _train(run, tmp_path / "cut")
    assert 1 < seen[0].step < 4
    assert state.last == whole.last
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, detector.state_dict()[name]), name


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    run = tiny_run()
    first, one, _ = _train(run, tmp_path)
    second, two, seen = _train(run, tmp_path)
    assert seen == []
    assert (first.last, first.epochs) == (second.last, second.epochs)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    _train(tiny_run(), tmp_path)
    with pytest.raises(CheckpointError, match=r"s0-.*move it away"):
        _train(tiny_run(seed=1), tmp_path)


def test_a_loss_that_is_not_finite_ends_the_run_with_step_and_parts(tmp_path: Path) -> None:
    run = tiny_run(schedule={"lr": 1e12, "clip_norm": None})
    with pytest.raises(Diverged, match=r"at step \d+: class \S+, box \S+, total \S+"):
        _train(run, tmp_path)
    for path in list_checkpoints(tmp_path):
        history = json.loads(checkpoint.load(path)["history"])
        assert all(math.isfinite(value) for value in history["last"].values())


@pytest.mark.parametrize(("step", "stored"), [(3, [1, 2]), (6, [4, 5]), (9, [7, 8])])
def test_weights_that_are_not_finite_end_the_run_before_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, stored: list[int]
) -> None:
    """At the last step of an epoch, whose loss was still finite."""
    done: list[int] = []

    def spoiling(detector: Detector, *others: Any) -> StepOutcome:
        outcome = train_step(detector, *others)
        done.append(len(done) + 1)
        if len(done) == step:
            detector.state_dict()["backbone.layer2.0.bn1.running_var"][1] = math.inf
        return outcome

    monkeypatch.setattr("sobench.training.loop.train_step", spoiling)
    words = (
        rf"weights are not finite after step {step}, first backbone\.layer2\.0\.bn1\.running_var$"
    )
    with pytest.raises(Diverged, match=words):
        _train(tiny_run(), tmp_path, every=0)
    assert [step_of(path) for path in list_checkpoints(tmp_path)] == stored


def test_scores_are_taken_when_the_suite_says_so(tmp_path: Path) -> None:
    scores: list[int] = []
    state, detector, _ = _train(tiny_run(evaluate_every=2), tmp_path, scores=scores)
    assert scores == [6]
    assert [row.get("ap") for row in state.epochs] == [None, 0.5, None]
    assert detector.training


def test_scoring_in_between_changes_nothing(tmp_path: Path) -> None:
    _, _, plain = _train(tiny_run(), tmp_path / "a")
    _, _, scored = _train(tiny_run(evaluate_every=1), tmp_path / "b", scores=[])
    assert [p.losses for p in plain] == [p.losses for p in scored]


def test_the_log_has_a_line_for_each_epoch_with_mean_losses(tmp_path: Path) -> None:
    _, _, seen = _train(tiny_run(), tmp_path)
    rows = [row for row in _log(tmp_path) if "lr" not in row]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    losses = rows[0]["losses"]
    assert isinstance(losses, dict)
    assert losses["box"] == pytest.approx(np.mean([p.losses["box"] for p in seen[:3]]))


def _one_step(precision: str = "fp32", clip_norm: float | None = None) -> tuple[Detector, float]:
    """The tiny detector after a step on two images, and the norm that the step tells of."""
    run = tiny_run()
    detector = build_detector(run.suite, run.entry, 5, 0).train()
    data = TrainingData(*_data(run), run.suite.input, run.suite.augment)
    batch = next(data.batches(detector.stages[0], 2, seed=0, epoch=0, start=0))
    optimizer = make_optimizer(detector, run.suite.schedule)
    _, norm = train_step(detector, optimizer, batch, 0.01, clip_norm, precision).read()
    return detector, norm


def _gradient_norm(detector: Detector) -> float:
    gradients = [p.grad.double().flatten() for p in detector.parameters() if p.grad is not None]
    return float(torch.cat(gradients).norm())


def test_gradients_are_clipped_to_the_norm() -> None:
    detector, told = _one_step()
    plain = _gradient_norm(detector)
    assert plain > 0.02
    assert told == pytest.approx(plain, rel=2e-5)  # in float32, as the step adds it up
    for limit, left in ((0.01, 0.01), (2 * plain, plain)):
        clipped, before = _one_step(clip_norm=limit)
        assert _gradient_norm(clipped) == pytest.approx(left, rel=1e-3)
        assert before == told


def test_the_log_tells_the_norm_of_the_gradient_of_steps_and_epochs(tmp_path: Path) -> None:
    clipped = _train(tiny_run(schedule={"clip_norm": 1e-3}), tmp_path)[0]
    assert "grad_norm" not in clipped.last
    rows = _log(tmp_path)
    (last,) = (row for row in rows if "lr" in row)  # of nine steps only the last one is logged
    epochs = [row for row in rows if "lr" not in row]
    for row in epochs:
        assert 1e-3 < float(str(row["grad_norm"])) < float(str(row["grad_norm_max"]))
        losses = row["losses"]
        assert isinstance(losses, dict)
        assert "grad_norm" not in losses
    assert 1e-3 < float(str(last["grad_norm"])) <= float(str(epochs[-1]["grad_norm_max"]))


def test_the_norm_that_overflows_is_logged_as_null() -> None:
    state = TrainState()
    for norm in (1.0, math.inf):
        state.add_step({"total": 1.0}, norm)
    row = state.end_epoch(1, "train")
    assert (row["grad_norm"], row["grad_norm_max"]) == (None, None)
    for norm in (1.0, 4.0):
        state.add_step({"total": 1.0}, norm)
    row = state.end_epoch(2, "train")
    assert (row["grad_norm"], row["grad_norm_max"]) == (2.5, 4.0)


def test_the_losses_of_the_first_steps_are_kept_one_by_one() -> None:
    state = TrainState()
    for step in range(30):
        state.add_step({"total": float(step)}, 1.0)
    assert state.first == [float(step) for step in range(20)]
    resumed_without = TrainState(step=7)  # from a checkpoint that did not have them yet
    resumed_without.add_step({"total": 7.0}, 1.0)
    assert resumed_without.first == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_network_computes_in_the_precision(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen: list[bool] = []
    predict = Detector.predict

    def spy(detector: Detector, images: torch.Tensor) -> HeadOutput:
        seen.append(torch.is_autocast_enabled("cpu"))
        return predict(detector, images)

    monkeypatch.setattr(Detector, "predict", spy)
    _one_step(precision)
    assert seen == [precision == "bf16"]
