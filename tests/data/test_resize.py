"""Images resized to the network input, and boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sobench.data.dataset import (
    AnnotatedImage,
    Dataset,
    FloatArray,
    ImageArray,
    as_boxes,
    as_labels,
)
from sobench.data.resize import (
    FILL,
    DecodedImages,
    at_double_size,
    batch_canvas,
    input_shape,
    on_canvas,
    resize,
    resize_geometry,
    typical_shape,
)
from sobench.suite.input import Input

STRETCH = Input(size=(64, 96), resize="stretch")
LETTERBOX = Input(size=(64, 96), resize="letterbox")
SHORTER = Input(size=(60, 100), resize="shorter_side")
WAYS = (STRETCH, LETTERBOX, SHORTER)


def test_input_shape() -> None:
    assert input_shape(STRETCH) == (64, 96)
    assert input_shape(LETTERBOX) == (64, 96)
    # A square of the longer side, up to the next multiple of 32, for upright and wide images.
    assert input_shape(SHORTER) == (128, 128)
    assert input_shape(Input(size=(600, 1024), resize="shorter_side")) == (1024, 1024)


def test_a_canvas_of_a_batch_holds_its_largest_sides() -> None:
    sizes = [(100, 33), (64, 97)]
    assert batch_canvas(STRETCH, sizes) == batch_canvas(LETTERBOX, sizes) == (64, 96)
    assert batch_canvas(SHORTER, sizes) == (128, 128)
    assert batch_canvas(SHORTER, sizes[:1]) == (128, 64)
    assert batch_canvas(SHORTER, [(32, 64)]) == (32, 64)


def test_costs_are_counted_at_the_shape_of_a_wide_image() -> None:
    assert typical_shape(STRETCH) == typical_shape(LETTERBOX) == (64, 96)
    assert typical_shape(Input(size=(800, 1333), resize="shorter_side")) == (800, 1344)


def test_settings_at_double_size() -> None:
    assert at_double_size(STRETCH) == Input(size=(128, 192), resize="stretch")
    assert input_shape(at_double_size(LETTERBOX)) == (128, 192)
    odd = Input(size=(100, 130), resize="shorter_side")
    assert at_double_size(odd) == Input(size=(200, 260), resize="shorter_side")
    assert (input_shape(odd), input_shape(at_double_size(odd))) == ((160, 160), (288, 288))


@given(st.sampled_from(WAYS), st.integers(1, 5000), st.integers(1, 5000))
def test_images_at_double_size_are_twice_as_large(settings: Input, height: int, width: int) -> None:
    plain = resize_geometry(settings, (height, width)).size
    doubled = resize_geometry(at_double_size(settings), (height, width)).size
    for side, side_2x, limit in zip(
        plain, doubled, input_shape(at_double_size(settings)), strict=True
    ):
        assert abs(side_2x - 2 * side) <= (settings is not STRETCH)
        assert 2 * side <= limit


@pytest.mark.parametrize(
    ("settings", "size", "expected"),
    [
        (STRETCH, (100, 200), (64, 96)),
        (STRETCH, (1000, 10), (64, 96)),
        (LETTERBOX, (100, 200), (48, 96)),  # .48 in both directions
        (LETTERBOX, (200, 100), (64, 32)),  # .32
        (LETTERBOX, (33, 100), (32, 96)),  # 31.68 is rounded
        (LETTERBOX, (32, 48), (64, 96)),  # small images grow
        (LETTERBOX, (10, 9600), (1, 96)),  # never to nothing
        (SHORTER, (120, 120), (60, 60)),  # the shorter side rules
        (SHORTER, (200, 400), (50, 100)),  # the longer side rules
        (SHORTER, (400, 200), (100, 50)),
        (SHORTER, (60, 70), (60, 70)),
    ],
)
def test_resize_geometry(settings: Input, size: tuple[int, int], expected: tuple[int, int]) -> None:
    geometry = resize_geometry(settings, size)
    assert geometry.size == expected
    assert geometry.scale == (expected[1] / size[1], expected[0] / size[0])


def test_boxes_by_hand() -> None:
    geometry = resize_geometry(STRETCH, (32, 192))  # half as wide, twice as high
    boxes = np.array([[10.0, 4, 20, 8]])
    assert geometry.to_input(boxes).tolist() == [[5, 8, 10, 16]]
    assert geometry.to_original(np.array([[5.0, 8, 10, 16]])).tolist() == [[10, 4, 20, 8]]
    assert boxes.tolist() == [[10, 4, 20, 8]]


def test_boxes_of_the_padding_end_at_the_image() -> None:
    geometry = resize_geometry(LETTERBOX, (100, 200))
    original = geometry.to_original(np.array([[-3.0, 40, 120, 60], [90, 50, 96, 64]]))
    assert original.tolist() == [[0, pytest.approx(40 / 0.48), 200, 100], [187.5, 100, 200, 100]]


def test_no_boxes() -> None:
    geometry = resize_geometry(STRETCH, (10, 10))
    assert geometry.to_input(np.zeros((0, 4))).shape == (0, 4)
    assert geometry.to_original(np.zeros((0, 4))).shape == (0, 4)


@given(
    st.sampled_from(WAYS),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=4),
)
def test_boxes_come_back(
    settings: Input, height: int, width: int, shares: list[tuple[float, ...]]
) -> None:
    geometry = resize_geometry(settings, (height, width))
    for side, limit in zip(geometry.size, input_shape(settings), strict=True):
        assert 1 <= side <= limit
    boxes: FloatArray = np.array(shares) * (width, height, width, height)
    inside = geometry.to_input(boxes)
    assert (inside >= 0).all()
    assert geometry.limit.tolist() == [*geometry.size[::-1], *geometry.size[::-1]]
    assert (inside <= geometry.limit * (1 + 1e-12)).all()
    assert np.allclose(geometry.to_original(inside), boxes, rtol=1e-12, atol=1e-9)


def picture(height: int, width: int) -> ImageArray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("settings", WAYS)
def test_padding_lies_right_and_below_in_the_mean_colour(settings: Input) -> None:
    image = np.full((50, 120, 3), 255, dtype=np.uint8)
    resized = resize(image, settings)
    height, width = resize_geometry(settings, (50, 120)).size
    assert resized.dtype == np.uint8
    assert resized.shape == (height, width, 3)
    padded = on_canvas(resized, input_shape(settings))
    assert padded.dtype == np.uint8
    assert padded.shape == (*input_shape(settings), 3)
    assert (padded[:height, :width] == 255).all()
    padding = np.ones(padded.shape[:2], dtype=bool)
    padding[:height, :width] = False
    assert (padded[padding] == FILL).all()
    assert padding.any() == (settings is not STRETCH)


@pytest.mark.parametrize("canvas", [(3, 9), (9, 3), (3, 3), (5, 4)])
def test_a_canvas_cuts_off_what_does_not_fit(canvas: tuple[int, int]) -> None:
    image = picture(5, 4)
    height, width = (min(sides) for sides in zip(canvas, (5, 4), strict=True))
    shown = on_canvas(image, canvas)
    assert shown.shape == (*canvas, 3)
    assert np.array_equal(shown[:height, :width], image[:height, :width])
    assert (shown[height:] == FILL).all()
    assert (shown[:, width:] == FILL).all()


@pytest.mark.parametrize("settings", WAYS)
def test_images_that_are_decoded_when_they_are_asked_for(settings: Input) -> None:
    images = [picture(40, 96), picture(70, 30)]
    none, labels = as_boxes([]), as_labels([])
    annotated = tuple(
        AnnotatedImage(i, "", x.shape[1], x.shape[0], none, labels, np.zeros(0), none, labels)
        for i, x in enumerate(images)
    )
    decoded = DecodedImages(Dataset("", ("a",), (1,), annotated, images.__getitem__), settings)
    assert len(decoded) == 2
    for index in (0, 1, -1):
        assert np.array_equal(decoded[index], resize(images[index], settings))
    with pytest.raises(IndexError):
        decoded[2]


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = picture(64, 96)
    assert np.array_equal(resize(image, STRETCH), image)
    assert np.array_equal(resize(picture(40, 96), LETTERBOX)[:40], picture(40, 96))


def test_shrinking_averages() -> None:
    stripes = np.zeros((128, 192, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize(stripes, STRETCH)[:, 2:-2].astype(int) - 100).max() <= 8


@pytest.mark.parametrize("settings", WAYS)
@pytest.mark.parametrize("size", [(240, 400), (400, 240), (41, 67)])
def test_pixels_go_where_boxes_go(settings: Input, size: tuple[int, int]) -> None:
    height, width = size
    image = np.zeros((height, width, 3), dtype=np.uint8)
    box = np.array([[width // 4, height // 3, width // 2, height - 5]], dtype=np.float64)
    left, top, right, bottom = box[0].astype(int)
    image[top:bottom, left:right] = 255
    geometry = resize_geometry(settings, size)
    scaled_height, scaled_width = geometry.size
    bright = resize(image, settings)[:scaled_height, :scaled_width, 0] > 127
    rows, columns = np.nonzero(bright.any(axis=1))[0], np.nonzero(bright.any(axis=0))[0]
    extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert np.abs(geometry.to_input(box)[0] - extent).max() <= 0.51
