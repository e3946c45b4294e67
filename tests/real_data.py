"""The real data among the tests' files; their sources and licences are in its README."""

from __future__ import annotations

from pathlib import Path

from sobench.suite.datasets import CocoData, VocData

FOLDER = Path(__file__).parent / "data_files"

BCCD = FOLDER / "bccd"
BCCD_SPEC = VocData(
    format="voc", root=str(BCCD), train="trainval", val="test", classes=("RBC", "WBC", "Platelets")
)

COCO_100 = FOLDER / "coco_val2014_100"
COCO_100_SPEC = CocoData(
    format="coco", root=str(COCO_100), train="annotations.json", val="annotations.json"
)
COCO_100_DETECTIONS = COCO_100 / "detections.json"
COCO_100_PUBLISHED = {
    "AP": 0.505, "AP50": 0.697, "AP75": 0.573, "AP_S": 0.586, "AP_M": 0.519, "AP_L": 0.501,
    "AR@1": 0.387, "AR@10": 0.594, "AR@100": 0.595, "AR_S": 0.640, "AR_M": 0.566, "AR_L": 0.564,
}  # fmt: skip
"""What the COCO API publishes for these detections, to three decimals."""
