"""Image files of every mode are read correctly, or refused in one line."""

from __future__ import annotations

import pickle
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sobench.data.image_lists import list_images
from sobench.data.images import ImageFiles, decode, read_size
from sobench.errors import DataError

# 2 rows of 3 pixels, all different, so that every turn and flip can be told apart.
PICTURE = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[10, 20, 30], [250, 250, 0], [255, 255, 255]],
    ],
    dtype=np.uint8,
)

# EXIF orientation -> the upright picture, if PICTURE is what is stored.
UPRIGHT = {
    1: PICTURE,
    2: PICTURE[:, ::-1],
    3: PICTURE[::-1, ::-1],
    4: PICTURE[::-1],
    5: PICTURE.transpose(1, 0, 2),
    6: PICTURE[::-1].transpose(1, 0, 2),
    7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
    8: PICTURE.transpose(1, 0, 2)[::-1],
}


def save(path: Path, image: Image.Image, orientation: int | None = None, **options: Any) -> Path:
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(path, **options)
    return path


def one_line(error: pytest.ExceptionInfo[DataError], path: Path) -> str:
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_obeyed(tmp_path: Path, orientation: int, suffix: str) -> None:
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(PICTURE), orientation, **lossless)
    upright = UPRIGHT[orientation]

    assert read_size(path) == upright.shape[:2]
    for declared in (None, read_size(path)):
        pixels = decode(path, declared)
        np.testing.assert_array_equal(pixels, upright)
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous


def test_orientation_of_a_jpeg_turns_clockwise(tmp_path: Path) -> None:
    stored = np.zeros((16, 48, 3), dtype=np.uint8)
    stored[:, :16] = 255
    path = save(tmp_path / "a.jpg", Image.fromarray(stored), 6, quality=95)

    pixels = decode(path, None)

    assert read_size(path) == (48, 16)
    assert pixels.shape == (48, 16, 3)
    assert pixels[:12].min() > 200
    assert pixels[20:].max() < 50


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_stored_pixels_are_used_where_only_they_fit(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(PICTURE), orientation)

    np.testing.assert_array_equal(decode(path, (2, 3)), PICTURE)
    np.testing.assert_array_equal(decode(path, (3, 2)), UPRIGHT[orientation])


def test_a_size_that_fits_neither_way_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(PICTURE), 6)

    with pytest.raises(DataError, match="correct the annotation or replace the image") as error:
        decode(path, (4, 4))

    text = one_line(error, path)
    assert "2x3 pixels (3x2 before its orientation tag)" in text
    assert "4x4" in text


def test_a_broken_orientation_tag_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(PICTURE), exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(decode(path, None), PICTURE)
    path = save(tmp_path / "b.png", Image.fromarray(PICTURE), 9)
    np.testing.assert_array_equal(decode(path, None), PICTURE)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    pixels = decode(save(tmp_path / "a.png", Image.fromarray(grey)), None)
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=2))


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    assert decode(save(tmp_path / "a.png", grey), None).tolist() == [[[0, 0, 0], [255] * 3]]


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0, 128])])
def test_palette_colours_stay_whatever_is_transparent(
    tmp_path: Path, transparency: int | bytes | None
) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 200, 0, 0, 0, 90])
    image.putdata([0, 1, 2])
    options: dict[str, Any] = {} if transparency is None else {"transparency": transparency}
    path = save(tmp_path / "a.png", image, **options)

    assert decode(path, None).tolist() == [[[255, 0, 0], [0, 200, 0], [0, 0, 90]]]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("LA", (77, 0), [77] * 3),
        ("RGBA", (9, 8, 7, 0), [9, 8, 7]),
        ("RGBA", (9, 8, 7, 128), [9, 8, 7]),
    ],
)
def test_alpha_is_dropped_and_not_blended(
    tmp_path: Path, mode: str, colour: tuple[int, ...], expected: list[int]
) -> None:
    path = save(tmp_path / "a.png", Image.new(mode, (2, 1), colour))
    assert decode(path, None).tolist() == [[expected, expected]]


