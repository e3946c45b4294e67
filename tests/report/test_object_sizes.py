"""The warning about objects that are too small for the anchors."""

from __future__ import annotations

import numpy as np

from sobench.report.object_sizes import too_small


def test_objects_that_no_anchor_can_meet() -> None:
    # 24 / sqrt 2 is 16.97: of five objects three are below it.
    warning = too_small(np.array([10.0, 16.9, 16.9, 17, 40]), 24, 8)
    assert warning.startswith("60 % of the training objects have sides below 17.0 px")
    assert "(median 16.9)" in warning
    assert warning.endswith("anchors: {smallest: 17} would meet more")
    assert not too_small(np.array([10.0, 16.9, 17, 17, 40]), 24, 8)


def test_where_smaller_anchors_do_not_help_the_input_is_to_be_larger() -> None:
    # Anchors are at least 1.5 strides, 12 px; 12 / 3.8 is 3.2.
    warning = too_small(np.array([3.8, 3.8, 30]), 32, 8)
    assert "an input.size of 3.2 times the height and width" in warning
    assert "anchors: {smallest: 12} would meet about half of them" in warning


def test_without_objects_there_is_no_warning() -> None:
    assert too_small(np.empty(0), 32, 8) == ""
