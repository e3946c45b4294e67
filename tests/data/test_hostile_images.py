"""Files that are called images: only those that a suite holds are opened, whatever is in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from sobench.data.image_lists import list_images
from sobench.data.images import HIGH_BYTE, STRETCHED, count_deep, decode, read_size
from sobench.errors import DataError
from tests.data.png16 import save_colours_of_16_bits

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        decode(path, None)
    with pytest.raises(DataError) as of_header:
        read_size(path)
    text = str(error.value)
    assert str(of_header.value) == text
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_no_program_is_started_for_postscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    path = tmp_path / "3.png"
    path.write_bytes(EPS)
    assert "is not an image in BMP, JPEG, PNG, TIFF or WEBP; convert it" in refused(path)
    assert not mark.exists()
    # The stand-in would be started, were the format not refused.
    with suppress(OSError), Image.open(path) as image:
        image.load()
    assert mark.exists()


@pytest.mark.parametrize("suffix", ["gif", "ppm", "dds", "avif", "ico", "tga", "pcx", "sgi", "jp2"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_other_formats_are_refused_under_any_name(tmp_path: Path, suffix: str, name: str) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / name)
    assert "is not an image in BMP" in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "name"), [("PNG", "a.jpg"), ("JPEG", "a.png"), ("MPO", "a.jpg")]
)
def test_a_wrong_suffix_is_no_obstacle(tmp_path: Path, content: str, name: str) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / name, format=content)
    assert decode(tmp_path / name, None).shape == (16, 16, 3)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.png")
    assert "cannot be opened (not a regular file); replace it" in refused(tmp_path / "a.png")


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("x"), RuntimeError("x\ny"), OverflowError("x"), MemoryError("x"),
        SystemError("x"), RecursionError("x"), AttributeError("x"), ZeroDivisionError("x"),
    ],
)  # fmt: skip
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", fail)
        with pytest.raises(DataError, match=r"a\.png: is damaged \(x\); replace it"):
            decode(path, None)
    monkeypatch.setattr(Image, "open", fail)
    assert "a.png: is damaged (x); replace it" in refused(path)


def test_damaged_files_of_every_format_are_refused_or_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8))
    for name in ("a.jpg", "a.png", "a.tif", "a.webp", "a.bmp"):
        path = tmp_path / name
        picture.save(path)
        content = path.read_bytes()
        for _ in range(30):
            damaged = bytearray(content)
            for position in random.integers(0, len(content), 8):
                damaged[position] = random.integers(0, 256)
            path.write_bytes(damaged)
            with suppress(DataError):
                assert decode(path, None).shape[2] == 3


def test_images_of_more_than_8_bits_are_counted(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[1, 70]], dtype=np.uint16))
    paths = [tmp_path / name for name in ("a.png", "b.tif", "c.png", "d.jpg", "e.png")]
    for path in paths[:2]:
        grey.save(path)
    Image.new("RGB", (2, 1)).save(paths[2])
    Image.new("RGB", (2, 1)).save(paths[3])
    save_colours_of_16_bits(paths[4], np.array([[[256, 512, 70], [0, 0, 0]]]))
    assert count_deep(paths) == {STRETCHED: 2, HIGH_BYTE: 1}
    assert decode(paths[4], None).tolist() == [[[1, 2, 0], [0, 0, 0]]]


def test_folders_that_are_linked_into_themselves_are_listed_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a.png", "b/c.png"):
        (tmp_path / name).touch()
    for name in ("again", "b/up", "b/up2", "aa"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "a_link").symlink_to(tmp_path / "b")
    assert list_images(tmp_path) == ["a.png", "b/c.png"]


def test_links_to_other_folders_are_followed(tmp_path: Path) -> None:
    for name in ("set", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    assert list_images(tmp_path / "set") == ["link/a.png"]


@pytest.mark.parametrize("target", ["/proc", "/sys"])
def test_folders_of_the_system_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(DataError, match=r"link: is a folder of the system; remove"):
        list_images(tmp_path)


def test_what_is_called_an_image_and_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for make in (os.mkfifo, lambda path: path.symlink_to("gone")):
        make(path)
        with pytest.raises(DataError, match=r"a\.png: is not a file, or a broken link; remove it"):
            list_images(tmp_path)
        path.unlink()
