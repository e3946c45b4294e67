"""sobench: compare small-object detectors under uniform conditions.

The names in ``__all__`` are the public API, described in ``docs/api.md``. Each is imported when it
is first used, so that suites and leaderboards need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sobench.compare.leaderboard import leaderboard as leaderboard
    from sobench.data.targets import Targets as Targets
    from sobench.errors import RequestError as RequestError
    from sobench.errors import SobenchError as SobenchError
    from sobench.models.detector import Detector as Detector
    from sobench.models.detector import DetectorConfig as DetectorConfig
    from sobench.models.detector import HeadOptions as HeadOptions
    from sobench.models.detector import Stage as Stage
    from sobench.models.heads import build_head as build_head
    from sobench.models.heads import head_levels as head_levels
    from sobench.models.parts.anchors import AnchorSpec as AnchorSpec
    from sobench.models.parts.backbone import Backbone as Backbone
    from sobench.models.parts.class_layers import ClassLayer as ClassLayer
    from sobench.models.parts.losses import smooth_l1 as smooth_l1
    from sobench.models.parts.pyramid import ExtraLevels as ExtraLevels
    from sobench.models.parts.pyramid import FeaturePyramid as FeaturePyramid
    from sobench.models.parts.pyramid import Laterals as Laterals
    from sobench.models.parts.pyramid import Levels as Levels
    from sobench.models.parts.pyramid import convolution as convolution
    from sobench.models.parts.pyramid import init_xavier as init_xavier
    from sobench.models.parts.pyramid import norm_layer as norm_layer
    from sobench.models.parts.pyramid import upsampled as upsampled
    from sobench.models.parts.whole_batch import whole_count as whole_count
    from sobench.models.parts.whole_batch import whole_mean as whole_mean
    from sobench.models.parts.whole_batch import whole_rand as whole_rand
    from sobench.runs.state import read_records as read_records
    from sobench.suite.methods import Method as Method
    from sobench.suite.methods import Need as Need
    from sobench.suite.methods import Rule as Rule
    from sobench.suite.methods import Switch as Switch
    from sobench.suite.methods import When as When
    from sobench.suite.plan import plan as plan
    from sobench.suite.reader import load

    load_suite = load

__version__ = "0.1.0"

_PLACES = {
    # suites and results
    "load_suite": "sobench.suite.reader:load",
    "plan": "sobench.suite.plan",
    "read_records": "sobench.runs.state",
    "leaderboard": "sobench.compare.leaderboard",
    "SobenchError": "sobench.errors",
    "RequestError": "sobench.errors",
    # the row of a method
    "Method": "sobench.suite.methods",
    "Switch": "sobench.suite.methods",
    "When": "sobench.suite.methods",
    "Need": "sobench.suite.methods",
    "Rule": "sobench.suite.methods",
    # the network of a method
    "Detector": "sobench.models.detector",
    "DetectorConfig": "sobench.models.detector",
    "HeadOptions": "sobench.models.detector",
    "Stage": "sobench.models.detector",
    "Targets": "sobench.data.targets",
    "build_head": "sobench.models.heads",
    "head_levels": "sobench.models.heads",
    # parts that networks share
    "Backbone": "sobench.models.parts.backbone",
    "Levels": "sobench.models.parts.pyramid",
    "Laterals": "sobench.models.parts.pyramid",
    "ExtraLevels": "sobench.models.parts.pyramid",
    "FeaturePyramid": "sobench.models.parts.pyramid",
    "convolution": "sobench.models.parts.pyramid",
    "norm_layer": "sobench.models.parts.pyramid",
    "upsampled": "sobench.models.parts.pyramid",
    "init_xavier": "sobench.models.parts.pyramid",
    "AnchorSpec": "sobench.models.parts.anchors",
    "ClassLayer": "sobench.models.parts.class_layers",
    "smooth_l1": "sobench.models.parts.losses",
    "whole_count": "sobench.models.parts.whole_batch",
    "whole_mean": "sobench.models.parts.whole_batch",
    "whole_rand": "sobench.models.parts.whole_batch",
}
"""Module of each public name, followed by its name there where that is another."""

__all__ = list(_PLACES)

if not TYPE_CHECKING:  # so that type checkers see the imports above, and nothing else

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'sobench' has no attribute {name!r}")
        module, _, other = _PLACES[name].partition(":")
        value = getattr(import_module(module), other or name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
