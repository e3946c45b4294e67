"""PAFPN: a bottom-up path behind the feature pyramid; PANet, arXiv:1803.01534."""

from __future__ import annotations

from sobench.suite.methods import Method, Switch

METHOD = Method(
    title="Path Aggregation Network",
    paper="Liu et al., CVPR 2018, arXiv:1803.01534",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "act": Switch(
            "none",
            ("none", "relu"),
            "relu behind the bottom-up convolutions, as in the paper; MMDetection has none",
        ),
    },
)
