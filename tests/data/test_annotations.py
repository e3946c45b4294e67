"""What all readers check alike: class names, places of files, and extents of boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sobench.data.annotations import (
    PARTLY_OUTSIDE,
    REPEATED,
    AnnotatedBox,
    Box,
    ReadReport,
    check_class_names,
    check_inside,
    outside_files,
    to_annotated_image,
)
from sobench.data.dataset import AnnotatedImage
from sobench.errors import DataError


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "'' is not a valid name"),
        (" ", "' ' is not a valid name"),
        ("a\x1b[2J", r"'a\x1b[2J' is not a valid name"),
        ("a\nb", r"'a\nb' is not a valid name"),
        ("a\u202eb", "is not a valid name"),
        ("\ud800", r"'\ud800' is not a valid name"),
        ("x" * 201, "is not a valid name; write 1 to 200 characters"),
        ("all", "'all' is taken, it is the mean over the classes"),
        ("method", "'method' is taken, it is the column with the rows' names"),
        ("car", "'car' is used twice"),
    ],
)
def test_class_names_that_results_cannot_be_kept_by(name: str, problem: str) -> None:
    with pytest.raises(DataError) as error:
        check_class_names(["car", name], "a.json, categories")
    text = str(error.value)
    assert text.startswith("a.json, categories: class name ")
    assert problem in text
    assert len(text) < 300
    assert text.isprintable()


def test_class_names_of_all_languages_are_valid() -> None:
    names = [
        "Car",
        "car",
        "véhicule léger",
        "行人",
        "نیم\u200cفاصله",
        "a b",
        "All",
        "🚗",
        "x" * 200,
    ]
    check_class_names(names, "a.json")


@pytest.mark.parametrize(
    "name", ["../a.png", "b/../../a.png", "/c/a.png", "../images2/a.png", "../../data/../a.png"]
)
def test_a_name_that_leaves_the_folders_needs_permission(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data" / "images"
    with pytest.raises(DataError, match=r"row 1: .* leaves the dataset's folder .*outside_root"):
        check_inside(name, folder, [folder], "row 1")
    check_inside(name, folder, [], "row 1")


@pytest.mark.parametrize(
    "name", ["a.png", "b/a.png", "../a.png", "b/../a..b.png", "../images/a.png"]
)
def test_a_name_may_stay_anywhere_in_the_folders(tmp_path: Path, name: str) -> None:
    check_inside(name, tmp_path / "images", [tmp_path], "row 1")
    check_inside(str(tmp_path / "images" / name), tmp_path / "images", [tmp_path], "row 1")


def test_links_may_lead_out_and_the_folder_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "link").symlink_to("/tmp")
    check_inside("link/a.png", tmp_path / "root", [tmp_path / "root"], "row 1")
    check_inside(str(tmp_path / "real" / "a.png"), Path("x"), [tmp_path / "root"], "row 1")
    # both at once: the folder by its other name, and in it a file and a folder that lead out
    (tmp_path / "real" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    for name in ("a.png", "link/a.png"):
        check_inside(str(tmp_path / "root" / name), Path("x"), [tmp_path / "real"], "row 1")


@pytest.mark.parametrize("name", ["a\0.png", "\ud800.png"])
@pytest.mark.parametrize("allowed", [[], [Path()]])
def test_a_name_that_no_file_can_have_is_refused(name: str, allowed: list[Path]) -> None:
    with pytest.raises(DataError, match="row 1: no file can have the name") as error:
        check_inside(name, Path("images"), allowed, "row 1")
    assert str(error.value).isprintable()


def test_files_outside_are_listed_once() -> None:
    names = ["a.png", "../images/b.png", "../c.png", "../c.png", "/d/e.png", "../imagesf/g.png"]
    outside = [Path("/d/e.png"), Path("/s/c.png"), Path("/s/imagesf/g.png")]
    assert outside_files(names, Path("/s/images")) == outside


def checked(*boxes: Box, area: float | None = None) -> tuple[AnnotatedImage, ReadReport]:
    """An image of 8 x 6 with boxes of one class."""
    report = ReadReport()
    annotations = [AnnotatedBox(f"row {n}", box, 0, area=area) for n, box in enumerate(boxes, 1)]
    return to_annotated_image(1, "a", (6, 8), annotations, Path("a.txt"), report), report


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 1e308, 1e308), (0, 0, float("inf"), 1), (0, 0, 2.0**63, 2), (-900, 0, 1, 1),
        (0, 0, 1, 808.5), (0, float("nan"), 1, 1), (2e9, 2e9, 2e9 + 1, 2e9 + 1),
    ],
)  # fmt: skip
def test_boxes_that_nothing_can_hold_are_refused(box: Box) -> None:
    with pytest.raises(DataError) as error:
        checked((1, 1, 2, 2), box)
    text = str(error.value)
    assert text.startswith("a.txt, row 2: ")
    assert "too large or too far away for the image of 8x6; correct or remove it" in text


@pytest.mark.parametrize("area", [1e11, float("inf")])
def test_an_area_beyond_every_size_is_refused(area: float) -> None:
    with pytest.raises(DataError, match="too large or too far"):
        checked((1, 1, 2, 2), area=area)


def test_boxes_far_outside_are_left_out_and_large_ones_kept() -> None:
    image, report = checked((700, 1, 800, 2), (-100, 0, 808, 6))
    assert image.boxes.tolist() == [[-100, 0, 808, 6]]
    assert [row.row for row in report.skipped] == ["row 1"]
    assert report.notes == {PARTLY_OUTSIDE: 1}


def test_repeated_boxes_are_kept_and_counted() -> None:
    image, report = checked((1, 1, 2, 2), (1, 1, 3, 2), (1, 1, 2, 2), (1, 1, 2, 2))
    assert len(image.boxes) == 4
    assert report.notes == {REPEATED: 2}
