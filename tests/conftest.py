"""How all tests run."""

from __future__ import annotations

import torch

# The networks of the tests are tiny: more threads would only wait for one another.
torch.set_num_threads(1)
