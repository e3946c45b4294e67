"""A finished run as a network, from its folder; its suite is needed only for what data tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from sobench.data.dataset import Dataset, ImageArray
from sobench.data.fingerprint import fingerprint
from sobench.errors import DataError, RequestError, RunError, reason_of
from sobench.models.build import build_without_storage
from sobench.models.detector import Detector
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.runs.search import leaves
from sobench.runs.splits import load_split, splits_read
from sobench.runs.weights import build_network, stored_weights
from sobench.suite.datasets import DataSpec, counted_keys
from sobench.suite.limit import Representative
from sobench.suite.methods import get_method
from sobench.suite.network import Backbone
from sobench.suite.plan import RESULTS_VERSION, Run
from sobench.suite.sections import MethodEntry, Suite

_SECTIONS = (
    "input", "augment", "neck", "anchors", "head", "regions", "schedule", "precision", "detect",
    "ignore_regions",
)  # fmt: skip
"""Keys of a suite that stand in the settings of a run as they stand in the suite."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run.

    Attributes:
        run: with the settings that it was trained with. Its backbone starts from no weights, since
            the trained ones take their place, and its data set has a root only if ``has_data``.
        classes: names, indexed by label.
        has_data: whether the data set is known by a suite file.
    """

    folder: RunFolder
    outcome: Record
    run: Run
    classes: tuple[str, ...]
    has_data: bool

    @property
    def title(self) -> str:
        """Row, seed and suite."""
        return f"{self.outcome.label} seed {self.outcome.seed}, {self.outcome.suite}"


def read_stored(place: Path, data: DataSpec | None = None) -> StoredRun:
    """The finished run in a folder.

    Args:
        place: its folder, or a file in it.
        data: the data set as a suite file has it, which says where it is.

    Raises:
        RequestError: there is no finished run, this sobench does not build its network, or the data
            set is another one than the run's.
        RecordError: the record is damaged.
    """
    folder = RunFolder((place if place.is_dir() else place.parent).resolve())
    if not place.exists():
        raise RequestError(f"{place}: no such file or folder; give the folder of a finished run")
    outcome = record.read(folder.path)
    if outcome is None:
        raise RequestError(f"{place}: no record.json; {_below(place)}")
    if not outcome.scores:
        raise RequestError(f"{place}: {outcome.status}: {outcome.reason}; give a finished run")
    _check_code(place, outcome)
    if data is not None:
        _check_data(place, outcome, data)
    run = _run_of(place, outcome, data)
    classes = tuple(next(iter(outcome.scores.values())).per_class)
    return StoredRun(folder, outcome, run, classes, data is not None)


def trained_detector(stored: StoredRun, device: torch.device) -> Detector:
    """The network of a finished run with its trained weights, ready to detect.

    Raises:
        RequestError: its anchors follow from the training boxes, and its data are not at hand.
        DataError: the data are damaged, or not those that it was trained on.
        RunError: its weights are gone or damaged, or do not fit.
    """
    run = stored.run
    if _reads_boxes(run):
        if not stored.has_data:
            raise RequestError(
                f"{stored.folder.path}: the anchors of {stored.outcome.label} are fitted to the "
                "training boxes; add --suite SUITE, which says where the data are"
            )
        now = fingerprint(run.suite.dataset, splits=splits_read(run))
        if now != run.data:
            raise DataError(
                f"{stored.folder.path}: was trained on another state of the data ({run.data}; now "
                f"{now}), to which its anchors are fitted; put that state back"
            )
        training = load_split(run, "train")
    else:
        training = no_images(stored.classes)
    detector = build_network(run, training, device)
    weights = stored_weights(stored.folder, stored.outcome, stored.title)
    try:
        detector.load_state_dict(weights)
    except RuntimeError as error:
        problem = str(error).splitlines()[1:2] or [reason_of(error)]
        raise RunError(
            f"{stored.folder.path}: its weights do not fit the network that this code builds "
            f"({problem[0].strip()})"
        ) from None
    return detector.eval()


def no_images(classes: tuple[str, ...]) -> Dataset:
    """A data set of these classes and nothing else; the category of a class is its label."""

    def read(index: int) -> ImageArray:
        raise DataError(f"no image {index}")

    return Dataset("no images", classes, tuple(range(len(classes))), (), read)


def _below(place: Path) -> str:
    """The way out where a folder is not that of a run."""
    example = next(iter(sorted(place.rglob("record.json"))), None) if place.is_dir() else None
    if example is None:
        return "give the folder of a finished run, such as results/SUITE/METHOD/s0-..."
    return f"give the folder of one run, such as {example.parent}"


def _check_code(place: Path, outcome: Record) -> None:
    """Check that this code builds the network of a run as it was trained."""
    settings = outcome.settings
    method = get_method(outcome.method)
    there = (settings.get("version"), settings.get("method_version", 1), settings.get("source", ""))
    here = (RESULTS_VERSION, method.version, method.source)
    if there != here:
        names = ("results version", f"version of {outcome.method}", "package")
        differences = [
            f"{name} {a or 'none'} there, {b or 'none'} here"
            for name, a, b in zip(names, there, here, strict=True)
            if a != b
        ]
        raise RequestError(
            f"{place}: was trained by other code ({'; '.join(differences)}); use that code, or "
            "`sobench run` to train it anew"
        )


def _check_data(place: Path, outcome: Record, data: DataSpec) -> None:
    """Check that a suite's data set is the one of a run, wherever it is."""
    here, there = leaves(counted_keys(data)), leaves(outcome.settings["dataset"])
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            raise RequestError(
                f"--suite: its data set is not that of {place}: dataset.{key} is "
                f"{here.get(key, 'not there')}, and {there.get(key, 'not there')} of the run"
            )


def _run_of(place: Path, outcome: Record, data: DataSpec | None) -> Run:
    """The run of a record, as far as building its network and reading its data need it."""
    settings = outcome.settings
    entry = MethodEntry(name=outcome.method, label=outcome.label, switches=settings["switches"])
    # Root "." is never read: it stands where a suite must have one.
    root = {} if settings["dataset"]["format"] == "synthetic" else {"root": "."}
    content: dict[str, Any] = {key: settings[key] for key in _SECTIONS if key in settings}
    content |= {
        "name": outcome.suite,
        "dataset": settings["dataset"] | root,
        # Weights of a file are known by their content alone, which the trained ones hide anyway.
        "backbone": Backbone.model_validate(
            settings["backbone"] | {"weights": "imagenet"}
        ).model_copy(update={"weights": "none"}),
        "protocol": next(iter(outcome.scores.values())).protocol,
        "methods": [entry],
    }
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise RequestError(
            f"{place}: its settings are not those of a suite of this sobench ({where}: "
            f"{problem['msg']})"
        ) from None
    if data is not None:
        suite = suite.model_copy(update={"dataset": data})
    limit = settings["limit"]
    return Run(
        suite, entry, outcome.seed, outcome.data,
        limit=Representative(limit["smoke"]) if isinstance(limit, dict) else limit,
        holdout=settings.get("holdout", 0.0),
    )  # fmt: skip


def _reads_boxes(run: Run) -> bool:
    """Whether the anchors of a network follow from the training boxes: those of two sets differ."""
    rng = np.random.default_rng(0)
    levels = []
    for scale in (1.0, 3.0):
        boxes = scale * rng.uniform(8, 64, (64, 2))
        head = build_without_storage(run.suite, run.entry, boxes).head
        levels.append(getattr(head, "anchor_levels", None))
    return levels[0] != levels[1] or (levels[0] is None and run.suite.anchors.fit)
