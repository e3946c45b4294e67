from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from sobench.suite.methods import methods


@pytest.fixture(autouse=True)
def no_packages_of_other_tests() -> Iterator[None]:
    """Forget the methods and modules of packages that a test has installed."""
    before = set(sys.modules)
    methods.cache_clear()
    yield
    methods.cache_clear()
    for name in set(sys.modules) - before:
        if name.split(".")[0].endswith("_package"):
            del sys.modules[name]
