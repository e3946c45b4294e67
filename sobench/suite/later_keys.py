"""Settings that came later: they count for a run's identity only where they change results.

So runs of before stay valid, unlike with another ``RESULTS_VERSION``.
"""

from __future__ import annotations

from typing import Any

from sobench.suite.method import Method
from sobench.suite.sections import Suite


def later_settings(suite: Suite, method: Method) -> dict[str, Any]:
    """What stands among the settings of a run of a method beside those that every run has.

    Args:
        suite: as the run executes it.
    """
    settings: dict[str, Any] = {}
    if method.version > 1:
        settings["method_version"] = method.version
    if not suite.ignore_regions:
        settings["ignore_regions"] = False
    if _jitters_oblongs(suite):
        # By the whole range; images that are not square were scaled by less before.
        settings["scale_jitter_version"] = 2
    return settings


def _jitters_oblongs(suite: Suite) -> bool:
    """Whether images are scaled at random on a fixed canvas that is not square."""
    height, width = suite.input.size
    is_fixed = suite.input.resize != "shorter_side"
    return suite.augment.scale_jitter is not None and is_fixed and height != width