def test_a_transparent_colour_of_an_rgb_file_stays(tmp_path: Path) -> None:
    image = Image.new("RGB", (1, 1), (1, 2, 3))
    path = save(tmp_path / "a.png", image, transparency=(1, 2, 3))
    assert decode(path, None).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_inks_become_their_colours(tmp_path: Path, suffix: str) -> None:
    inks = np.zeros((16, 32, 4), dtype=np.uint8)
    inks[:, :16] = [0, 255, 255, 0]  # magenta and yellow: red
    inks[:, 16:] = [255, 0, 0, 0]  # cyan
    options = {"quality": 95} if suffix == "jpg" else {}
    image = Image.frombytes("CMYK", (32, 16), inks.tobytes())
    path = save(tmp_path / f"a.{suffix}", image, **options)

    pixels = decode(path, None).astype(int)

    assert np.abs(pixels[8, 4] - [255, 0, 0]).max() <= 6
    assert np.abs(pixels[8, 28] - [0, 255, 255]).max() <= 6


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 255, 257, 0x1234, 0xFFFF], [0, 1, 1, 18, 255]),
        ([500, 500 + 255, 500 + 510], [0, 128, 255]),
        ([7, 8], [0, 255]),
        ([4095, 4095], [0, 0]),
    ],
)
def test_16_bits_are_scaled_by_the_range_of_the_picture(
    tmp_path: Path, values: list[int], expected: list[int]
) -> None:
    for name in ("a.png", "a.tif"):
        grey = Image.fromarray(np.array([values], dtype=np.uint16))
        pixels = decode(save(tmp_path / name, grey), None)
        assert pixels.tolist() == [[[value] * 3 for value in expected]]


def test_big_endian_and_32_bit_containers_of_16_bits(tmp_path: Path) -> None:
    values = np.array([[0, 0x1234, 0xFFFF]])
    big = Image.frombytes("I;16B", (3, 1), values.astype(">u2").tobytes())
    assert decode(save(tmp_path / "b.tif", big), None)[0, :, 1].tolist() == [0, 18, 255]
    wide = Image.fromarray(values.astype(np.int32))
    assert wide.mode == "I"
    assert decode(save(tmp_path / "i.tif", wide), None)[0, :, 2].tolist() == [0, 18, 255]


def test_more_than_16_bits_and_fractions_are_refused(tmp_path: Path) -> None:
    deep = save(tmp_path / "i.tif", Image.fromarray(np.array([[70_000]], dtype=np.int32)))
    with pytest.raises(DataError, match=r"70000\.\.70000 exceed 16 bits; convert it") as error:
        decode(deep, None)
    one_line(error, deep)
    real = save(tmp_path / "f.tif", Image.fromarray(np.array([[0.5]], dtype=np.float32)))
    with pytest.raises(DataError, match="mode F have no RGB meaning; convert it") as error:
        decode(real, None)
    one_line(error, real)


def test_a_truncated_file_is_refused_when_its_pixels_are_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png", "a.tif"):
        path = save(tmp_path / name, Image.fromarray(noise))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match="replace it or remove its row") as error:
            decode(path, None)
        one_line(error, path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for function in (lambda: read_size(path), lambda: decode(path, None)):
        with pytest.raises(DataError, match=r"not an image .*replace it or remove") as error:
            function()
        one_line(error, path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg: no such image file; put it back"):
        read_size(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="cannot be opened"):
        decode(tmp_path, None)


def _huge_png(path: Path, height: int, width: int) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    return path


def test_a_large_picture_passes_silently_and_a_bomb_is_refused(tmp_path: Path) -> None:
    assert read_size(_huge_png(tmp_path / "large.png", 8_000, 11_000)) == (8_000, 11_000)
    # Pillow would open the first with a warning, and refuses the second.
    for side in (10_000, 60_000):
        bomb = _huge_png(tmp_path / "bomb.png", side, side)
        with pytest.raises(DataError, match="cut it into tiles") as error:
            read_size(bomb)
        one_line(error, bomb)


def test_the_size_is_read_from_the_header_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.zeros((300, 200, 3), dtype=np.uint8)))
    path.write_bytes(path.read_bytes()[:60])
    assert read_size(path) == (300, 200)
    with pytest.raises(DataError):
        decode(path, None)


def test_image_files_survive_pickling_and_threads(tmp_path: Path) -> None:
    paths = tuple(
        save(tmp_path / f"{i}.png", Image.new("RGB", (4, 3), (i, 0, 0))) for i in range(32)
    )
    files = pickle.loads(pickle.dumps(ImageFiles(paths, ((3, 4),) * 32)))
    with ThreadPoolExecutor(4) as pool:
        reds = [int(pixels[0, 0, 0]) for pixels in pool.map(files, range(32))]
    assert reds == list(range(32))


def test_list_images_is_sorted_relative_and_sees_images_only(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a.jpeg", "notes.txt", "._a.jpg", "B.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == ["B.webp", "a.jpeg", "b/1.png", "b/2.JPG"]
    with pytest.raises(DataError, match="no such image folder"):
        list_images(tmp_path / "none")


def test_a_high_picture_is_converted_strip_by_strip(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (2500, 3, 4), dtype=np.uint8)
    for mode, channels in (("RGB", 3), ("RGBA", 4)):
        path = save(tmp_path / f"{mode}.png", Image.fromarray(values[:, :, :channels].copy()))
        np.testing.assert_array_equal(decode(path, None), values[:, :, :3])
