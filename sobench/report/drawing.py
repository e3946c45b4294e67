"""Detections on an image as a picture, with the ground truth beside them."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from sobench.data.dataset import AnnotatedImage, FloatArray, ImageArray
from sobench.metrics.detections import DetectionRow
from sobench.text import plain

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]

COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (240, 228, 66), (204, 121, 167), (0, 158, 115), (213, 94, 0),
    (0, 114, 178),
)  # fmt: skip
"""Told apart by people with any colour vision: Okabe and Ito, *Color Universal Design*, 2008. The
brightest first, which stand out from photographs."""

_IGNORED: Colour = (170, 170, 170)
_BACKGROUND, _INK, _EDGE = (255, 255, 255), (20, 20, 20), (0, 0, 0)

_SHORTEST, _LONGEST, _MOST_TIMES = 960, 2560, 8
"""Longer side of a panel in pixels: a smaller image is enlarged so many times at most, so that
boxes of a few pixels can be seen; a larger one is reduced."""

_LINE, _DASH = 3, 7
_FONT_SIZE, _PADDING, _GAP, _SWATCH = 15, 8, 12, 28
_WIDEST = 1.5
"""Width over height from which panels stand one below the other."""


@dataclass(frozen=True)
class Shape:
    """A box in pixels of the image.

    Attributes:
        box: ``x1, y1, x2, y2``.
        label: index of its class, or -1 for an ignore region.
        text: beside it, where there is room.
    """

    box: Rectangle
    label: int
    text: str


@dataclass(frozen=True)
class Panel:
    """A view of the image with boxes, and the line above it."""

    title: str
    shapes: tuple[Shape, ...]


def draw(
    pixels: ImageArray,
    rows: Sequence[DetectionRow],
    truth: AnnotatedImage | None,
    classes: Sequence[str],
    title: str,
) -> bytes:
    """A PNG file of the image with detections, and the ground truth beside it if there is any.

    Args:
        pixels: ``[H, W, 3]`` RGB.
        rows: detections, best first; their ``category_id`` is the label.
        classes: names, indexed by label.
        title: above the detections.
    """
    panels = [Panel(title, tuple(_detected(row, classes) for row in rows))]
    if truth is not None:
        number = len(truth.boxes)
        panels.append(
            Panel(f"ground truth: {_counted(number, 'object')}", _annotated(truth, classes))
        )
    image = _scaled(pixels)
    scale = image.width / pixels.shape[1]
    views = [_view(image, panel, scale) for panel in panels]
    picture = _below([_beside(views), _legend(panels, classes, _beside(views).width)])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _detected(row: DetectionRow, classes: Sequence[str]) -> Shape:
    x, y, width, height = row["bbox"]
    label = row["category_id"]
    text = f"{plain(classes[label], 30)} {row['score']:.2f}"
    return Shape((x, y, x + width, y + height), label, text)


def _annotated(truth: AnnotatedImage, classes: Sequence[str]) -> tuple[Shape, ...]:
    ignored = [Shape(_rectangle(box), -1, "ignored") for box in truth.ignore]
    objects = [
        Shape(_rectangle(box), int(label), plain(classes[label], 30))
        for box, label in zip(truth.boxes, truth.labels, strict=True)
    ]
    return (*ignored, *objects)


def _rectangle(box: FloatArray) -> Rectangle:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _scaled(pixels: ImageArray) -> Image.Image:
    """The image at a size at which small boxes can be seen."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    scale = min(1.0, _LONGEST / longest)
    if longest < _SHORTEST:
        scale = float(min(_MOST_TIMES, math.ceil(_SHORTEST / longest)))
    image = Image.fromarray(pixels)
    if scale == 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Enlarged pixels stay squares, as the detector has seen them.
    kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.resize(size, kind)


def _view(image: Image.Image, panel: Panel, scale: float) -> Image.Image:
    """The image with the boxes of a panel, and its title above."""
    view = image.copy()
    drawing = ImageDraw.Draw(view)
    frames = [_frame(shape.box, scale) for shape in panel.shapes]
    # The best last, so that it lies above the others.
    for shape, frame in reversed(list(zip(panel.shapes, frames, strict=True))):
        _outline(drawing, frame, shape.label)
    taken = list(frames)
    for shape, frame in zip(panel.shapes, frames, strict=True):
        place = _place_for(shape.text, frame, taken, view.size)
        if place is not None:
            colour = _colour(shape.label)
            drawing.rectangle(place, fill=colour)
            drawing.text((place[0] + 3, place[1]), shape.text, _ink_on(colour), _font())
            taken.append(place)
    return _below([_text_line(panel.title, view.width), view])


def _frame(box: Rectangle, scale: float) -> Rectangle:
    """The line around a box in pixels of the view: outside of it, so that no object is covered."""
    x1, y1, x2, y2 = (side * scale for side in box)
    return x1 - _LINE, y1 - _LINE, x2 + _LINE - 1, y2 + _LINE - 1


