"""Workers of Ray or of submitit do a matrix, one is killed, and the numbers are the same.

By name: ``python -m tests.campaigns.workers slurm --address local`` or ``... ray``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import yaml

from tests.campaigns.harness import environment
from tests.campaigns.matrix import SUITE, differences, leftovers, numbers, write_matrix
from tests.campaigns.place import new_place


@click.command()
@click.argument("engine", type=click.Choice(["ray", "slurm"]))
@click.option("--address", help="As of `sobench run`.")
@click.option("--suite", type=click.Path(path_type=Path), help="Else one that trains in seconds.")
@click.option("--limit", type=int, help="Images of each split.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it works, in a new folder.")
@click.option(
    "--whole", "done", type=click.Path(path_type=Path),
    help="A folder that one process has worked in, in place of doing so again.",
)  # fmt: skip
@click.option("--no-kill", is_flag=True, help="Leave all workers alone.")
def main(
    engine: str,
    address: str | None,
    suite: Path | None,
    limit: int | None,
    folder: Path | None,
    done: Path | None,
    no_kill: bool,
) -> None:
    """Compare workers with one process, by numbers and wall time."""
    place = new_place(folder)
    whole, spread = done or place / "whole", place / "spread"
    for case in (spread,) if done else (whole, spread):
        write_matrix(case, "drawn")
        if suite is not None:
            (case / SUITE).write_text(yaml.safe_dump(yaml.safe_load(suite.read_text())))
    arguments = ["run", SUITE, *(["--limit", str(limit)] if limit else [])]
    arguments += ["--checkpoint-seconds", "0"]
    alone = 0.0 if done else _timed(whole, arguments)
    options = ["--spread", engine, *(["--address", address] if address else [])]
    together = _timed(spread, [*arguments, *options], kill=not no_kill)
    problems = differences(numbers(whole), numbers(spread))
    problems += [f"{path} is left" for path in leftovers(spread)]
    beside = "" if done else f"one process {alone:.1f} s, "
    print(f"{len(numbers(whole))} runs; {beside}{engine} {together:.1f} s")
    print("\n".join(problems) or "the same numbers, weights and logs")
    sys.exit(1 if problems else 0)


def _timed(case: Path, arguments: list[str], kill: bool = False) -> float:
    """Seconds of a command, of which one worker is killed if so asked; prints what it said."""
    began = time.monotonic()
    command = [sys.executable, "-m", "sobench", *arguments]
    with (case / "err").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=case, env=environment(case) | {"COLUMNS": "120"},
            stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        if kill:
            print(f"killed {_kill_a_worker(case, process)}")
        code = process.wait()
    print((case / "err").read_text())
    print(f"exit {code}")
    return time.monotonic() - began


def _kill_a_worker(case: Path, process: subprocess.Popen[bytes]) -> str:
    """Kill the first worker that has written a checkpoint, whose number is in its lease."""
    while process.poll() is None:
        for checkpoint in (case / "results").glob("*/*/*/checkpoint-*.pt"):
            for lease in checkpoint.parent.glob(".lease.*"):
                pid = json.loads(lease.read_bytes())["pid"]
                if pid != process.pid:
                    os.kill(pid, signal.SIGKILL)
                    return f"process {pid} at {checkpoint.relative_to(case)}"
        time.sleep(0.05)
    return "nobody: it had ended"


if __name__ == "__main__":
    main()
