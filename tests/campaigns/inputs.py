"""Data and weights that are changed under finished results are another run, or are refused."""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path
from random import Random

import torch

from tests.campaigns.counts import Counts, failure, repeated
from tests.campaigns.harms import harm, replace
from tests.campaigns.harness import Ending, sobench
from tests.campaigns.matrix import RUN, SUITE, remove, write_matrix
from tests.campaigns.thin import thin_resnet18

NAME = "inputs"
TITLE = "data and weights that are changed"

KINDS = {"an image": 6, "an annotation file": 3, "weights": 3, "ImageNet weights": 1}
"""What is changed. Each with its share."""

PUBLISHED = "resnet18-f37072fd.pth"
"""Torchvision's file of ImageNet weights, with the beginning of its digest."""

_DONE = re.compile(r" done +s\d+-")


def campaign(seed: int, seconds: float, folder: Path) -> Counts:
    """Change one file that a finished run has read, and ask how far the run is."""
    return repeated(TITLE, seed, seconds, lambda seed, counts: _case(seed, folder, counts))


def _case(seed: int, folder: Path, counts: Counts) -> None:
    random = Random(seed)
    kind = random.choices(list(KINDS), list(KINDS.values()))[0]
    case = folder / f"case-{random.randrange(10**9)}"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(_finished(folder), case)
    settings = ("--set", f"dataset.root={case / 'data'}", "--set", f"backbone.weights={case}/w.pt")
    if kind == "ImageNet weights":
        outcome, problem = _pretended(case, settings[:2], random)
    else:
        files = {
            "an image": "data/images/*",
            "an annotation file": "data/*.json",
            "weights": "w*.pt",
        }
        paths = sorted(case.glob(files[kind]))
        path = case / "w.pt" if kind == "weights" else random.choice(paths)
        outcome, problem = _changed(case, settings, path, paths, random)
    line = failure(NAME, seed, f"{kind}: {problem}") if problem else ""
    counts.add(f"{kind}: {outcome}", failure=line)
    if not problem:
        remove(case)


@cache
def _finished(folder: Path) -> Path:
    """A finished run of one method, with data and weights as files."""
    whole = folder / "finished"
    write_matrix(whole, "files", methods=["fpn"], eval_sizes=[])
    for name in ("w.pt", "w-other.pt"):
        torch.save(thin_resnet18().state_dict(), whole / name)
    ending = sobench(whole, *RUN, "--set", f"backbone.weights={whole}/w.pt")
    if ending.code:
        raise RuntimeError(f"the run fails without any change:\n{ending.err}")
    return whole


def _changed(
    case: Path, settings: tuple[str, ...], path: Path, others: list[Path], random: Random
) -> tuple[str, str]:
    """Change a file and change it back, and look at the plan each time."""
    if not _DONE.search(_plan(case, settings).out):
        return "failed", "a moved dataset, or moved weights, are not the same"
    before, state = path.read_bytes(), path.stat()
    way = harm(path, others, random)
    if path.exists() and random.random() < 0.5:
        # Whoever copies with times: only the time of the change tells.
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    ending = _plan(case, settings)
    text = f"{path.relative_to(case)}, {way}"
    if ending.has_traceback or ending.code not in (0, 2):
        return "failed", f"{text}: exit {ending.code}: {ending.err[-600:]}"
    if ending.code == 0 and _DONE.search(ending.out):
        return "SILENT", f"{text}: the run is still done"
    outcome = "refused" if ending.code else "another run"
    if random.random() < 0.3:
        ending = sobench(case, *RUN, *settings)
        if ending.has_traceback or ending.code not in (0, 1, 2):
            return "failed", f"{text}: exit {ending.code}: {ending.err[-600:]}"
    replace(path, before)
    if not _DONE.search(_plan(case, settings).out):
        return "failed", f"{text}: with the file put back the run is not done"
    return outcome, ""


def _plan(case: Path, settings: tuple[str, ...]) -> Ending:
    return sobench(case, "plan", SUITE, *settings)


def _pretended(case: Path, settings: tuple[str, ...], random: Random) -> tuple[str, str]:
    """Put other weights where torchvision's are looked for."""
    place = case / "torch" / "hub" / "checkpoints" / PUBLISHED
    place.parent.mkdir(parents=True)
    shutil.copy(case / random.choice(("w.pt", "w-other.pt")), place)
    ending = sobench(case, *RUN, *settings, "--set", "backbone.weights=imagenet")
    if ending.has_traceback or ending.code not in (0, 1, 2):
        return "failed", f"exit {ending.code}: {ending.err[-600:]}"
    if ending.code == 0:
        return "SILENT", "trained with weights that are not ImageNet's"
    named = PUBLISHED in ending.err
    return ("refused", "") if named else ("failed", f"not named: {ending.last_line}")
