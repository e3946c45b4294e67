"""The matrix that campaigns disturb: two methods and a teacher, trained in seconds; its numbers."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from sobench.files import read_sealed
from tests.campaigns.harness import sobench
from tests.tiny_suite import CONTENT

SUITE = "tiny.yaml"
RUN = ("run", SUITE, "--checkpoint-seconds", "0")
KINDS = ("drawn", "files")
SETTLED = 2.1
"""Seconds until the digest of a file is remembered; a younger one might still change."""

Numbers = Mapping[str, Mapping[str, str]]
"""Run folder -> what the numbers are of -> their text, or their digest."""

_CHANGES: dict[str, Any] = {
    "dataset": {"format": "synthetic", "train": 4, "val": 2, "size": [64, 64], "objects": [3, 6]},
    "input": {"size": [32, 32]},
    "neck": {"channels": 8},
    "schedule": {"epochs": 2, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}},
    "detect": {"score_threshold": 0.001, "max_detections": 100},
    "methods": ["fpn", "zoominnet"],
}
_VARYING = ("cost", "environment", "finished", "digest", "scores", "sizes")
"""Keys of a record that no two runs share, or that are looked at one by one."""


def write_matrix(folder: Path, kind: str, **changes: Any) -> None:
    """Write the suite, and its data if they are files."""
    folder.mkdir(parents=True, exist_ok=True)
    content = CONTENT | _CHANGES
    if kind == "files":
        root = folder / "data"
        write_data(root)
        content["dataset"] = {
            "format": "coco", "root": str(root), "train": "train.json", "val": "val.json",
        }  # fmt: skip
        content |= {"methods": ["fpn", "efpn"], "eval_sizes": [[48, 48]]}
    (folder / SUITE).write_text(yaml.safe_dump(content | changes))


def write_data(root: Path, seed: int = 0) -> None:
    """A COCO dataset of pale rectangles on noise: 5 images to train on, 3 to validate."""
    generator = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    number = 0
    for split, count in (("train", 5), ("val", 3)):
        images, rows = [], []
        for index in range(count):
            pixels = generator.integers(0, 90, (40, 48, 3), np.uint8)
            name = f"{split}-{index}.png"
            for _ in range(3):
                number += 1
                x, y, w, h = (int(v) for v in generator.integers((0, 0, 6, 6), (34, 26, 14, 14)))
                pixels[y : y + h, x : x + w] += np.uint8(120)
                rows.append(
                    {"id": number, "image_id": index, "category_id": number % 2 + 1,
                     "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
                )  # fmt: skip
            Image.fromarray(pixels).save(root / "images" / name)
            images.append({"id": index, "file_name": name, "width": 48, "height": 40})
        content = {
            "images": images,
            "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
            "annotations": rows,
        }
        (root / f"{split}.json").write_text(json.dumps(content))


@cache
def undisturbed(folder: Path, kind: str) -> tuple[Path, Numbers]:
    """A folder with the finished matrix, and its numbers; made once."""
    whole = folder / f"undisturbed-{kind}"
    write_matrix(whole, kind)
    ending = sobench(whole, *RUN)
    if kind == "files":
        time.sleep(SETTLED)
        sobench(whole, "plan", SUITE)
    if ending.code:
        raise RuntimeError(f"the matrix fails without any disturbance:\n{ending.err}")
    return whole, numbers(whole)


def fresh(folder: Path, kind: str, random: Random) -> Path:
    """A new folder with the suite alone; its data are those of the undisturbed matrix."""
    whole, _ = undisturbed(folder, kind)
    case = folder / f"case-{random.randrange(10**9)}"
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    shutil.copy(whole / SUITE, case / SUITE)
    return case


def remove(case: Path) -> None:
    """Delete a case that ended well; the others stay to be looked at."""
    shutil.rmtree(case)


def numbers(folder: Path) -> Numbers:
    """All numbers of the finished runs below a folder that are the same on every day."""
    results = folder / "results"
    return {
        path.parent.relative_to(results).as_posix(): _numbers_of(path.parent)
        for path in sorted(results.glob("*/*/*/record.json"))
    }


def _numbers_of(run: Path) -> dict[str, str]:
    try:
        record = json.loads((run / "record.json").read_bytes())
        cost = record.get("cost") or {}
    except (ValueError, AttributeError):
        return {"record": "unreadable"}
    values = {key: json.dumps(value) for key, value in record.items() if key not in _VARYING}
    values |= {key: str(cost.get(key)) for key in ("parameters", "trainable")}
    for size, scores in {"": record["scores"], **record["sizes"]}.items():
        values |= {f"scores {size} {name}": json.dumps(value) for name, value in scores.items()}
    for path in sorted(run.glob("detections*.json.gz")):
        values[path.name] = _detections_digest(path)
    checkpoints = sorted(run.glob("checkpoint-*.pt"))
    values["checkpoints"] = " ".join(path.name.split("-")[1] for path in checkpoints)
    if checkpoints:
        values["weights"] = _weights_digest(checkpoints[-1])
    log = run / "log.jsonl"
    values["log"] = log.read_text(errors="replace") if log.exists() else ""
    return values


def _detections_digest(path: Path) -> str:
    try:
        return _digest(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error):
        return "unreadable"


def _weights_digest(path: Path) -> str:
    """Digest of all tensors of the network in a checkpoint."""
    try:
        model = torch.load(path, map_location="cpu", weights_only=True)["model"]
    except Exception:  # whatever a damaged file makes torch do
        return "unreadable"
    together = hashlib.sha256()
    for name, tensor in model.items():
        together.update(name.encode())
        together.update(tensor.numpy().tobytes())
    return together.hexdigest()[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def differences(expected: Numbers, found: Numbers) -> list[str]:
    """What differs, in words; empty if all numbers are the same."""
    problems = [f"{run}: is missing" for run in expected.keys() - found.keys()]
    problems += [f"{run}: is new" for run in found.keys() - expected.keys()]
    for run in sorted(expected.keys() & found.keys()):
        one, two = expected[run], found[run]
        changed = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
        problems += [f"{run}: {', '.join(changed)} differ"] if changed else []
    return problems


def leftovers(folder: Path) -> list[str]:
    """Files that a finished matrix must not leave behind."""
    return [
        path.relative_to(folder).as_posix()
        for place in ("results", "cache")
        for path in sorted((folder / place).rglob("*"))
        if path.name.endswith(".tmp") or path.name == "error.txt"
    ]


def unsound(folder: Path) -> list[str]:
    """Files that stand under their final names, but are not whole."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted((folder / "results").rglob("*"))
        if not path.name.startswith(".") and path.is_file() and not _is_whole(path)
    ]


def _is_whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
        if path.suffix == ".pt":
            return hashlib.sha256(content).hexdigest().startswith(path.stem.split("-")[-1])
        if path.suffix == ".kept":
            return read_sealed(path) is not None
        if path.suffix == ".json":
            json.loads(content)
        if path.suffix == ".gz":
            json.loads(gzip.decompress(content))
    except FileNotFoundError:
        return True  # another process has just deleted it
    except (ValueError, OSError, EOFError, zlib.error):
        return False
    return True
