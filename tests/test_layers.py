"""The order of the house: a file imports only from folders above its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sobench.suite.heads import HEADS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sobench"

LAYERS = (
    "text.py errors.py regular_files.py yaml_text.py files.py processes.py lease.py locks.py "
    "garbage.py environment.py device.py device_use.py",
    "suite",
    "data",
    "models/parts models/detector.py",
    "models/heads",
    "models/methods",
    "models",
    "training",
    "metrics",
    "runs",
    "compare",
    "report",
    "commands cli.py __main__.py",
)
"""From the ground up. A folder of its own line stands apart from the rest of its parent's."""

SIBLINGS = ("models/methods", "models/heads", "data/formats")
"""What is in these folders does not import its neighbours; their ``__init__`` may know all."""

SHOP_WINDOW = "__init__.py"
"""Offers names of every layer, and imports each when it is asked for."""


def layer_of(file: str) -> int | None:
    """The layer of a file: that of the longest name which the file is, or lies below."""
    places = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
    parts = Path(file).parts
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in places:
            return places["/".join(parts[:length])]
    return None


def files_of(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))


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
    raise AssertionError(f"{name} is not a file of the package")


def problems(root: Path) -> list[str]:
    """Every import that breaks the order in a package, in words."""
    broken = []
    for file in files_of(root):
        if file == SHOP_WINDOW:
            continue
        own = layer_of(file)
        if own is None:
            broken.append(f"{file}: give it a place in LAYERS of tests/test_layers.py")
            continue
        for line, other in imports_of(root, file):
            theirs = -1 if other == SHOP_WINDOW else layer_of(other)
            if theirs is None or theirs > own:
                broken.append(f"{file}, line {line}: imports {other}, which is not above it")
            elif are_siblings(file, other):
                broken.append(f"{file}, line {line}: imports {other}, which is beside it")
    return broken + [f"{' -> '.join(circle)}: a circle" for circle in circles(root)]


def are_siblings(file: str, other: str) -> bool:
    """Whether two files are parts of different neighbours in one folder of ``SIBLINGS``."""
    for folder in SIBLINGS:
        if file.startswith(f"{folder}/") and other.startswith(f"{folder}/"):
            one, two = (Path(name).relative_to(folder).parts[0] for name in (file, other))
            return "__init__.py" not in (one, two) and one != two
    return False


def circles(root: Path) -> list[list[str]]:
    """Files that import each other, one circle at the most."""
    graph = {
        file: {other for _, other in imports_of(root, file)} - {file, SHOP_WINDOW}
        for file in files_of(root)
        if file != SHOP_WINDOW
    }
    done: set[str] = set()

    def search(file: str, path: list[str]) -> list[str]:
        if file in path:
            return [*path[path.index(file) :], file]
        if file in done:
            return []
        for other in sorted(graph[file]):
            if circle := search(other, [*path, file]):
                return circle
        done.add(file)
        return []

    return [circle for file in sorted(graph) if (circle := search(file, []))][:1]


def test_every_file_imports_only_from_above() -> None:
    assert problems(PACKAGE) == []


def test_every_layer_has_its_files() -> None:
    files = files_of(PACKAGE)
    for line in LAYERS:
        for name in line.split():
            assert any(file == name or file.startswith(f"{name}/") for file in files), name


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("suite/a.py", "import sobench.data.b\n", "suite/a.py, line 1: imports data/b.py"),
        ("suite/a.py", "def f():\n    from sobench import data\n", "suite/a.py, line 2: imports d"),
        ("suite/a.py", "from sobench.data.b import x\n", "suite/a.py, line 1: imports data/b.py"),
        ("suite/b.py", "import sobench.suite.c\n", "suite/b.py -> suite/c.py -> suite/b.py: a c"),
        ("models/parts/a.py", "import sobench.models.heads.b\n", "models/parts/a.py, line 1: impo"),
        ("models/heads/a.py", "import sobench.models.methods.b\n", "models/heads/a.py, line 1: im"),
        ("models/methods/a/model.py", "import sobench.models.methods.b.model\n",
         "models/methods/a/model.py, line 1: imports models/methods/b/model.py, which is beside"),
        ("models/methods/a/model.py", "import sobench.models.build\n", "models/methods/a/model.p"),
        ("data/formats/a.py", "import sobench.data.formats.b\n", "data/formats/a.py, line 1: im"),
        ("models/heads/a.py", "import sobench.models.heads.b\n", "models/heads/a.py, line 1: im"),
        ("helpers.py", "", "helpers.py: give it a place"),
    ],
)  # fmt: skip
def test_what_breaks_the_order_is_found(
    tmp_path: Path, file: str, content: str, problem: str
) -> None:
    needed = ["__init__", "suite/b", "data/__init__", "data/b", "models/heads/b", "models/build"]
    needed += ["models/methods/b/__init__", "models/methods/b/model", "data/formats/b"]
    for name in [*(f"{name}.py" for name in needed), file]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "suite" / "c.py").write_text("import sobench.suite.b\n")
    assert problems(tmp_path) == [] or not content
    (tmp_path / file).write_text(content)
    broken = problems(tmp_path)
    assert len(broken) == 1
    assert broken[0].startswith(problem)


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


def methods() -> set[str]:
    folders = (PACKAGE / "models" / "methods").iterdir()
    return {folder.name for folder in folders if (folder / "__init__.py").is_file()}


def test_every_head_of_the_table_has_its_file() -> None:
    heads = {file.stem for file in (PACKAGE / "models" / "heads").glob("*.py")}
    assert set(HEADS) <= heads


def test_heads_do_not_name_methods() -> None:
    for file in (PACKAGE / "models" / "heads").glob("*.py"):
        named = set(words(file)) & (methods() | {"methods", "METHODS"})
        assert named <= {file.stem}, f"{file.name} names {sorted(named)}"
