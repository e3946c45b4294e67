"""NAS-FPN: a pyramid found by architecture search, arXiv:1904.07392."""

from __future__ import annotations

from collections.abc import Mapping

from sobench.suite.conditions import FEW_IMAGES, batches_are_small
from sobench.suite.methods import Method, Switch, SwitchValue, When
from sobench.suite.sections import Suite


def separate_norms_need_towers(switches: Mapping[str, SwitchValue], suite: Suite) -> str:
    """Batch normalisation for every level of the towers needs towers."""
    if switches["separate_bn"] and not suite.neck.tower_convs:
        return (
            "separate_bn: true concerns the head's towers, and the suite has neck.tower_convs: 0; "
            "leave it out, or write 1 to 8"
        )
    return ""


METHOD = Method(
    title="Pyramid found by architecture search, seven merging cells",
    paper="Ghiasi et al., CVPR 2019, arXiv:1904.07392",
    heads=("retinanet", "faster_rcnn"),
    switches={
        "stack": Switch(7, (1, 2, 3, 4, 5, 6, 7), "number of times that the cell is repeated"),
        "pool": Switch(
            "mean",
            ("mean", "max"),
            "global pooling of the attention: mean in MMDetection, max in the authors' code",
        ),
        "separate_bn": Switch(
            False,
            (True, False),
            "RetinaNet towers with separate batch normalisation for every level",
            head="retinanet",
        ),
    },
    deviations=(
        When("batch normalisation in the pyramid", norm="none"),
        When(FEW_IMAGES, norm="none", where=batches_are_small),
        When("batch normalisation in the towers, for every level", {"separate_bn": True}),
    ),
    rules=(separate_norms_need_towers,),
)
