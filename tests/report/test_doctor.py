"""Checks of the machine that depend on what it has."""

from __future__ import annotations

import pytest

from sobench.report import doctor


@pytest.mark.parametrize("has_triton", [True, False])
def test_what_a_missing_compiler_costs_is_told(
    monkeypatch: pytest.MonkeyPatch, has_triton: bool
) -> None:
    monkeypatch.setattr(doctor, "has_triton", lambda: has_triton)
    check = doctor._triton()
    assert check.ok == has_triton
    assert ("pays for padding" in check.value) != has_triton
    assert "gcc" in check.remedy
