"""``sobench export``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from sobench.commands.options import stderr
from sobench.commands.stored import open_run, run_argument, suite_option
from sobench.errors import RequestError
from sobench.files import write_atomic
from sobench.text import printable


@click.command()
@run_argument
@click.option(
    "--format", "format_", type=click.Choice(["onnx", "tensorboard"]), default="onnx",
    show_default=True, help="The network, or the losses and scores of its training.",
)  # fmt: skip
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write, or folder for TensorBoard.",
)
@click.option(
    "--no-check", is_flag=True,
    help="Do not compare its outputs with torch's, which is done where onnxruntime is installed.",
)  # fmt: skip
@suite_option
def command(run: Path, format_: str, out: Path, no_check: bool, suite: Path | None) -> None:
    """Write the trained network of a run as an ONNX file, or its log for TensorBoard.

    RUN is the folder of a run, or a file in it. The ONNX file ends before the suppression, and says
    in its metadata how images are prepared. A log may be that of a run at work.
    """
    if format_ == "tensorboard":
        from sobench.runs.scalars import write_scalars

        click.echo(f"{printable(str(out))}: {write_scalars(run, out)} scalars")
        return
    if out.is_dir():
        raise RequestError(f"--out {out}: is a folder; name a file")
    # torch takes seconds to import: a wrong request is reported before that.
    import torch

    from sobench.runs.export import can_check, check_exportable, check_onnx, export_onnx
    from sobench.runs.stored import trained_detector

    stored = open_run(run, suite, _note)
    check_exportable(stored)
    detector = trained_detector(stored, torch.device("cpu"))
    with redirect_stdout(sys.stderr):  # what the exporter prints
        content = export_onnx(stored, detector)
    if can_check() and not no_check:
        result = check_onnx(content, stored, detector)
        click.echo(
            f"checked on {result.images}: scores within {result.score:.1e}, boxes within "
            f"{result.box:.1e} px of torch's"
        )
    else:
        _note("not compared with torch's outputs" + ("" if no_check else "; needs onnxruntime"))
    write_atomic(out, content)
    click.echo(f"{printable(str(out))}: {len(content) / 2**20:.1f} MiB")


def _note(message: str) -> None:
    stderr().print(f"note: {message}", soft_wrap=True)
