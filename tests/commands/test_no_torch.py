from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.commands.small_suite import write_suite
from tests.compare.hand_made import hand_made, keep_matched
from tests.records import isolate

SCRIPT = """if True:
    import json, sys
    from sobench.cli import main
    for arguments in json.loads(sys.argv[1]):
        try:
            main(arguments)
        except SystemExit as leaving:
            assert leaving.code == 0, arguments
        heavy = {"torch", "torchvision"} & sys.modules.keys()
        assert not heavy, (arguments, heavy)
"""


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_what_reads_results_alone_needs_no_torch() -> None:
    for name in ("a", "b"):
        path = write_suite(f"{name}.yaml", name=name)
        for i, run in enumerate(plan(load(path), f"data of {name}")):
            keep_matched(run, 0.3 + i / 10, hand_made([(0.9, i)]))
    commands = [
        ["report", "a.yaml", "b.yaml"],
        ["report", "a.yaml", "--found"],
        ["report", "a.yaml", "b.yaml", "--format", "html", "--out", "page.html"],
        ["compare", "a.yaml", "b.yaml"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
