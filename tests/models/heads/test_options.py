"""A head refuses an option that it does not have."""

from __future__ import annotations

from typing import Any

import pytest

from sobench.models.detector import HeadOptions
from sobench.models.heads import build_head
from sobench.models.parts.roi import TwoMLPHead
from sobench.models.parts.sampling import Sampler, random_sample
from tests.models.small_config import make_config


def sampler() -> Sampler:
    """The random choice, which needs no IoU."""
    return lambda matches, _, num_samples, fraction: random_sample(matches, num_samples, fraction)


@pytest.mark.parametrize(
    ("head", "class_name", "option", "value"),
    [
        ("retinanet", "RetinaNetHead", "sampler", sampler()),
        ("retinanet", "RetinaNetHead", "box_head", TwoMLPHead(8, 4)),
        ("faster_rcnn", "FasterRCNNHead", "level_norm", True),
        ("faster_rcnn", "FasterRCNNHead", "tower_convs", 0),
        ("faster_rcnn", "FasterRCNNHead", "tower_convs", 2),
        ("faster_rcnn", "FasterRCNNHead", "upsample", True),
    ],
)
def test_an_option_of_another_head_is_refused(
    head: str, class_name: str, option: str, value: Any
) -> None:
    options = HeadOptions(**{option: value})
    message = rf"^{class_name}: there is no option '{option}'; leave it out of HeadOptions, or "
    with pytest.raises(ValueError, match=message):
        build_head(make_config(head=head), (8, 16), options)


@pytest.mark.parametrize("head", ["retinanet", "faster_rcnn"])
def test_defaults_of_other_heads_options_are_accepted(head: str) -> None:
    assert build_head(make_config(head=head), (8, 16), HeadOptions()) is not None
    assert build_head(make_config(head=head), (8, 16)) is not None
