"""FPN: the top-down feature pyramid, arXiv:1612.03144."""

from __future__ import annotations

from sobench.suite.methods import Method, Switch

METHOD = Method(
    title="Feature Pyramid Network",
    paper="Lin et al., CVPR 2017, arXiv:1612.03144",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "fuse": Switch(
            True, (True, False), "false leaves out the top-down sum: laterals and 3x3 only"
        ),
    },
)
