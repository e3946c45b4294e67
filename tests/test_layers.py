"""The order of the house: a file imports only from above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sobench import catalog

ROOT = Path(__file__).parents[1]

# From the ground up. The files of one line stand side by side and do not import each other.
LAYERS = (
    "__init__.py errors.py catalog.py protocols.py",
    "plugins.py storage.py",
    "settings.py",
    "suite.py",
    "plan.py",
    # data: one contract, one file for each layout
    "data/__init__.py data/dataset.py data/shapes.py data/targets.py",
    "data/images.py data/rows.py data/resize.py data/statistics.py",
    "data/coco.py data/visdrone.py data/voc.py data/yolo.py data/tt100k.py data/synthetic.py",
    "data/augment.py",
    "data/load.py data/cache.py data/batches.py",
    # models: backbone, neck and head meet in a method
    "models/__init__.py models/boxes.py models/losses.py models/backbone.py models/clusters.py",
    "models/sampling.py models/pyramid.py models/vgg.py models/multibox.py models/distillation.py",
    "models/detector.py",
    "models/regions.py models/extension.py",
    "models/heads/[a-z]*.py",
    "models/heads/__init__.py",
    "models/small_heads.py",
    "models/methods/*.py",
    "models/build.py",
    # one run
    "checkpoint.py",
    "train.py",
    "metrics/__init__.py metrics/rows.py",
    "metrics/detection.py metrics/cost.py",
    "detect.py",
    "environment.py",
    "record.py",
    "network.py",
    "evaluate.py",
    "execute.py",
    # many runs
    "schedule.py",
    "leaderboard.py",
    "report/__init__.py report/tables.py",
    "report/terminal.py",
    "report/listing.py report/dataset.py report/progress.py report/doctor.py",
    "cli.py",
    "__main__.py",
)


def files_of(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in (root).rglob("*.py"))


def layer_of(file: str) -> int | None:
    path = Path(file)
    for number, line in enumerate(LAYERS):
        for pattern in line.split():
            if path.parent == Path(pattern).parent and path.match(pattern):
                return number
    return None


def imports_of(root: Path, file: str) -> Iterator[tuple[int, str]]:
    """Line and file of every import from the package, wherever it stands in the file."""
    for node in ast.walk(ast.parse((root / file).read_text())):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: write the whole name"
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            if name.split(".")[0] == "sobench":
                yield node.lineno, imported_file(root, name)


def imported_file(root: Path, name: str) -> str:
    """``sobench.data.load.load`` -> ``data/load.py``; ``sobench.data`` -> ``data/__init__.py``."""
    parts = name.split(".")[1:]
    for length in range(len(parts), -1, -1):
        stem = "/".join(parts[:length])
        for file in (f"{stem}.py", f"{stem}/__init__.py".lstrip("/")):
            if (root / file).is_file():
                return file
    raise AssertionError(f"{name} is no file of the package")


def problems(root: Path) -> list[str]:
    """What breaks the order in a package, in words."""
    found = []
    for file in files_of(root):
        own = layer_of(file)
        if own is None:
            found.append(f"{file}: give it a place in LAYERS of tests/test_layers.py")
            continue
        for line, other in imports_of(root, file):
            theirs = layer_of(other)
            if theirs is None or theirs >= own:
                found.append(f"{file}, line {line}: imports {other}, which does not stand above it")
    return found


def test_every_file_imports_only_from_above() -> None:
    assert problems(ROOT / "sobench") == []


def test_every_layer_has_its_files() -> None:
    files = files_of(ROOT / "sobench")
    for number, line in enumerate(LAYERS):
        found = [file for file in files if layer_of(file) == number]
        assert len(found) >= len(line.split()), f"not all of {line} exist"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("suite.py", "import sobench.plan\n", "suite.py, line 1: imports plan.py"),
        ("suite.py", "def f():\n    from sobench import plan\n", "suite.py, line 2: imports plan"),
        ("suite.py", "from sobench.plan import Run\n", "suite.py, line 1: imports plan.py"),
        ("suite.py", "from sobench.suite import a\n", "suite.py, line 1: imports suite.py"),
        ("data/voc.py", "from sobench.data import coco\n", "data/voc.py, line 1: imports data/co"),
        ("models/methods/a.py", "import sobench.models.methods.b\n", "models/methods/a.py, line 1"),
        ("models/heads/a.py", "from sobench.models.heads.b import x\n", "models/heads/a.py, line"),
        ("models/heads/a.py", "from sobench.models.methods.b import x\n", "models/heads/a.py, lin"),
        ("models/new.py", "", "models/new.py: give it a place"),
        ("helpers.py", "", "helpers.py: give it a place"),
    ],
)
def test_what_breaks_the_order_is_found(
    tmp_path: Path, file: str, content: str, problem: str
) -> None:
    needed = ["__init__", "suite", "plan", "data/coco", "models/methods/b", "models/heads/b"]
    for name in [*(f"{name}.py" for name in needed), file]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert problems(tmp_path) == [] or not content
    (tmp_path / file).write_text(content)
    found = problems(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(problem)


def modules(folder: str) -> set[str]:
    files = (ROOT / "sobench" / folder).glob("*.py")
    return {file.stem for file in files} - {"__init__"}


def test_methods_do_not_import_each_other() -> None:
    for name in modules("models/methods"):
        imported = {file for _, file in imports_of(ROOT / "sobench", f"models/methods/{name}.py")}
        assert not [file for file in imported if file.startswith("models/methods/")]


def words(file: Path) -> Iterator[str]:
    """Names, attributes and texts of a file's code; docstrings are no code."""
    tree = ast.parse(file.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")


def test_heads_do_not_name_methods() -> None:
    for file in (ROOT / "sobench" / "models" / "heads").glob("*.py"):
        named = set(words(file)) & (set(catalog.METHODS) | {"methods", "METHODS"})
        assert named <= {file.stem}, f"{file.name} names {sorted(named)}"


def test_every_method_and_head_has_its_row() -> None:
    assert modules("models/methods") == set(catalog.METHODS)
    assert set(catalog.HEADS) <= modules("models/heads")
