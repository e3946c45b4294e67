"""Folders of runs in every state, written without a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import yaml

from sobench.data.fingerprint import fingerprint
from sobench.metrics.detections import DetectionRow, file_digest
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import keep_matches
from sobench.runs.record import Epoch
from sobench.runs.splits import load_split
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from tests.records import failed_record, record_of, scored
from tests.runs.matrices import Recorder
from tests.stored_rows import write_rows
from tests.tiny_suite import CONTENT

RESULTS = Path("results")
HISTORY = (Epoch(epoch=1, step=2, losses={"total": 0.5}),)
OLD = scored(0.4, protocol_version=0)
SIZES = {"eval_sizes": [[32, 32]]}


def write_suite(**changes: Any) -> Path:
    """Four scenes to train on and two to validate, one epoch of two steps."""
    scenes = {"format": "synthetic", "train": 4, "val": 2, "size": [64, 64], "objects": [3, 6]}
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    path = Path("small.yaml")
    content = CONTENT | {"name": "small", "dataset": scenes, "schedule": schedule} | changes
    path.write_text(yaml.safe_dump(content))
    return path


def the_run(path: Path) -> tuple[Run, RunFolder]:
    suite = load(path)
    (run,) = plan(suite, fingerprint(suite.dataset))
    return run, RunFolder.of(run, RESULTS)


def write_checkpoint(folder: RunFolder, step: int = 2) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / f"checkpoint-{step:08d}-0123456789abcdef.pt").touch()


def write_outcome(run: Run, folder: RunFolder, **changes: Any) -> None:
    digests = {path.name: file_digest(path) for path in folder.path.glob("detections*")}
    values = {"history": HISTORY, "digests": digests} | changes
    record.write(record_of(run, **values), folder.path)


# Each puts files into the folder of a run.


def missing(run: Run, folder: RunFolder) -> None:
    record.write_settings(run, folder.path, 2)
    (folder.path / "log.jsonl").touch()


def resumable(run: Run, folder: RunFolder) -> None:
    missing(run, folder)
    write_checkpoint(folder, 1)


def failed(run: Run, folder: RunFolder) -> None:
    resumable(run, folder)
    record.write(failed_record(run, "failed", "out of memory"), folder.path)


def diverged(run: Run, folder: RunFolder) -> None:
    resumable(run, folder)
    record.write(failed_record(run, "diverged", "the loss is not finite"), folder.path)


def done(run: Run, folder: RunFolder) -> None:
    missing(run, folder)
    write_checkpoint(folder)
    write_rows(folder.detections(), [])
    keep_matches(
        run, folder, load_split(run, "val"), file_digest(folder.detections()) or "", Recorder()
    )
    write_outcome(run, folder)


def unmatched(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    (matches,) = folder.path.glob("matches-*.npz")
    matches.unlink()


def scored_by_coco(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    write_outcome(run, folder, scored=scored(0.5, "coco"))


def scored_by_old_protocol(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    write_outcome(run, folder, scored=OLD)


def scored_by_old_protocol_without_detections(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol(run, folder)
    folder.detections().unlink()


def scored_by_old_protocol_with_other_detections(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol(run, folder)
    row = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}
    write_rows(folder.detections(), [cast(DetectionRow, row)])


def scored_by_old_protocol_with_detections_only(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol_with_other_detections(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def damaged(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    folder.record.write_text(folder.record.read_text().replace("0.502", "0.902"))


def damaged_without_weights(run: Run, folder: RunFolder) -> None:
    damaged(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def untested_without_weights(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def untested_with_detections(run: Run, folder: RunFolder) -> None:
    untested_without_weights(run, folder)
    write_rows(folder.detections("32x32"), [])
    write_outcome(run, folder)


def untested_with_detections_of_no_record(run: Run, folder: RunFolder) -> None:
    untested_without_weights(run, folder)
    write_rows(folder.detections("32x32"), [])


Case = tuple[Callable[[Run, RunFolder], None], dict[str, Any], str, str]

CASES: dict[str, Case] = {
    # name: (what writes the folder, changes of the suite, state, reason)
    "missing": (missing, {}, "missing", ""),
    "resumable": (resumable, {}, "resumable", "checkpoint after step 1"),
    "failed": (failed, {}, "failed", "out of memory"),
    "diverged": (diverged, {}, "diverged", "the loss is not finite"),
    "done": (done, {}, "done", ""),
    "done, without matches": (unmatched, {}, "done", ""),
    "other protocol": (
        scored_by_coco, {"protocol": "tiny"}, "to score",
        "scored by coco v1 hotcoco, not by tiny v1 hotcoco",
    ),
    "other version": (
        scored_by_old_protocol, {}, "to score",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco",
    ),
    "other engine": (
        done, {"engine": "pycocotools"}, "to score",
        "scored by coco v1 hotcoco, not by coco v1 pycocotools",
    ),
    "no detections to score": (
        scored_by_old_protocol_without_detections, {}, "resumable",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are gone; "
        "checkpoint after step 2",
    ),
    "other detections": (
        scored_by_old_protocol_with_other_detections, {}, "resumable",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are damaged; "
        "checkpoint after step 2",
    ),
    "other detections, no weights": (
        scored_by_old_protocol_with_detections_only, {}, "missing",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are damaged",
    ),
    "damaged record": (
        damaged, {}, "resumable",
        "RECORD: the record is damaged: its content does not fit its digest; it is left out and "
        "made anew; checkpoint after step 2",
    ),
    "damaged record, no weights": (
        damaged_without_weights, {}, "missing",
        "RECORD: the record is damaged: its content does not fit its digest; it is left out and "
        "made anew",
    ),
    "untested": (done, SIZES, "to test", "not tested: 32x32"),
    "untested, detected": (untested_with_detections, SIZES, "to test", "not tested: 32x32"),
    "untested, detected by nobody knows": (
        untested_with_detections_of_no_record, SIZES, "missing",
        "not tested: 32x32, and its weights are gone",
    ),
    "untested, no weights": (
        untested_without_weights, SIZES, "missing",
        "not tested: 32x32, and its weights are gone",
    ),
}  # fmt: skip
