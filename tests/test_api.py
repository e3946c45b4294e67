"""The public API: what ``import sobench`` offers, and at what price."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sobench
from sobench.errors import NothingToCompare
from tests.pages import DOCS, ROOT, blocks
from tests.tiny_suite import write_tiny

DOCUMENTED = dict(re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \|", (DOCS / "api.md").read_text(), re.M))
"""Name -> arguments, as the page gives them."""


def test_the_page_documents_every_name() -> None:
    assert list(DOCUMENTED) == list(sobench.__all__)


@pytest.mark.parametrize("name", sobench.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(sobench, name)
    assert inspect.getdoc(value) or name == "Rule"  # a type of functions
    if DOCUMENTED[name]:
        names = re.findall(r"(\w+)(?:=[^,)]*)?", DOCUMENTED[name])
        assert list(inspect.signature(value).parameters)[: len(names)] == names


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'sobench' has no attribute 'nothing'"):
        sobench.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_dir_lists_the_names() -> None:
    assert {*sobench.__all__, "__version__"} <= set(dir(sobench))


def test_no_submodule_hides_a_name() -> None:
    package = ROOT / "sobench"
    submodules = {path.stem for path in package.glob("*.py")} | {p.name for p in package.iterdir()}
    assert not submodules & set(sobench.__all__)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "sobench" / "__init__.py").read_text())
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.asname for alias in node.names if alias.asname}
        elif isinstance(node, ast.Assign):
            seen |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert seen == set(sobench.__all__)


def test_suites_and_rows_need_no_torch() -> None:
    script = """if True:
        import sys
        import sobench
        assert "pydantic" not in sys.modules
        sobench.load_suite, sobench.plan, sobench.Method, sobench.RequestError
        assert not {"torch", "torchvision"} & sys.modules.keys()
        sobench.Detector
        assert "torch" in sys.modules
    """
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


def test_a_suite_and_its_runs(tmp_path: Path) -> None:
    suite = sobench.load_suite(ROOT / "suites" / "smoke.yaml")
    runs = sobench.plan(suite, "")
    assert [run.entry.label for run in runs] == [entry.label for entry in suite.methods]
    assert sobench.read_records(runs, tmp_path) == []


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(DOCS / "api.md", "python")
    write_tiny(tmp_path).rename(tmp_path / "smoke.yaml")
    monkeypatch.chdir(tmp_path)
    example = block.content.replace("suites/smoke.yaml", "smoke.yaml")
    with pytest.raises(NothingToCompare, match="tiny"):
        exec(example)
