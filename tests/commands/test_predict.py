"""Pictures and rows of detections, of any image that can be decoded."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image

from sobench.suite.sections import Suite
from tests.commands.small_suite import Capture
from tests.records import invoke, isolate
from tests.runs.image_suite import trained

COLOURS = np.random.default_rng(1).integers(0, 256, (40, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    return trained(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_suite(suite: Suite) -> Path:
    """The suite's file where ``predict`` looks for it, as far as the data are concerned."""
    path = Path("suites/tiny.yaml")
    path.parent.mkdir()
    content = suite.model_dump(mode="json", exclude_defaults=True)
    content["methods"] = [row["name"] for row in content["methods"]]
    path.write_text(yaml.safe_dump(content))
    return path


def test_pictures_and_rows(capsys: Capture, run: tuple[Suite, Path]) -> None:
    suite, folder = run
    write_suite(suite)
    images = folder.parents[3] / "data" / "images"
    options = ("--out", "out", "--json", "--score-threshold", "0")
    code, out, err = invoke(capsys, "predict", folder, images, *options)
    assert (code, err) == (0, "")
    assert out.count("; ground truth 1\n") == 3
    rows = json.loads(Path("out/detections.json").read_text())
    assert out.endswith(f"out/detections.json: {len(rows)} detections\n")
    assert {row["file_name"] for row in rows} == {str(images / f"{i}.png") for i in (1, 2, 3)}
    assert {row["category_name"] for row in rows} <= {"bolt", "nut"}
    assert all(set(row) == {"file_name", "category_name", "bbox", "score"} for row in rows)
    for number, (height, width) in enumerate([(40, 64), (64, 48), (50, 50)], 1):
        of_image = [row for row in rows if row["file_name"].endswith(f"{number}.png")]
        for x, y, w, h in (row["bbox"] for row in of_image):
            assert -0.001 <= x <= x + w <= width + 0.001
            assert -0.001 <= y <= y + h <= height + 0.001
        with Image.open(f"out/{number}.png") as picture:
            assert max(picture.size) > 400  # enlarged, with two panels
    # A record in the folder names the run as well, and a higher threshold leaves out the rest.
    score = sorted(row["score"] for row in rows)[-3]
    options = ("--out", "out", "--json", "--score-threshold", str(score))
    assert invoke(capsys, "predict", folder / "record.json", images, *options).code == 0
    assert json.loads(Path("out/detections.json").read_text()) == [
        row for row in rows if row["score"] >= score
    ]


def test_without_the_suite_there_is_no_ground_truth(
    capsys: Capture, run: tuple[Suite, Path]
) -> None:
    _, folder = run
    image = folder.parents[3] / "data" / "images" / "1.png"
    code, out, err = invoke(capsys, "predict", folder, image, "--out", "out")
    assert code == 0
    assert "ground truth" not in out
    assert err == (
        "note: no suites/tiny.yaml here, so the data are not looked at; --suite SUITE names them\n"
    )


def save(name: str, image: Image.Image, orientation: int | None = None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    image.save(name, exif=exif)


def test_any_image_that_can_be_decoded(capsys: Capture, run: tuple[Suite, Path]) -> None:
    colours = Image.fromarray(COLOURS)
    save("colour.png", colours)
    save("turned.png", colours.transpose(Image.Transpose.ROTATE_90), orientation=6)
    save("grey.png", colours.convert("L"))
    alpha = colours.convert("RGBA")
    alpha.putalpha(100)
    save("alpha.png", alpha)
    save("palette.png", colours.quantize(16))
    save("one_pixel.png", colours.crop((0, 0, 1, 1)))
    save("long.jpg", colours.resize((3000, 20)))
    save("tall.png", colours.resize((20, 300)))
    names = sorted(path.name for path in Path().glob("*.[jp][pn]g"))
    options = ("--out", "out", "--json", "--score-threshold", "0")
    code, out, _ = invoke(capsys, "predict", run[1], ".", *options)
    assert code == 0
    assert len(out.splitlines()) == len(names) + 1 == 9
    for name in names:
        with Image.open(Path("out", name).with_suffix(".png")) as picture:
            picture.load()
    rows = json.loads(Path("out/detections.json").read_text())
    of = {n: [(r["bbox"], r["score"]) for r in rows if r["file_name"] == n] for n in names}
    assert len(of["colour.png"]) > 3
    assert of["turned.png"] == of["colour.png"] == of["alpha.png"]


def test_images_that_cannot_be_read_are_named_and_the_others_go_on(
    capsys: Capture, run: tuple[Suite, Path]
) -> None:
    save("good.png", Image.fromarray(COLOURS))
    Path("junk.png").write_bytes(b"junk" * 100)
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG")
    Path("cut.png").write_bytes(file.getvalue()[:-2000])
    images = ("junk.png", "good.png", "cut.png", "gone.png")
    code, out, err = invoke(capsys, "predict", run[1], *images, "--out", "out")
    assert code == 1
    assert out.startswith("out/good.png: ")
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert [line.split()[1] for line in warnings] == ["junk.png:", "cut.png:", "gone.png:"]
    assert all(line.endswith("; left out") for line in warnings)
    code, out, err = invoke(capsys, "predict", run[1], "gone.png", "--out", "other", "--json")
    assert (code, out) == (2, "")
    assert err.endswith("error: no image could be read; the lines above say why\n")
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "a.png"], "nowhere: no such file or folder; give the folder of a finished"),
        ([".", "a.png"], ".: no record.json; give the folder of a finished run, such as results/"),
        (["RUN", "a.png", "--suite", "none.yaml"], "none.yaml: no such suite file"),
        (["RUN", "empty"], "empty: no images; name image files or folders"),
        (["RUN", "a.png", "--score-threshold", "2"], "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_refusals(
    capsys: Capture, run: tuple[Suite, Path], arguments: list[str], words: str
) -> None:
    Path("empty").mkdir()
    given = [str(run[1]) if word == "RUN" else word for word in arguments]
    code, out, err = invoke(capsys, "predict", *given, "--out", "out")
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert not Path("out").exists()
