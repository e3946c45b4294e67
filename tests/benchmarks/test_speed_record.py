"""What became slower than the ratios that are kept is told."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.speed_record import SLACK, compare


def test_a_greater_ratio_is_told_and_a_little_greater_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    assert compare({"fpn": 0.9, "ssd": 1.0}, "a machine", record=True, path=path) == []
    kept = json.loads(path.read_text())
    assert kept["fpn"]["ratio"] == 0.9
    assert kept["fpn"]["machine"] == "a machine"
    assert set(kept["fpn"]["versions"]) == {"torch", "torchvision", "sobench"}
    assert compare({"fpn": 0.9 * SLACK - 0.01, "ssd": 0.5}, "another", path=path) == []
    slower = compare({"fpn": 0.9 * SLACK + 0.01, "ssd": 1.0}, "another", path=path)
    assert slower == ["slower: fpn: 1.000, was 0.900 on a machine"]
    assert json.loads(path.read_text()) == kept


def test_a_new_measurement_is_kept_beside_the_others(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    compare({"fpn": 0.9}, "a machine", record=True, path=path)
    assert compare({"ssd": 9.0}, "a machine", path=path) == []
    compare({"ssd": 1.2}, "a machine", record=True, path=path)
    assert {name: row["ratio"] for name, row in json.loads(path.read_text()).items()} == {
        "fpn": 0.9, "ssd": 1.2,
    }  # fmt: skip
