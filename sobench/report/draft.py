"""A drafted suite: as a file with a reason for every value, and in short on a terminal."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from rich.console import Console

from sobench.data.recognise import Layout
from sobench.data.statistics import objects
from sobench.data.survey import Survey
from sobench.report.object_sizes import too_small
from sobench.report.progress import duration
from sobench.report.terminal import print_table, print_warning
from sobench.suite.datasets import DATASETS
from sobench.suite.input import Input
from sobench.text import printable

if TYPE_CHECKING:
    from sobench.runs.draft import Draft

_WIDTH = 100


def suite_text(draft: Draft, survey: Survey, layout: Layout) -> str:
    """The suite file: every value beneath the reason for it."""
    lines = [
        *_comment(f"Drafted by `sobench init` from {layout.root}: {in_words(survey, layout)}."),
        *(line for caution in cautions(draft, survey) for line in _comment(f"Beware: {caution}.")),
    ]
    for key, value in draft.content.items():
        if reason := draft.reasons.get(key):
            lines += ["", *_comment(f"{reason[:1].upper()}{reason[1:]}.")]
        lines.append(_as_yaml(key, value))
    return "\n".join(lines) + "\n"


def cautions(draft: Draft, survey: Survey) -> tuple[str, ...]:
    """What is to be known before the results of a drafted suite are believed."""
    from sobench.models.heads import head_levels  # here, because it needs torch

    settings = Input.model_validate(draft.content["input"])
    small = too_small(
        objects(survey.train, settings).sides,
        draft.content["anchors"]["smallest"],
        head_levels(draft.content["head"]).strides[0],
    )
    return (*draft.cautions, *([small] if small else []))


def in_words(survey: Survey, layout: Layout) -> str:
    """The data set in a sentence."""
    height, width = survey.image_size
    number = len(survey.train.classes)
    return (
        f"{DATASETS[layout.format].title}, {len(survey.train.images)} images to train on, "
        f"{len(survey.val.images)} to score, {width}x{height} pixels (median), "
        f"{number} class{'es' if number > 1 else ''}, {len(survey.sides)} training objects with "
        f"sides of {np.median(survey.sides):.0f} px (median)"
    )


def print_draft(draft: Draft, survey: Survey, layout: Layout, path: Path, console: Console) -> None:
    """What was recognised and chosen, what it will cost, and the next command."""
    console.print(printable(f"{layout.root}: {in_words(survey, layout)}"), soft_wrap=True)
    console.print(draft.reasons["dataset"], soft_wrap=True)
    content = draft.content
    console.print(
        f"input {content['input']['size']}, smallest anchor {content['anchors']['smallest']} px, "
        f"{content['backbone']['name']} ({content['backbone']['weights']}), "
        f"{content['schedule']['epochs']} epochs",
        soft_wrap=True,
    )
    console.print()
    seeds = len(content["seeds"])
    rows = [
        [label, str(seeds), str(found.steps), f"{found.step_s:.3f}", duration(found.seconds),
         duration(seeds * found.seconds)]
        for label, found in draft.estimates.items()
    ]  # fmt: skip
    headings = ["method", "seeds", "steps", "s/step", "time of a run", "time"]
    print_table(console, headings, rows, "Expected, by a few steps that were timed here")
    for caution in cautions(draft, survey):
        print_warning(console, f"beware: {caution}")
    console.print(
        f"{path} is written, about {draft.minutes:.0f} minutes; next:\n  sobench run {path}",
        soft_wrap=True,
    )


def _comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(printable(text), _WIDTH - 2, break_long_words=False)
    return [f"# {line}" for line in wrapped]


def _as_yaml(key: str, value: Any) -> str:
    """A key with its value, on one line if that is not too long."""
    flow: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    written = flow.removesuffix("...\n").strip()
    line = f"{key}: {written}"
    if len(line) <= _WIDTH:
        return line
    if isinstance(value, dict):
        inner = (_as_yaml(name, of_name) for name, of_name in value.items())
        return "\n".join([f"{key}:", *(textwrap.indent(text, "  ") for text in inner)])
    text: str = yaml.safe_dump(
        {key: value}, default_flow_style=None, width=_WIDTH - 10, allow_unicode=True
    )
    return text.rstrip("\n")
