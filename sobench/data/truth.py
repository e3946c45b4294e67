"""Annotations by their place alone, without a suite."""

from __future__ import annotations

from pathlib import Path

from sobench.data.dataset import Dataset
from sobench.data.load import read_annotations
from sobench.data.yolo_config import CONFIG
from sobench.errors import DataError
from sobench.suite.datasets import CocoData, DataSpec, VisDroneData, YoloData


def read_truth(path: Path) -> Dataset:
    """The annotations in a COCO file, in a folder of VisDrone-DET, or the val split of YOLO data.

    Raises:
        DataError: nothing is there, it is something else, or an annotation is broken.
    """
    return read_annotations(_spec(path), "val")


def _spec(path: Path) -> DataSpec:
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    root = str(path.parent)
    if is_file:
        # Names of images are not opened, so they may lead anywhere.
        return CocoData(format="coco", root=root, train=path.name, val=path.name, outside_root=True)
    if is_folder and (path / "annotations").is_dir() and (path / "images").is_dir():
        return VisDroneData(format="visdrone", root=root, val=path.resolve().name)
    if is_folder and (path / CONFIG).is_file():
        return YoloData(format="yolo", root=str(path), outside_root=True)
    what = "no such file or folder" if not is_folder else "is no known data set"
    raise DataError(
        f"{path}: {what}; give a COCO annotation file, a VisDrone folder with images and "
        f"annotations, or a folder with {CONFIG}; a suite names every other one"
    )
