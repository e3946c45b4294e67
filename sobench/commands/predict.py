"""``sobench predict``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sobench.commands.options import device_option, stderr
from sobench.commands.stored import open_run, run_argument, suite_option
from sobench.errors import DataError
from sobench.files import write_atomic
from sobench.text import plain, printable

if TYPE_CHECKING:
    from sobench.runs.predict import GroundTruth, Prediction
    from sobench.runs.stored import StoredRun


@click.command()
@run_argument
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE|FOLDER..."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to write pictures into."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Write the detections too, as OUT/detections.json."
)
@click.option(
    "--score-threshold", type=click.FloatRange(0, 1), default=0.3, show_default=True,
    help="Leave out detections of a lower score; the suite's own threshold holds anyway.",
)  # fmt: skip
@suite_option
@device_option
@click.pass_context
def command(
    context: click.Context, /, run: Path, images: tuple[Path, ...], out: Path, as_json: bool,
    score_threshold: float, suite: Path | None, device: str | None,
) -> None:  # fmt: skip
    """Draw the detections of a finished run on images.

    RUN is the folder of a run, such as results/SUITE/METHOD/s0-..., or a file in it. Images of the
    suite's data are drawn with their ground truth.
    """
    # torch takes seconds to import: a wrong request is reported before that.
    from sobench.device import choose_device
    from sobench.runs.predict import list_files, predict
    from sobench.runs.stored import trained_detector

    problems: list[str] = []
    warn = _warnings_to(problems)
    stored = open_run(run, suite, _note)
    files = list_files(images, warn)
    if not files:
        raise DataError(f"{', '.join(map(str, images))}: no images; name image files or folders")
    truth = _ground_truth(stored, is_asked_for=suite is not None)
    detector = trained_detector(stored, choose_device(device or "auto"))
    rows: list[dict[str, Any]] = []
    pictures = 0
    for prediction in predict(stored, detector, files, score_threshold, truth, warn):
        path = _draw(prediction, stored, score_threshold, out)
        click.echo(f"{printable(str(path))}: {_summary(prediction, stored.classes)}")
        rows += _json_rows(prediction, stored.classes)
        pictures += 1
    if as_json and pictures:
        path = out / "detections.json"
        write_atomic(path, (json.dumps(rows, indent=1) + "\n").encode())
        click.echo(printable(f"{path}: {len(rows)} detections"))
    if not pictures:
        raise DataError("no image could be read; the lines above say why")
    context.exit(1 if problems else 0)


def _warnings_to(problems: list[str]) -> Callable[[str], None]:
    def warn(message: str) -> None:
        problems.append(message)
        stderr().print(f"warning: {message}", soft_wrap=True)

    return warn


def _note(message: str) -> None:
    stderr().print(f"note: {message}", soft_wrap=True)


def _ground_truth(stored: StoredRun, is_asked_for: bool) -> GroundTruth | None:
    """The annotations of the run's data, if they are at hand; drawn scenes have no image files.

    Raises:
        DataError: they are asked for, and cannot be read.
    """
    from sobench.runs.predict import GroundTruth

    spec = stored.run.suite.dataset
    if not stored.has_data or spec.format == "synthetic":
        return None
    try:
        return GroundTruth(spec)
    except DataError as error:
        if is_asked_for:
            raise
        _note(f"no ground truth: {error}")
        return None


def _draw(prediction: Prediction, stored: StoredRun, threshold: float, out: Path) -> Path:
    """Write the picture of an image, and return its path."""
    from sobench.data.images import decode
    from sobench.report.drawing import draw

    path = out / f"{prediction.file.name}.png"
    number = len(prediction.rows)
    title = (
        f"{plain(stored.title)}: {number} detection{'' if number == 1 else 's'} "
        f"of score {threshold:g} or more"
    )
    # Decoded once more rather than kept: a batch of large images would fill the memory.
    pixels = decode(prediction.file.path, prediction.declared)
    write_atomic(path, draw(pixels, prediction.rows, prediction.truth, stored.classes, title))
    return path


def _summary(prediction: Prediction, classes: Sequence[str]) -> str:
    """How many detections there are of each class."""
    counts = Counter(row["category_id"] for row in prediction.rows)
    listed = ", ".join(f"{plain(classes[label])} {count}" for label, count in counts.most_common())
    truth = "" if prediction.truth is None else f"; ground truth {len(prediction.truth.boxes)}"
    return f"{listed or 'nothing detected'}{truth}"


def _json_rows(prediction: Prediction, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The detections as rows of COCO results, with names in place of ids."""
    return [
        {
            "file_name": str(prediction.file.path),
            "category_name": classes[row["category_id"]],
            "bbox": row["bbox"],
            "score": row["score"],
        }
        for row in prediction.rows
    ]
