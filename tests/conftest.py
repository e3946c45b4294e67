"""How all tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

# The networks of the tests are tiny: more threads would only wait for one another.
torch.set_num_threads(1)

# Kernels of a GPU run by Triton's interpreter where there is none.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written into the folders of whoever runs the tests, and no one else is seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SOBENCH_LOCAL", str(tmp_path_factory.mktemp("local")))
        yield
