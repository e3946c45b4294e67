from __future__ import annotations

import pytest

from sobench.report.html.charts import Axis, axis_of, labels, x_of, y_of


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.16, 0.24, [0.16, 0.18, 0.2, 0.22, 0.24]),
        (3.0, 52.0, [10, 20, 30, 40, 50]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("x", low, high).ticks() == pytest.approx(ticks)


def test_costs_that_differ_greatly_are_on_a_logarithmic_axis() -> None:
    axis = axis_of("x", [0.5, 40.0], may_be_log=True)
    assert axis.log
    assert axis.title == "x, log scale"
    assert axis.ticks() == pytest.approx([0.5, 1, 2, 5, 10, 20, 50])
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == pytest.approx(1)
    assert not axis_of("x", [4.0, 40.0], may_be_log=True).log
    assert not axis_of("AP", [0.01, 0.5]).log  # scores never are


@pytest.mark.parametrize("values", [[], [0.0], [0.3, 0.3], [float("nan")], [-1.0, 1.0]])
def test_any_values_have_an_axis(values: list[float]) -> None:
    axis = axis_of("x", values)
    assert axis.low < axis.high
    assert 1 <= len(axis.ticks()) <= 12


def test_the_plot_is_the_right_way_up() -> None:
    axis = Axis("x", 0.0, 1.0)
    assert x_of(axis, 0.0) < x_of(axis, 1.0)
    assert y_of(axis, 0.0) > y_of(axis, 1.0)


def test_names_never_cover_one_another() -> None:
    names = labels([(200.0, 100.0, row, f"method {row}") for row in range(9)])
    assert 0 < len(names) < 9
    assert len(labels([(200.0, 40.0 + 30 * row, row, "fpn") for row in range(8)])) == 8
