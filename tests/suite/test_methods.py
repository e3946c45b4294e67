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
from tests.suite.packages import install
from tests.tiny_suite import tiny_suite, write_tiny

FOLDERS = Path(__file__).parents[2] / "sobench" / "models" / "methods"
BUILT_IN = sorted(path.parent.name for path in FOLDERS.glob("*/__init__.py"))


def row(**changes: str) -> str:
    """A module with a row of ``METHOD``; values are Python."""
    arguments = {"title": "'Mine'", "paper": "''"} | changes
    imports = "from sobench.suite.methods import Method, Need, Switch\n"
    return f"{imports}METHOD = Method({', '.join(f'{k}={v}' for k, v in arguments.items())})\n"


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

POINT = "sobench.methods: my_neck = 'my_package:METHOD' of my-package 1.2: "

WRONG: dict[str, tuple[dict[str, str], str]] = {
    # name: (files of the package, what the message says)
    "no module": (
        {"other_package/__init__.py": ""},
        POINT + "cannot be imported (ModuleNotFoundError: No module named 'my_package');\nfix the",
    ),
    "no such name": (
        {"my_package/__init__.py": "METHODS = ()\n"},
        POINT + "cannot be imported (AttributeError: module 'my_package' has no attribute 'METHOD'",
    ),
    "not Python": (
        {"my_package/__init__.py": "METHOD = (\n"},
        POINT + "cannot be imported (SyntaxError: '(' was never closed",
    ),
    "import that fails": (
        {"my_package/__init__.py": "raise OSError('no licence\\nat all')\n"},
        POINT + "cannot be imported (OSError: no licence);\nfix the package or uninstall it",
    ),
    "not a row": (
        {"my_package/__init__.py": "METHOD = {'title': 'Mine'}\n"},
        POINT + "is a dict; let it name a sobench.suite.methods.Method",
    ),
    "unknown head": (
        {"my_package/__init__.py": row(heads="('retina_net',)")},
        POINT + "heads: unknown 'retina_net'; did you mean 'retinanet'?",
    ),
    "head without its comma": (
        {"my_package/__init__.py": row(heads="('retinanet')")},
        POINT + "heads: 'retinanet' is not a tuple; write ('retinanet',)",
    ),
    "deviation without its comma": (
        {"my_package/__init__.py": row(deviations="('own loss')")},
        POINT + "deviations: 'own loss' is not a tuple; write ('own loss',)",
    ),
    "switch that is none": (
        {"my_package/__init__.py": row(switches="{'pool': 'avg'}")},
        POINT + "switches: pool: 'avg' is not a sobench.suite.methods.Switch; write one",
    ),
    "switch with another default": (
        {"my_package/__init__.py": row(switches="{'pool': Switch('sum', ('avg', 'max'), '')}")},
        POINT + "switches: pool: its default 'sum' is not one of its values",
    ),
    "need without its comma": (
        {"my_package/__init__.py": row(needs="(Need('teacher', 'fpn'))")},
        POINT + "needs: Need(role='teacher', method='fpn', scale=1, switches={}) is not a tuple; w",
    ),
    "need that is none": (
        {"my_package/__init__.py": row(needs="('fpn',)")},
        POINT + "needs: 'fpn' is not a sobench.suite.methods.Need; write one",
    ),
    "need of an unknown method": (
        {"my_package/__init__.py": row(needs="(Need('teacher', 'fpm'),)")},
        POINT + "needs: 'fpm' is not a built-in method that needs no run itself; name one",
    ),
    "need of a method with needs": (
        {"my_package/__init__.py": row(needs="(Need('teacher', 'efpn'),)")},
        POINT + "needs: 'efpn' is not a built-in method that needs no run itself; name one",
    ),
    "need of itself": (
        {"my_package/__init__.py": row(needs="(Need('teacher', 'my_neck'),)")},
        POINT + "needs: 'my_neck' is not a built-in method that needs no run itself; name one",
    ),
    "rule that is none": (
        {"my_package/__init__.py": row(rules="('towers are needed',)")},
        POINT + "rules: 'towers are needed' is not a function of switches and suite; write one",
    ),
    "switch that no suite can name": (
        {"my_package/__init__.py": row(switches="{'label': Switch(1, (1, 2), '')}")},
        POINT + "switches: 'label' is a key of every row; give the switch another name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    files, words = WRONG[case]
    install(tmp_path, monkeypatch, files)
    outcome = invoke(capsys, "list", "methods")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {words}")
    assert outcome.err.count("\n") <= 2


def test_cause_is_kept_for_debugging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, WRONG["import that fails"][0])
    with pytest.raises(RequestError) as caught:
        methods()
    assert isinstance(caught.value.__cause__, OSError)


def test_name_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        monkeypatch,
        {"my_package/__init__.py": row()},
        points={"fpn": "my_package:METHOD"},
    )
    with pytest.raises(
        RequestError, match=r"fpn = .* of my-package 1.2: sobench itself has a meth"
    ):
        methods()


def test_name_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {"my_package/__init__.py": row()})
    install(
        tmp_path, monkeypatch, {"your_package/__init__.py": row()}, "your-package", "0.1",
        {"my_neck": "your_package:METHOD"},
    )  # fmt: skip
    with pytest.raises(
        RequestError, match=r"my_neck = .* of your-package 0.1: my-package 1.2 has a method of thi"
    ):
        methods()


def test_name_that_leaves_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, monkeypatch, {"my_package/__init__.py": row()},
        points={"../neck": "my_package:METHOD"},
    )  # fmt: skip
    with pytest.raises(RequestError, match=r"'../neck' names a folder of results; use letters"):
        methods()


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
