from __future__ import annotations

from sobench.compare.history import learning_curves
from sobench.runs.record import Epoch
from tests.records import record_of
from tests.tiny_suite import tiny_run


def test_means_over_seeds_and_holes() -> None:
    def epoch(number: int, loss: float | None, ap: float | None = None) -> Epoch:
        losses = {} if loss is None else {"total": loss}
        return Epoch(epoch=number, step=10 * number, losses=losses, ap=ap)

    run = tiny_run()
    records = [
        record_of(run, history=(epoch(1, 3.0), epoch(2, 2.0, 0.2))),
        record_of(run, history=(epoch(1, 1.0), epoch(2, None, 0.4), epoch(3, 1.0))),
    ]
    curves = learning_curves({"fpn": records, "ssd": [record_of(run)]})
    assert set(curves) == {"fpn"}
    assert curves["fpn"].loss == ((10, 2.0), (20, 2.0), (30, 1.0))
    assert [step for step, _ in curves["fpn"].ap] == [20]
    assert abs(curves["fpn"].ap[0][1] - 0.3) < 1e-12
