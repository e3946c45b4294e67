"""Methods of other packages: the README's own, run as it stands there, and what may go wrong."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from sobench.suite.catalog import METHODS

from sobench.errors import RequestError
from sobench.models.build import build_detector
from sobench.suite import plan, plugins
from sobench.suite.reader import load, parse
from sobench.suite.sections import MethodEntry
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT, tiny_suite, write_tiny

README = Path(__file__).parents[2] / "README.md"
DEVIATION = "my_neck deviates: own box loss: smooth L1, beta .11"


def blocks() -> list[tuple[str, str]]:
    """Language and content of the code blocks of ``Add your own method``, in order."""
    found = re.search(r"^## Add your own method\n(.*?)^## ", README.read_text(), re.M | re.S)
    assert found
    return re.findall(r"^```(\w*)\n(.*?)^```$", found[1], re.M | re.S)


def block(language: str) -> str:
    """The only block of a language."""
    (found,) = (content for name, content in blocks() if name == language)
    return found


def files_of_the_readme() -> dict[str, str]:
    """Path -> content of the blocks that begin with their file's name."""
    named = (re.match(r"# (\S+\.\w+)\n", content) for _, content in blocks())
    return {name[1]: name.string for name in named if name}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test sees the packages of another."""
    before = set(sys.modules)
    plugins.methods.cache_clear()
    yield
    plugins.methods.cache_clear()
    for name in set(sys.modules) - before:
        if name.split(".")[0].endswith("_package"):
            del sys.modules[name]


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    name: str = "my-package",
    version: str = "1.2",
    points: dict[str, str] | None = None,
) -> None:
    """Put a package where Python finds it, as ``pip install`` would."""
    points = points or {"my_neck": "my_package:METHOD"}
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": "[sobench.methods]\n"
        + "".join(f"{key} = {value}\n" for key, value in points.items()),
        f"{info}/RECORD": "",
    }
    site = folder / f"{name}-{version}"
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(content)
    monkeypatch.syspath_prepend(site)
    plugins.methods.cache_clear()


def install_the_readme(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "") -> None:
    """The package of the README, under the name, version and entry points of its pyproject."""
    files = files_of_the_readme()
    assert set(files) == {"my_package/__init__.py", "my_package/neck.py", "pyproject.toml"}
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    points = project["entry-points"]["sobench.methods"]
    install(folder, monkeypatch, files, project["name"], version or project["version"], points)


def row(**changes: str) -> str:
    """A module with a row of ``METHOD``; values are Python."""
    arguments = {"title": "'Mine'", "paper": "''", "module": "'my_package.neck'"} | changes
    imports = "from sobench.suite.catalog import Method, Switch\n"
    return f"{imports}METHOD = Method({', '.join(f'{k}={v}' for k, v in arguments.items())})\n"


# --- the method of the README ----------------------------------------------------------------


def test_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_the_readme(tmp_path, monkeypatch)
    listed = invoke(capsys, "list", "methods")
    assert listed.code == 0, listed.err
    lines = [line.rstrip() for line in listed.out.splitlines()]
    assert "my_neck comes from my-package 1.2, my_package.neck" in lines
    assert DEVIATION in lines
    assert any(line.startswith("my_neck  pool: avg, max (default avg): how") for line in lines)
    assert any(re.match(r"my_neck +Pyramid pooled .* retinanet, faster_rcnn", x) for x in lines)
    assert not any(line.startswith("fpn comes from") for line in lines)
    assert list(plugins.methods()) == [*METHODS, "my_neck"]
    assert "my_package.neck" not in sys.modules  # built only, never listed


def test_a_suite_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_the_readme(tmp_path, monkeypatch)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in CONTENT.items() if k != "methods"} |
                                   {"name": "mine"}) + block("yaml"))  # fmt: skip
    runs = {run.entry.label: run for run in plan.plan(load(path), "")}
    assert list(runs) == ["fpn", "my_neck", "my_neck-max"]
    assert runs["my_neck-max"].entry.switches == {"pool": "max"}
    assert runs["my_neck"].settings["source"] == "my-package 1.2"
    assert "source" not in runs["fpn"].settings
    assert runs["my_neck"].folder(tmp_path).parent == tmp_path / "mine" / "my_neck"
    with pytest.raises(RequestError, match=r"my_neck: unknown key 'pol'; did you mean 'pool'?"):
        tiny_suite(methods=[{"name": "my_neck", "pol": "max"}])
    with pytest.raises(RequestError, match="my_neck: pool: mean is not one of avg, max"):
        tiny_suite(methods=[{"name": "my_neck", "pool": "mean"}])


def test_a_new_version_is_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> dict[str, str]:
        runs = plan.plan(tiny_suite(methods=["fpn", "my_neck"]), "")
        return {run.entry.name: run.id for run in runs}

    with monkeypatch.context() as patch:
        install_the_readme(tmp_path, patch)
        before = ids()
    install_the_readme(tmp_path, monkeypatch, "1.3")
    after = ids()
    assert after["my_neck"] != before["my_neck"]
    assert after["fpn"] == before["fpn"]


def test_without_its_package_it_is_unknown() -> None:
    with pytest.raises(RequestError, match="unknown method 'my_neck'; known: ssd, fpn"):
        parse(CONTENT | {"methods": ["my_neck"]}, Path("tiny.yaml"))


def test_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_the_readme(tmp_path, monkeypatch)
    isolate(tmp_path, monkeypatch)
    short = {"schedule": {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}}
    path = write_tiny(tmp_path, **short, **yaml.safe_load(block("yaml")))
    path.rename("my_suite.yaml")
    program, *arguments = block("").split()
    assert program == "sobench"
    planned = invoke(capsys, "plan", *arguments[1:])
    assert planned.code == 0, planned.err
    assert [line.split()[3] for line in planned.out.splitlines() if "my_neck" in line] == [
        "missing", "missing",
    ]  # fmt: skip
    ran = invoke(capsys, *arguments)
    assert ran.code == 0, ran.err
    reported = invoke(capsys, "report", *arguments[1:])
    assert reported.code == 0, reported.err
    for out in (ran.out, reported.out):
        ranked = {line.split()[1] for line in out.splitlines() if re.match(r"[123]t? ", line)}
        assert ranked == {"fpn", "my_neck", "my_neck-max"}
        assert DEVIATION in out.splitlines()


@pytest.mark.parametrize("head", ["retinanet", "faster_rcnn"])
def test_its_maps_have_the_strides_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    from sobench.models.heads import head_levels

    install_the_readme(tmp_path, monkeypatch)
    suite = tiny_suite(methods=["my_neck"], head=head)
    detector = build_detector(suite, suite.methods[0], num_classes=3, seed=0).eval()
    with torch.no_grad():
        maps = detector.neck(detector.backbone(torch.zeros(1, 3, 96, 160)))
    assert [tuple(x.shape) for x in maps] == [
        (1, 16, -(-96 // stride), -(-160 // stride)) for stride in head_levels(head).strides
    ]


# --- what may go wrong -----------------------------------------------------------------------

POINT = "sobench.methods: my_neck = 'my_package:METHOD' of my-package 1.2: "

WRONG: dict[str, tuple[dict[str, str], str]] = {
    # name: (files of the package, what the message says)
    "no module": (
        {"other_package/__init__.py": ""},
        POINT + "cannot be imported (ModuleNotFoundError: No module named 'my_package');\nmend the",
    ),
    "no such name": (
        {"my_package/__init__.py": "METHODS = ()\n"},
        POINT + "cannot be imported (AttributeError: module 'my_package' has no attribute 'METHOD'",
    ),
    "no Python": (
        {"my_package/__init__.py": "METHOD = (\n"},
        POINT + "cannot be imported (SyntaxError: '(' was never closed",
    ),
    "import that fails": (
        {"my_package/__init__.py": "raise OSError('no licence\\nat all')\n"},
        POINT + "cannot be imported (OSError: no licence);\nmend the package or uninstall it",
    ),
    "no row": (
        {"my_package/__init__.py": "METHOD = {'title': 'Mine'}\n"},
        POINT + "is a dict; let it name a sobench.suite.catalog.Method",
    ),
    "no build module": (
        {"my_package/__init__.py": row(module="''")},
        POINT + "module is empty; name the module that has build(",
    ),
    "unknown head": (
        {"my_package/__init__.py": row(heads="('retina_net',)")},
        POINT + "heads: unknown 'retina_net'; did you mean 'retinanet'?",
    ),
    "head without its comma": (
        {"my_package/__init__.py": row(heads="('retinanet')")},
        POINT + "heads: 'retinanet' is no tuple; write ('retinanet',)",
    ),
    "deviation without its comma": (
        {"my_package/__init__.py": row(deviations="('own loss')")},
        POINT + "deviations: 'own loss' is no tuple; write ('own loss',)",
    ),
    "switch that is none": (
        {"my_package/__init__.py": row(switches="{'pool': 'avg'}")},
        POINT + "switches: pool: 'avg' is no sobench.suite.catalog.Switch; write one",
    ),
    "switch with another default": (
        {"my_package/__init__.py": row(switches="{'pool': Switch('sum', ('avg', 'max'), '')}")},
        POINT + "switches: pool: its default 'sum' is none of its values",
    ),
    "switch that no suite can name": (
        {"my_package/__init__.py": row(switches="{'label': Switch(1, (1, 2), '')}")},
        POINT + "switches: 'label' is a key of every row of a suite; call the switch otherwise",
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
        plugins.methods()
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
        plugins.methods()


def test_name_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {"my_package/__init__.py": row()})
    install(
        tmp_path, monkeypatch, {"your_package/__init__.py": row()}, "your-package", "0.1",
        {"my_neck": "your_package:METHOD"},
    )  # fmt: skip
    with pytest.raises(
        RequestError, match=r"my_neck = .* of your-package 0.1: my-package 1.2 has a method of thi"
    ):
        plugins.methods()


def test_name_that_leaves_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, monkeypatch, {"my_package/__init__.py": row()},
        points={"../neck": "my_package:METHOD"},
    )  # fmt: skip
    with pytest.raises(RequestError, match=r"'../neck' names a folder of results; use letters"):
        plugins.methods()


NO_BUILD: dict[str, tuple[dict[str, str], str]] = {
    "no module": ({}, "cannot be imported (ModuleNotFoundError: No module named 'my_package.neck'"),
    "import that fails": (
        {"my_package/neck.py": "import a_library_that_is_not_here\n"},
        "cannot be imported (ModuleNotFoundError: No module named 'a_library_that_is_not_here');\n"
        "mend the package or leave the method out",
    ),
    "no build": (
        {"my_package/neck.py": "def built(): ...\n"},
        "has no function build(backbone, config, switches); write one, or name",
    ),
    "build that is a number": ({"my_package/neck.py": "build = 3\n"}, "has no function build("),
}


@pytest.mark.parametrize("case", NO_BUILD)
def test_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    files, words = NO_BUILD[case]
    install(tmp_path, monkeypatch, {"my_package/__init__.py": row(heads="('retinanet',)")} | files)
    suite = tiny_suite(methods=["my_neck"])
    where = "methods: my_neck of my-package 1.2: module my_package.neck "
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
    assert "error: methods: my_neck of my-package 1.2: module my_package.neck cannot" in outcome.err
