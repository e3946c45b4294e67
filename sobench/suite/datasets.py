"""The ``dataset`` section of a suite, one class for each format, and the table of formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sobench.suite.section import FilePath, Label, Section
from sobench.yaml_text import shown


@dataclass(frozen=True)
class DatasetFormat:
    """A row of the dataset formats table.

    Attributes:
        title: the name that people know the format by.
        layout: the files below ``dataset.root``.
    """

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


Holdout = Annotated[float, Field(ge=0, lt=1)]
"""A share of the training images that is held out."""


class CocoData(Section):
    """COCO JSON: an annotation file and an image folder for each split."""

    format: Literal["coco"]
    """The layout of the files."""
    root: FilePath
    """Folder that holds the data set; ``${VAR}`` and ``~`` work, and a relative path is relative to
    the suite file. Another root leaves results valid: the content counts, not the place."""
    train: FilePath
    """Annotation file of the training images, relative to ``root``."""
    val: FilePath
    """Annotation file of the images that are scored, relative to ``root``; with ``holdout`` it may
    be left out."""
    train_images: FilePath = "images"
    """Folder of the training images, relative to ``root``."""
    val_images: FilePath = "images"
    """Folder of the images that are scored, relative to ``root``."""
    holdout: Holdout = 0
    """Share of the training images that is held out to be scored, where the data set has one split;
    ``val`` is then not read. A digest of their names chooses them, so that they are the same for
    everyone. With the default 0 ``val`` is scored."""
    max_area: float | None = Field(None, gt=0)
    """Area in square pixels of the original image below which an object is kept, which makes a
    subset of small objects as MRAE's (arXiv:2006.05941). In both splits larger objects become
    background, and images without a smaller one are left out. The default keeps everything."""
    outside_root: bool = False
    """Whether ``file_name`` of the annotation files may name images outside of the split's image
    folder; the default refuses them."""

    @model_validator(mode="before")
    @classmethod
    def _without_val(cls, content: Any) -> Any:
        """With ``holdout`` the one annotation file stands for both splits."""
        if not isinstance(content, dict) or not content.get("holdout") or "val" in content:
            return content
        given = {key: content[key] for key in ("train", "train_images") if key in content}
        return {key.replace("train", "val"): value for key, value in given.items()} | content


class VisDroneData(Section):
    """VisDrone-DET: a folder with ``images`` and ``annotations`` for each split."""

    format: Literal["visdrone"]
    """The layout of the files."""
    root: FilePath
    """Folder that holds the splits; ``${VAR}`` and ``~`` work, and a relative path is relative to
    the suite file. Another root leaves results valid: the content counts, not the place."""
    train: FilePath = "VisDrone2019-DET-train"
    """Folder of the training split, relative to ``root``."""
    val: FilePath = "VisDrone2019-DET-val"
    """Folder of the split that is scored, relative to ``root``."""
    holdout: Holdout = 0
    """Share of the training images that is held out to be scored, where the data set has one split;
    ``val`` is then not read. A digest of their names chooses them, so that they are the same for
    everyone. With the default 0 ``val`` is scored."""


class VocData(Section):
    """PASCAL VOC: one XML file for each image, and text files that name the images of a split."""

    format: Literal["voc"]
    """The layout of the files."""
    root: FilePath
    """Folder that holds ``Annotations``, ``ImageSets/Main`` and ``JPEGImages``, or folders such as
    ``VOC2012`` that do; ``${VAR}`` and ``~`` work, and a relative path is relative to the suite
    file. Another root leaves results valid: the content counts, not the place."""
    train: FilePath = "train"
    """Image set of the training images. ``VOC2012/train`` is one in a folder below ``root``, and
    ``VOC2007/trainval + VOC2012/trainval`` joins two."""
    val: FilePath = "val"
    """Image set of the images that are scored, written as ``train``."""
    holdout: Holdout = 0
    """Share of the training images that is held out to be scored, where the data set has one split;
    ``val`` is then not read. A digest of their names chooses them, so that they are the same for
    everyone. With the default 0 ``val`` is scored."""
    classes: tuple[Label, ...] | None = None
    """Names of the classes, in the order of their labels; the default is the twenty of VOC."""
    difficult: Literal["ignore", "train"] = "ignore"
    """Difficult objects of the training images: ``ignore`` makes them regions of their class that
    are neither object nor background, ``train`` makes them objects like the others, as in the
    authors' configurations of SSD and RefineDet. In scoring they are always ignored."""
    outside_root: bool = False
    """Whether ``filename`` of the annotations may name images outside of ``JPEGImages``, and image
    sets annotations outside of ``root``; the default refuses them."""