def _outline(drawing: ImageDraw.ImageDraw, frame: Rectangle, label: int) -> None:
    """A line in the colour of the class between two dark ones, so that it shows on any ground."""
    x1, y1, x2, y2 = (round(side) for side in frame)
    x2, y2 = max(x1, x2), max(y1, y2)
    drawing.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_EDGE, width=_LINE + 2)
    drawing.rectangle((x1, y1, x2, y2), outline=_colour(label), width=_LINE)
    if label < 0 or label // len(COLOURS) % 2:
        # Further classes have the same colours again, with dashes.
        for x in range(x1, x2 + 1, 2 * _DASH):
            drawing.rectangle((x, y1, min(x + _DASH, x2), y1 + _LINE - 1), fill=_EDGE)
            drawing.rectangle((x, y2 - _LINE + 1, min(x + _DASH, x2), y2), fill=_EDGE)
        for y in range(y1, y2 + 1, 2 * _DASH):
            drawing.rectangle((x1, y, x1 + _LINE - 1, min(y + _DASH, y2)), fill=_EDGE)
            drawing.rectangle((x2 - _LINE + 1, y, x2, min(y + _DASH, y2)), fill=_EDGE)


def _place_for(
    text: str, frame: Rectangle, taken: Sequence[Rectangle], size: tuple[int, int]
) -> Rectangle | None:
    """Where a text can stand beside a box without covering another one; ``None`` if nowhere."""
    width, height = _font().getlength(text) + 6, float(_FONT_SIZE + 4)
    x1, y1, x2, y2 = frame
    corners = ((x1 - 1, y1 - height - 2), (x1 - 1, y2 + 3), (x2 + 3, y1), (x1 - width - 3, y1))
    for x, y in corners:
        place = x, y, x + width, y + height
        is_inside = x >= 0 and y >= 0 and place[2] < size[0] and place[3] < size[1]
        if is_inside and not any(_overlap(place, other) for other in taken):
            return place
    return None


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _legend(panels: Sequence[Panel], classes: Sequence[str], width: int) -> Image.Image:
    """The classes in the picture with their colours, and how often each is there."""
    counts = [Counter(shape.label for shape in panel.shapes) for panel in panels]
    labels = sorted(set().union(*counts), key=lambda label: (label < 0, label))
    lines: list[list[tuple[int, str, int]]] = [[]]
    x = _PADDING
    for label in labels:
        name = "ignored" if label < 0 else plain(classes[label], 30)
        text = f"{name} {' | '.join(str(count[label]) for count in counts)}"
        needed = _SWATCH + 7 + round(_font().getlength(text)) + 2 * _PADDING
        if x + needed > width and lines[-1]:
            lines.append([])
            x = _PADDING
        lines[-1].append((x, text, label))
        x += needed
    height = (_FONT_SIZE + _PADDING) * len(lines) + _PADDING if labels else 0
    legend = Image.new("RGB", (width, height), _BACKGROUND)
    drawing = ImageDraw.Draw(legend)
    for number, line in enumerate(lines):
        y = _PADDING + number * (_FONT_SIZE + _PADDING)
        for x, text, label in line:
            _outline(drawing, (x + 1, y + 1, x + _SWATCH, y + 14), label)
            drawing.text((x + _SWATCH + 7, y - 1), text, _INK, _font())
    return legend


def _text_line(text: str, width: int) -> Image.Image:
    """A line of text; what does not fit is cut off."""
    line = Image.new("RGB", (width, _FONT_SIZE + 2 * _PADDING), _BACKGROUND)
    ImageDraw.Draw(line).text((_PADDING, _PADDING - 2), text, _INK, _font())
    return line


def _beside(views: Sequence[Image.Image]) -> Image.Image:
    """Views of one size side by side, or one below the other where they are wide."""
    if views[0].width > _WIDEST * views[0].height:
        return _below(views)
    width = sum(view.width for view in views) + _GAP * (len(views) - 1)
    picture = Image.new("RGB", (width, views[0].height), _BACKGROUND)
    for number, view in enumerate(views):
        picture.paste(view, (number * (view.width + _GAP), 0))
    return picture


def _below(parts: Sequence[Image.Image]) -> Image.Image:
    width, height = max(part.width for part in parts), sum(part.height for part in parts)
    picture = Image.new("RGB", (width, height), _BACKGROUND)
    y = 0
    for part in parts:
        picture.paste(part, (0, y))
        y += part.height
    return picture


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)


def _colour(label: int) -> Colour:
    return _IGNORED if label < 0 else COLOURS[label % len(COLOURS)]


def _ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read; luma of ITU-R BT.601."""
    red, green, blue = colour
    return _EDGE if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else _BACKGROUND


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
