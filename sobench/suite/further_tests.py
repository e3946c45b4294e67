"""The further tests of a suite: what else a trained network is shown beside the suite's input."""

from __future__ import annotations

from dataclasses import dataclass

from sobench.suite.detect import MultiScale
from sobench.suite.sections import Suite


@dataclass(frozen=True)
class FurtherTest:
    """One more test of every trained network; it needs no training.

    Attributes:
        name: in records and in the names of files. With the settings of the run it says all that
            the result depends on, so a test that was changed is another test.
        title: on leaderboards.
        key: of the suite, that asks for it.
        value: of that key, as messages have it.
        inputs: (height, width), as ``input.size``, that images are resized to; the candidates of
            several are suppressed together.
        flip: whether mirror images are tested as well, and suppressed together with the others.
        keep_background: only objects and the background around them are shown, in boxes of so many
            times the objects' area; ``None`` shows everything.
        remark: printed beneath a table that has the test; empty if the title says enough.
    """

    name: str
    title: str
    key: str
    value: str
    inputs: tuple[tuple[int, int], ...]
    flip: bool = False
    keep_background: float | None = None
    remark: str = ""

    @property
    def is_merged(self) -> bool:
        """Whether an image is seen several times, and all candidates are suppressed together."""
        return self.flip or len(self.inputs) > 1


def further_tests(suite: Suite) -> tuple[FurtherTest, ...]:
    """The tests that a suite asks for beside that of its input, in the order of its table."""
    tests = [
        FurtherTest(size_name(size), size_name(size), "eval_sizes", str(list(size)), (size,))
        for size in suite.eval_sizes
    ]
    if suite.multi_scale.scales:
        tests.append(_multi_scale(suite))
    tests += [_blanked(suite, times) for times in suite.keep_background]
    return tuple(tests)


def without_further_tests(suite: Suite) -> Suite:
    """The same suite, whose networks are tested at its own input alone."""
    none = {"eval_sizes": (), "multi_scale": MultiScale(), "keep_background": ()}
    return suite.model_copy(update=none)


def size_name(size: tuple[int, int]) -> str:
    """``<height>x<width>``."""
    return f"{size[0]}x{size[1]}"


def _multi_scale(suite: Suite) -> FurtherTest:
    settings = suite.multi_scale
    inputs = settings.sizes(suite.input.size)
    name = "+".join(map(size_name, inputs)) + ("-flip" if settings.flip else "")
    title = "multi-scale" if len(inputs) > 1 else "with its mirror image"
    scales = ", ".join(f"{scale:g}" for scale in settings.scales)
    mirrored = ", also mirrored" if settings.flip else ""
    return FurtherTest(
        name, title, "multi_scale.scales", f"[{scales}]", inputs, settings.flip,
        remark=f"{title}: inputs of {scales} times the row's input.size{mirrored}; the candidates "
        "of all are suppressed together",
    )  # fmt: skip


def _blanked(suite: Suite, times: float) -> FurtherTest:
    return FurtherTest(
        f"background-{times}", f"background x{times:g}", "keep_background", f"{times:g}",
        (suite.input.size,), keep_background=times,
        remark="background xK: uses the annotations of val, of which only boxes of K times the "
        "objects' area are shown; it tells how much context counts, and is no detection result",
    )  # fmt: skip