class YoloData(Section):
    """YOLO txt: a ``data.yaml`` with class names and splits, and one text file for each image."""

    format: Literal["yolo"]
    """The layout of the files."""
    root: FilePath
    """Folder that holds ``data.yaml``, or that file itself, of any name that ends in ``.yaml`` or
    ``.yml``; ``${VAR}`` and ``~`` work, and a relative path is relative to the suite file. Another
    root leaves results valid: the content counts, not the place."""
    config: FilePath = "data.yaml"
    """File with class names and splits, relative to ``root``, which may name it as well."""
    train: FilePath = "train"
    """Key of ``data.yaml`` under which the training images are named."""
    val: FilePath = "val"
    """Key of ``data.yaml`` under which the images that are scored are named."""
    holdout: Holdout = 0
    """Share of the training images that is held out to be scored, where the data set has one split;
    ``val`` is then not read. A digest of their names chooses them, so that they are the same for
    everyone. With the default 0 ``val`` is scored."""
    outside_root: bool = False
    """Whether ``data.yaml`` and lists of images may name images outside of ``root`` and of the
    folders named here; the default refuses them."""

    @model_validator(mode="before")
    @classmethod
    def _file_of_root(cls, content: Any) -> Any:
        """Take ``root: my_data/my.yaml`` apart."""
        root = content.get("root") if isinstance(content, dict) else None
        if not isinstance(root, str) or not root.lower().endswith((".yaml", ".yml")):
            return content
        path = PurePath(root)
        return content | {"root": str(path.parent), "config": path.name}


class Tt100kData(Section):
    """Tsinghua-Tencent 100K: one annotation file, and a folder with ``ids.txt`` for each split."""

    format: Literal["tt100k"]
    """The layout of the files."""
    root: FilePath
    """Folder that holds the annotation file and the splits; ``${VAR}`` and ``~`` work, and a
    relative path is relative to the suite file. Another root leaves results valid: the content
    counts, not the place."""
    annotations: FilePath = "annotations.json"
    """Annotation file, relative to ``root``; ``annotations_all.json`` in the release of 2021."""
    train: FilePath = "train"
    """Folder of the training split, relative to ``root``."""
    val: FilePath = "test"
    """Folder of the split that is scored, relative to ``root``."""
    holdout: Holdout = 0
    """Share of the training images that is held out to be scored, where the data set has one split;
    ``val`` is then not read. A digest of their names chooses them, so that they are the same for
    everyone. With the default 0 ``val`` is scored."""
    classes: Literal["all"] | tuple[Label, ...] | None = None
    """Names of the signs, in the order of their labels; ``all`` takes the types of the annotation
    file in its order. The default is the 45 signs that papers evaluate."""
    outside_root: bool = False
    """Whether ``path`` of the annotation file may name images outside of ``root`` and of the
    folders named here; the default refuses them."""

    @model_validator(mode="before")
    @classmethod
    def _all_or_different_names(cls, content: Any) -> Any:
        classes = content.get("classes") if isinstance(content, dict) else None
        if classes is None or classes == "all":
            return content
        names = classes if isinstance(classes, list | tuple) else ()
        texts = {name for name in names if isinstance(name, str)}
        if not names or len(texts) < len(names):
            raise ValueError(
                f"classes: {shown(classes)} is wrong; write all, or a list of different names"
            )
        return content


SceneSide = Annotated[int, Field(le=8192)]
"""A side of a drawn scene in pixels."""

ObjectCount = Annotated[int, Field(le=10_000)]
"""A number of objects in a drawn scene."""


class SyntheticData(Section):
    """Drawn scenes of tiny objects, which need no download."""

    format: Literal["synthetic"]
    """The layout of the files; drawn scenes have none."""
    train: int = Field(gt=0, le=10**6)
    """Number of training images."""
    val: int = Field(gt=0, le=10**6)
    """Number of images that are scored."""
    size: tuple[SceneSide, SceneSide] = (256, 256)
    """Height and width of every scene in pixels, at least 64 each."""
    objects: tuple[ObjectCount, ObjectCount] = (20, 60)
    """Fewest and most objects of a scene."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the scenes; another one draws another data set."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ValueError(f"objects: {list(self.objects)} is not a range; write [fewest, most]")
        if min(self.size) < 64:
            raise ValueError(f"size: {list(self.size)} is too small; draw at least 64 x 64")
        return self


FileData = CocoData | VisDroneData | VocData | YoloData | Tt100kData
"""Data sets that are read from files."""

DataSpec = Annotated[FileData | SyntheticData, Field(discriminator="format")]
"""The ``dataset`` of a suite; ``format`` says which of the classes it is."""

_PLACES = ("root", "config", "outside_root")
"""Keys that say where the data are, which count by their content alone."""


def counted_keys(spec: DataSpec) -> dict[str, Any]:
    """The keys of a ``dataset`` section that results depend on."""
    keys = {k: v for k, v in spec.model_dump(mode="json").items() if k not in _PLACES}
    if not keys.get("holdout", 1):  # it came later, and runs of before stay valid
        del keys["holdout"]
    return keys
