"""Libra R-CNN: balance of features, losses and samples; arXiv:1904.02701."""

from __future__ import annotations

from sobench.suite.methods import Method, Switch, When

METHOD = Method(
    title="Libra R-CNN: balanced pyramid, loss and sampling",
    paper="Pang et al., CVPR 2019, arXiv:1904.02701",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "balanced_pyramid": Switch(True, (True, False), "the balanced feature pyramid"),
        "refine": Switch(
            "non_local",
            ("none", "conv", "non_local"),
            "how the balanced pyramid refines the mean of its levels",
            {"balanced_pyramid": True},
        ),
        "zero_init": Switch(
            False,
            (True, False),
            "start the non-local block as the identity",
            {"balanced_pyramid": True, "refine": "non_local"},
        ),
        "balanced_l1": Switch(True, (True, False), "balanced L1 instead of L1"),
        "balanced_sampling": Switch(
            True, (True, False), "IoU-balanced negatives", head="faster_rcnn"
        ),
        "code_compat": Switch(
            False,
            (True, False),
            "IoU bins as in the authors' code, not as in the paper",
            {"balanced_sampling": True},
            "faster_rcnn",
        ),
    },
    deviations=(
        When(
            "own box loss: balanced L1, whose slope rises to 1.5, not 1 as that of the suite's",
            {"balanced_l1": True},
        ),
        When(
            "own sampling of regions: IoU-balanced negatives",
            {"balanced_sampling": True},
            "faster_rcnn",
        ),
    ),
)
