"""Where caches are kept; apart from them, so that readers of a small one load no images."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``SOBENCH_CACHE`` if it is set, else ``sobench`` in the user's cache folder."""
    chosen = os.environ.get("SOBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sobench"
