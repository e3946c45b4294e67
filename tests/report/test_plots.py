from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sobench.compare.intervals import Estimate
from sobench.report.plots import plots_of
from tests.commands.small_suite import keep, write_suite
from tests.detected_results import keep_detected, page_of
from tests.records import isolate

RESULTS = Path("results")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_every_plot_has_its_labels() -> None:
    path = write_suite(methods=["fpn", {"name": "ssd", "label": "<b>$x_1 & $"}])
    keep_detected(path)
    plots = plots_of(page_of(path), "svg")
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


def test_every_plot_says_what_it_is_a_part_of() -> None:
    """Partial results, a part of the rows, and external rows are marked as everywhere else."""
    path = write_suite(methods=["fpn", {"name": "ssd", "label": "_hidden"}])
    keep_detected(path)
    page = page_of(path)
    notes = ("PARTIAL RESULT (--limit 2): no", "PART OF THE SUITE (1 of its 3 rows): tiers")
    board = replace(
        page.board, partial=("--limit 2",), narrowed=("1 of its 3 rows",), notes=notes,
        external=("fpn",),
    )  # fmt: skip
    for name, content in plots_of(replace(page, board=board), "svg").items():
        text = content.decode()
        assert "PARTIAL RESULT (--limit 2)" in text, name
        assert "PART OF THE SUITE (1 of its 3 rows)" in text, name
        assert "fpn (external)" in text, name
        assert "_hidden" in text, name  # which matplotlib would leave out of legends


def test_an_interval_of_no_width_can_be_drawn() -> None:
    """Means by two ways of adding may differ in the last digit."""
    path = write_suite()
    keep(path, 0.1, 0.4)
    page = page_of(path)
    end = math.nextafter(0.1, 1.0)
    point = Estimate(end, None, 0.0, 1.0, end, end, 1)
    verdict = replace(page.board.verdict, estimates={"fpn": {"AP": point}})
    assert "intervals.svg" in plots_of(
        replace(page, board=replace(page.board, verdict=verdict)), "svg"
    )


def test_pictures_and_documents_of_what_is_known() -> None:
    path = write_suite()
    keep(path, 0.5, 0.4)
    page = page_of(path)
    plots = plots_of(page, "png")
    names = ["cost_gflops", "cost_latency_ms", "cost_params_m", "intervals", "classes"]
    assert list(plots) == [f"{name}.png" for name in names]
    width, height = Image.open(io.BytesIO(plots["intervals.png"])).size
    assert width > height > 200
    assert plots_of(page, "pdf")["classes.pdf"].startswith(b"%PDF-")
