"""Packages that are broken, and what they break: the rows of suites that name them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sobench.suite import plan
from sobench.suite.methods import get_method, method_names, methods
from tests.commands.small_suite import write_suite
from tests.records import invoke, isolate
from tests.suite.broken_packages import POINT, WRONG, package_of, raising
from tests.suite.packages import forget_packages, install, row
from tests.tiny_suite import tiny_suite

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.mark.parametrize("case", WRONG)
def test_a_broken_row_is_listed_with_its_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, case: str
) -> None:
    files, words = WRONG[case]
    install(tmp_path, monkeypatch, files)
    code, out, err = invoke(capsys, "list", "methods")
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if line.startswith("my_neck cannot be used: "))
    assert line.startswith(POINT + words)
    assert len(line) < 800
    assert "\x1b" not in out
    assert any(line.startswith("zoominnet requires") for line in out.splitlines())
    # The suite is not to blame, and its other rows work.
    suite = tiny_suite(methods=["fpn", {"name": "my_neck", "pool": "max"}])
    fpn, mine = plan.plan(suite, "aaaa")
    assert fpn.defect == ""
    assert f"my_neck cannot be used: {mine.defect}".startswith(POINT + words)
    assert mine.settings["source"] == "my-package 1.2"


NAMES: dict[str, tuple[str, str]] = {
    # name of an entry point: (method that cannot be used, what the message says)
    "fpn": ("fpn", "my-package 1.2 has a method of this name as well; uninstall one of them"),
    "../neck": ("../neck", "'../neck' names a folder of results; use letters, digits"),
    "a b": ("a b", "'a b' names a folder of results"),
    "x" * 101: ("x" * 101, "names a folder of results"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_name_breaks_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    points = {name: "my_package:METHOD", "good": "my_package:METHOD"}
    install(tmp_path, monkeypatch, package_of(), points=points)
    wrong, words = NAMES[name]
    broken = {name: method.broken for name, method in methods().items() if method.broken}
    # What needs a method that cannot be used cannot be used either.
    assert set(broken) == ({"fpn", "efpn", "zoominnet"} if wrong == "fpn" else {wrong})
    assert words in broken[wrong]
    assert get_method("good").title == "Mine"


def test_a_name_of_two_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, package_of())
    install(
        tmp_path, monkeypatch, {"your_package/__init__.py": row()}, "your-package", "0.1",
        {"my_neck": "your_package:METHOD"},
    )  # fmt: skip
    assert (
        "my_package:METHOD' of my-package 1.2: your-package 0.1 has" in get_method("my_neck").broken
    )
    assert [name for name, method in methods().items() if method.broken] == ["my_neck"]


def test_a_package_is_imported_only_for_its_own_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    install(tmp_path, monkeypatch, raising("import os; os._exit(3)"))
    assert "my_neck" in method_names()
    path = write_suite(methods=["fpn"])
    assert invoke(capsys, "plan", path).code == 0
    assert "my_package" not in sys.modules
    outcome = invoke(capsys, "plan", write_suite(methods=["my_nack"]))
    assert outcome.code == 2
    assert "unknown method 'my_nack'; did you mean 'my_neck'?" in outcome.err


def test_files_of_a_package_that_are_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, package_of())
    broken = tmp_path / "odd" / "odd-1.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Name: odd\n")
    for content in (b"[sobench.methods]\nneither key nor value\n", b"\xff\xfe", b"x = y\n[a"):
        (broken / "entry_points.txt").write_bytes(content)
        monkeypatch.syspath_prepend(broken.parent)
        forget_packages()
        assert get_method("my_neck").broken == ""


def test_what_a_package_prints_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    noisy = "print('imported')\ndef rule(switches, suite):\n    print('ruled')\n    return ''\n"
    install(tmp_path, monkeypatch, {"my_package/__init__.py": noisy + row(rules="(rule,)")})
    path = write_suite(methods=["my_neck"])
    code, out, err = invoke(capsys, "plan", path)
    assert code == 0
    assert {"imported", "ruled"} <= set(err.split())
    assert not {"imported", "ruled"} & set(out.split())


RULES: dict[str, tuple[str, str]] = {
    "raises": (
        "raise KeyError(suite.name)",
        "its rule rule fails (KeyError: 'small'); fix the pac",
    ),
    "exits": ("import sys; sys.exit(0)", "its rule rule fails (SystemExit: 0); fix the package or"),
    "returns nothing": ("return None", "its rule rule returns a NoneType; let it return a text"),
    "changes the row": ("switches['a'] = 1; return ''", "its rule rule fails (TypeError: "),
}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_that_fails_is_the_fault_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, case: str
) -> None:
    code, words = RULES[case]
    rule = f"def rule(switches, suite):\n    {code}\n"
    install(tmp_path, monkeypatch, {"my_package/__init__.py": rule + row(rules="(rule,)")})
    outcome = invoke(capsys, "plan", write_suite(methods=["my_neck", "fpn"]))
    assert outcome.code == 0, outcome.err
    assert f"my_neck seed 0: failed: {words}" in outcome.out
    assert [line.split()[3] for line in outcome.out.splitlines() if " s0-" in line] == [
        "failed", "missing",
    ]  # fmt: skip


def test_a_row_whose_rule_fails_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    rule = "def rule(switches, suite):\n    raise KeyError(suite.name)\n"
    install(tmp_path, monkeypatch, {"my_package/__init__.py": rule + row(rules="(rule,)")})
    ran = invoke(capsys, "run", write_suite(methods=["my_neck"]))
    assert ran.code == 2
    assert "error: small: methods: my_neck: its rule rule fails (KeyError: 'small')" in ran.err


CONDITIONS = {
    "raises": ("raise KeyError(suite.name)", "its condition few fails (KeyError: 'small')"),
    "leaves": ("import sys; sys.exit(0)", "its condition few fails (SystemExit: 0)"),
    "returns a number": ("return 1", "its condition few returns a int; let it return True or"),
    "returns nothing": ("pass", "its condition few returns a NoneType; let it return True or F"),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_condition_that_fails_is_the_fault_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, case: str
) -> None:
    code, words = CONDITIONS[case]
    few = f"def few(suite):\n    {code}\n"
    content = few + row(deviations="(When('noisy', where=few),)")
    install(tmp_path, monkeypatch, {"my_package/__init__.py": content})
    outcome = invoke(capsys, "plan", write_suite(methods=["my_neck", "fpn"]))
    assert outcome.code == 0, outcome.err
    assert f"my_neck seed 0: failed: {words}" in outcome.out


def test_a_condition_on_the_suite_decides_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    few = "def batches_of_two(suite):\n    return suite.schedule.batch_size == 2\n"
    content = few + row(deviations="(When('noisy', where=batches_of_two),)")
    install(tmp_path, monkeypatch, {"my_package/__init__.py": content})
    for size, printed in ((2, ("noisy",)), (3, ())):
        schedule = {"batch_size": size}
        (run,) = plan.plan(tiny_suite(schedule=schedule, methods=["my_neck"]))
        assert run.deviations == printed
    listed = invoke(capsys, "list", "methods").out
    assert "my_neck deviates where batches of two: noisy" in listed


def test_a_rule_may_still_refuse_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    rule = "def rule(switches, suite):\n    return 'is not for today; come back'\n"
    install(tmp_path, monkeypatch, {"my_package/__init__.py": rule + row(rules="(rule,)")})
    outcome = invoke(capsys, "plan", write_suite(methods=["my_neck", "fpn"]))
    assert outcome.code == 2
    assert outcome.err == "error: small.yaml: methods: my_neck: is not for today; come back\n"


def test_the_other_rows_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    install(tmp_path, monkeypatch, raising("raise OSError('no licence')"))
    path = write_suite(methods=["fpn", "my_neck"])
    planned = invoke(capsys, "plan", path)
    assert planned.code == 0
    words = "cannot be imported (OSError: no licence); fix the package or uninstall it"
    assert f"my_neck seed 0: failed: {POINT.partition(': ')[2]}{words}" in planned.out
    ran = invoke(capsys, "run", path)
    assert ran.code == 1
    assert words in ran.err
    reported = invoke(capsys, "report", path)
    assert reported.code == 0
    for out in (ran.out, reported.out):
        assert any(line.split()[:2] == ["1", "fpn"] for line in out.splitlines())
        assert any("my_neck seed 0: " in line and words in line for line in out.splitlines())
