"""The dataset formats, as a literal table. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFormat:
    """A row of the dataset formats table."""

    title: str
    layout: str


DATASETS: dict[str, DatasetFormat] = {
    "coco": DatasetFormat("COCO JSON", "an annotation file and an image folder for each split"),
    "visdrone": DatasetFormat(
        "VisDrone-DET", "SPLIT/images/*.jpg and SPLIT/annotations/*.txt with 8 columns"
    ),
    "voc": DatasetFormat("PASCAL VOC", "Annotations/*.xml, ImageSets/Main/SPLIT.txt, JPEGImages/"),
    "yolo": DatasetFormat("YOLO txt", "data.yaml, images/ and labels/ with one txt per image"),
    "tt100k": DatasetFormat(
        "Tsinghua-Tencent 100K", "annotations.json, and SPLIT/*.jpg with SPLIT/ids.txt"
    ),
    "synthetic": DatasetFormat("drawn scenes of tiny objects", "none: drawn from a seed"),
}
