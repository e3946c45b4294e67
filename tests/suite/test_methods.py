"""Where the rows come from: the built-in folders, packages, and what may be wrong with these."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sobench.errors import RequestError
from sobench.models.build import build_detector, builder
from sobench.suite.heads import HEADS
from sobench.suite.methods import Switch, get_method, methods
from sobench.suite.sections import MethodEntry
from tests.records import invoke, isolate
from tests.suite.packages import install, row
from tests.tiny_suite import tiny_suite, write_tiny

FOLDERS = Path(__file__).parents[2] / "sobench" / "models" / "methods"
BUILT_IN = sorted(path.parent.name for path in FOLDERS.glob("*/__init__.py"))


# --- the built-in methods --------------------------------------------------------------------


def test_every_folder_is_a_method() -> None:
    assert list(methods()) == BUILT_IN
    assert len(BUILT_IN) >= 10


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_folder_has_a_row_and_a_network(name: str) -> None:
    method = get_method(name)
    assert (method.source, method.package) == ("", f"sobench.models.methods.{name}")
    assert method.title
    assert method.paper
    assert set(method.heads) <= set(HEADS)
    assert builder(name).__module__ == f"{method.package}.model"
    for switch in method.switches.values():
        assert isinstance(switch, Switch)
        assert switch.default in switch.values


def test_rows_import_no_torch() -> None:
    code = (
        "import sys; from sobench.suite.methods import methods; assert len(methods()) >= 10; "
        "assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what may go wrong -----------------------------------------------------------------------

NO_BUILD: dict[str, tuple[dict[str, str], str]] = {
    "no module": (
        {},
        "cannot be imported (ModuleNotFoundError: No module named 'my_package.model'",
    ),
    "import that fails": (
        {"my_package/model.py": "import a_library_that_is_not_here\n"},
        "cannot be imported (ModuleNotFoundError: No module named 'a_library_that_is_not_here');\n"
        "fix the package or leave the method out",
    ),
    "no build": (
        {"my_package/model.py": "def built(): ...\n"},
        "has no function build(backbone, config, switches); write one there, or let the entry",
    ),
    "build that is a number": ({"my_package/model.py": "build = 3\n"}, "has no function build("),
}


@pytest.mark.parametrize("case", NO_BUILD)
def test_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    files, words = NO_BUILD[case]
    install(tmp_path, monkeypatch, {"my_package/__init__.py": row(heads="('retinanet',)")} | files)
    suite = tiny_suite(methods=["my_neck"])
    where = "methods: my_neck of my-package 1.2: module my_package.model "
    with pytest.raises(RequestError, match=re.escape(where + words)) as caught:
        build_detector(suite, MethodEntry(name="my_neck"), num_classes=3, seed=0)
    assert caught.value.exit_code == 2


def test_no_build_ends_the_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, monkeypatch, {"my_package/__init__.py": row(heads="('retinanet',)")})
    isolate(tmp_path, monkeypatch)
    outcome = invoke(capsys, "run", write_tiny(tmp_path, methods=["my_neck"]))
    assert outcome.code == 2
    assert (
        "error: methods: my_neck of my-package 1.2: module my_package.model cannot" in outcome.err
    )
