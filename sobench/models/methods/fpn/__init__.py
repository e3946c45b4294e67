"""FPN: the top-down feature pyramid, arXiv:1612.03144."""

from __future__ import annotations

from sobench.suite.methods import Method, Switch, When

METHOD = Method(
    title="Feature Pyramid Network",
    paper="Lin et al., CVPR 2017, arXiv:1612.03144",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "fuse": Switch(
            True, (True, False), "false leaves out the top-down sum: laterals and 3x3 only"
        ),
        "first_level": Switch(
            3,
            (3, 2),
            "finest of the five levels; on level 2 the anchors keep the suite's sizes",
            head="retinanet",
        ),
    },
    deviations=(When("pyramid levels 2 to 6 instead of 3 to 7", {"first_level": 2}),),
)
