from __future__ import annotations

from dataclasses import replace

import pytest

from sobench.compare import leaderboard
from sobench.metrics.table import COST_METRICS, coco_metrics, score_metrics
from sobench.suite.plan import plan
from sobench.suite.protocols import PROTOCOLS
from tests.records import COST, record_of, states_of
from tests.tiny_suite import tiny_suite

COCO = ["AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L"]
RECALLS = ["AR_S", "AR_M", "AR_L"]
NAMES = {
    "coco": [*COCO, "AR@1", "AR@10", "AR@100", *RECALLS],
    "coco-bins50": [
        *COCO, "AR@1", "AR@10", "AR@100", *RECALLS,
        "AP50_S", "AP50_M", "AP50_L", "AR50_S", "AR50_M", "AR50_L",
    ],
    "visdrone-coco": [*COCO, "AR@1", "AR@10", "AR@100", "AR@500", *RECALLS],
    "visdrone-coco100": [*COCO, "AR@1", "AR@10", "AR@100", *RECALLS],
    "visdrone-crowd": [*COCO, "AR@1", "AR@10", "AR@100", "AR@500", *RECALLS],
    "aitod": [
        "AP", "AP50", "AP75", "AP_VT", "AP_T", "AP_S", "AP_M",
        "AR@1", "AR@100", "AR@1500", "AR_VT", "AR_T", "AR_S", "AR_M",
    ],
    "coco-small": ["AP", "AP50", "AP75", "AR@1", "AR@10", "AR@100"],
    "soda-d": [
        "AP", "AP50", "AP75", "AP_eS", "AP_rS", "AP_gS", "AP_N",
        "AR@100", "AR@300", "AR@1000", "AR_eS", "AR_rS", "AR_gS", "AR_N",
    ],
    "voc07": ["AP50", "AR50"],
    "voc12": ["AP50", "AR50"],
    "visdrone-official": [
        "AP", "AP50", "AP75", "AR@1", "AR@10", "AR@100", "AR@500",
        "AP_class", "AP50_class", "AP75_class",
        "AR@1_class", "AR@10_class", "AR@100_class", "AR@500_class",
    ],
    "tt100k": [
        "F1", "accuracy", "recall", "F1_S", "accuracy_S", "recall_S", "F1_M", "accuracy_M",
        "recall_M", "F1_L", "accuracy_L", "recall_L", "best_F1", "best_cutoff",
        *COCO, "AR@1", "AR@10", "AR@100", *RECALLS,
        "AP50_S", "AP50_M", "AP50_L", "AR50_S", "AR50_M", "AR50_L",
    ],
    "tiny": [
        "AP", "AP50", "AP75", "AP_XS", "AP_S", "AP_M",
        "AR@1", "AR@10", "AR@100", "AR_XS", "AR_S", "AR_M",
    ],
}  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_in_order(protocol: str) -> None:
    metrics = score_metrics(PROTOCOLS[protocol])
    assert [metric.name for metric in metrics] == NAMES[protocol]
    assert [metric.title for metric in metrics] == NAMES[protocol]
    assert all(metric.higher_is_better for metric in metrics)
    assert {metric.format.format(0.12345) for metric in metrics} == {"0.123"}


def test_definitions() -> None:
    """Quantity, IoU, area and limit of every metric of a small protocol."""
    protocol = replace(PROTOCOLS["tiny"], max_dets=(3, 7), bins={"S": (0.0, 9.0)}, bins_at_50=True)
    definitions = {
        metric.name: (metric.quantity, metric.iou, metric.area, metric.max_dets)
        for metric in coco_metrics(protocol)
    }
    assert definitions == {
        "AP": ("AP", "mean", "all", 7),
        "AP50": ("AP", "0.50", "all", 7),
        "AP75": ("AP", "0.75", "all", 7),
        "AP_S": ("AP", "mean", "S", 7),
        "AR@3": ("AR", "mean", "all", 3),
        "AR@7": ("AR", "mean", "all", 7),
        "AR_S": ("AR", "mean", "S", 7),
        "AP50_S": ("AP", "0.50", "S", 7),
        "AR50_S": ("AR", "0.50", "S", 7),
    }


def test_costs_in_order() -> None:
    assert [(cost.name, cost.title, cost.higher_is_better) for cost in COST_METRICS] == [
        ("params_m", "params M", False),
        ("gflops", "GFLOPs", False),
        ("latency_ms", "ms", False),
        ("train_img_s", "img/s", True),
        ("train_min", "train min", False),
        ("extra_min", "extra min", False),
    ]
    assert all(cost.unit for cost in COST_METRICS)
    assert [cost.name for cost in COST_METRICS if cost.footnote] == ["extra_min"]


def test_a_leaderboard_has_every_metric_and_cost() -> None:
    runs = plan(tiny_suite(protocol="tiny"), "aaaa")
    cost = COST.model_copy(update={"extra_s": 60.0})
    table = leaderboard.build(runs, states_of(runs, [record_of(runs[0], cost=cost)])).table
    expected = [*NAMES["tiny"], *(cost.name for cost in COST_METRICS)]
    assert table[expected].notna().all(axis=None)
    spreads = {f"{name}_std" for name in NAMES["tiny"]}
    assert set(table.columns) == {"tier", "method", "seeds", *expected, *spreads}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_knows_its_name(name: str) -> None:
    assert PROTOCOLS[name].name == name
