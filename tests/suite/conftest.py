from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.suite.packages import forget_packages


@pytest.fixture(autouse=True)
def no_packages_of_other_tests() -> Iterator[None]:
    """Forget the methods and modules of packages that a test has installed."""
    before = set(sys.modules)
    forget_packages()
    yield
    forget_packages()
    for name in set(sys.modules) - before:
        if name.split(".")[0].endswith("_package"):
            del sys.modules[name]
