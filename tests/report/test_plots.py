from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from sobench.compare.leaderboard import leaderboard
from sobench.compare.page_data import PageData, page_data
from sobench.report.plots import plots_of
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import keep, write_suite
from tests.detected_results import keep_detected
from tests.records import isolate

RESULTS = Path("results")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def data_of(path: Path) -> PageData:
    runs = plan(load(path), "")
    return page_data(leaderboard(runs, RESULTS), runs, RESULTS)


def test_every_plot_has_its_labels() -> None:
    path = write_suite(methods=["fpn", {"name": "ssd", "label": "<b>$x_1 & $"}])
    keep_detected(path)
    plots = plots_of(data_of(path), "svg")
    assert list(plots) == [
        "cost_gflops.svg", "cost_latency_ms.svg", "cost_params_m.svg", "intervals.svg",
        "precision_recall.svg", "classes.svg", "sizes.svg", "learning.svg",
    ]  # fmt: skip
    for content in plots.values():
        assert "&lt;b&gt;$x_1 &amp; $" in content.decode()
    for name, words in {
        "cost_gflops.svg": ("GFLOPs (1e9 multiply-adds per image)", "Pareto front"),
        "cost_latency_ms.svg": ("milliseconds per image", "AP, mean and 95 % interval"),
        "precision_recall.svg": ("recall", "precision", "IoU .50", "mean of IoU .50 to .95"),
        "learning.svg": ("training step", "training loss", "AP on the val images"),
    }.items():
        assert all(word in plots[name].decode() for word in words)


def test_pictures_and_documents_of_what_is_known() -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    page = data_of(path)
    plots = plots_of(page, "png")
    names = ["cost_gflops", "cost_latency_ms", "cost_params_m", "intervals", "classes"]
    assert list(plots) == [f"{name}.png" for name in names]
    width, height = Image.open(io.BytesIO(plots["intervals.png"])).size
    assert width > height > 200
    assert plots_of(page, "pdf")["classes.pdf"].startswith(b"%PDF-")
