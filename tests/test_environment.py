from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import sobench
from sobench import environment
from sobench.environment import code_version, cpu_name, describe, package_version, usable_cores


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false",
         *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the code seems to run from."""
    (tmp_path / "sobench").mkdir()
    (tmp_path / "sobench" / "environment.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "sobench" / "environment.py"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return tmp_path


def test_describe() -> None:
    described = describe("some device", 3)
    assert described.device == "some device"
    assert described.threads == 3
    assert described.code.startswith(sobench.__version__)
    assert re.fullmatch(r"3\.\d+\.\d+\S*", described.python)
    assert described.packages["torch"] == package_version("torch") != ""
    assert described.system.strip()


def test_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert package_version("no-such-package") == ""
    assert list(describe("", 1).packages) == ["torch"]


def test_code_outside_a_checkout(checkout: Path) -> None:
    assert not (checkout / ".git").exists()
    assert code_version() == sobench.__version__


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_code_in_a_checkout(checkout: Path) -> None:
    git(checkout, "init")
    assert code_version() == sobench.__version__  # there is no commit yet
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    clean = code_version()
    assert re.fullmatch(re.escape(sobench.__version__) + " [0-9a-f]{10}", clean)
    (checkout / "notes.txt").write_text("outside of the code")
    assert code_version() == clean
    (checkout / "sobench" / "environment.py").write_text("changed")
    assert code_version() == f"{clean}+changes"


def test_code_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert code_version() == sobench.__version__


def test_processor() -> None:
    assert usable_cores() >= 1
    assert cpu_name().endswith(f", {usable_cores()} cores")
    assert not cpu_name().startswith(",")
