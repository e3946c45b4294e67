"""Processes that compute on a device, as far as others can tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sobench.device_use import using


@contextmanager
def other_user(device: torch.device) -> Iterator[None]:
    """Another process that uses a device meanwhile."""
    begun, tell = os.pipe()
    ended, end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(end)
            with using(device):
                os.write(tell, b"x")
                os.read(ended, 1)
        finally:
            os._exit(0)
    try:
        os.read(begun, 1)
        yield
    finally:
        os.close(end)
        os.waitpid(child, 0)
        for descriptor in (begun, tell, ended):
            os.close(descriptor)
