from __future__ import annotations

from pathlib import Path

import pytest

from sobench.errors import SuiteError
from sobench.suite.paths import expanded
from sobench.suite.reader import load
from sobench.suite.weights import weights_file, weights_id
from tests.suite.suite_texts import text_of
from tests.tiny_suite import tiny_suite


def test_variables_and_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_FOLDER", "/a/b")
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("${A_FOLDER}/c") == expanded("$A_FOLDER/c") == Path("/a/b/c")
    assert expanded("~/c") == Path("/home/me/c")
    assert expanded("/c$") == Path("/c$")
    monkeypatch.setenv("EMPTY", "")
    for name in ("EMPTY", "NEVER_SET"):
        with pytest.raises(KeyError, match=name):
            expanded(f"/a/${{{name}}}")


def test_weights_may_have_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.pth").write_bytes(b"weights")
    monkeypatch.setenv("A_FOLDER", str(tmp_path))
    backbone = tiny_suite(backbone={"weights": "${A_FOLDER}/w.pth"}).backbone
    assert weights_file(backbone) == tmp_path / "w.pth"


def test_errors_do_not_show_what_a_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    monkeypatch.delenv("NEVER_SET", raising=False)
    for weights, words in (
        ("$PASSWORD", "No such file"),
        ("/tmp/$PASSWORD/$NEVER_SET", "needs the variable NEVER_SET, which is not set; write `im"),
    ):
        with pytest.raises(SuiteError) as caught:
            weights_id(tiny_suite(backbone={"weights": weights}).backbone)
        assert weights in str(caught.value)
        assert words in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_no_other_key_has_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    path = tmp_path / "a.yaml"
    path.write_text(text_of(title="$PASSWORD", methods=[{"name": "fpn", "label": "${PASSWORD}"}]))
    assert "hunter2" not in load(path).model_dump_json()
