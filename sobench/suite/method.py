"""The row of a method: its fields, and what they say of a row of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sobench.errors import reason_of
from sobench.suite.foreign import foreign_code
from sobench.suite.sections import Suite
from sobench.text import shortened

BASELINE = "baseline"
"""The role of a run that a method goes on from."""

SwitchValue = str | int | float | bool

Rule = Callable[[Mapping[str, SwitchValue], Suite], str]
"""From a row's switches and the suite as the row runs it to a problem with the way out, such as
``"thin: true has no towers to halve; leave it out"``, or to an empty text if there is none."""

Condition = Callable[[Suite], bool]
"""Whether something holds for the suite as a row runs it."""


@dataclass(frozen=True)
class Switch:
    """One option of a method.

    Attributes:
        default: the value that holds where a suite names none.
        values: all that it may have.
        meaning: its effect in a few words, for ``sobench list methods``.
        needs: values that other switches must have for it to have any effect.
        head: the suite's head, if it has an effect only under that one.
    """

    default: SwitchValue
    values: tuple[SwitchValue, ...]
    meaning: str
    needs: dict[str, SwitchValue] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True)
class When:
    """A deviation that holds only for some rows.

    Attributes:
        text: the deviation.
        switches: values that switches must have.
        head, norm: the suite's head and ``neck.norm``, if only under that one.
        where: what else must hold of the suite; its name is shown, so let it read as a sentence,
            such as ``batches_are_small``.
    """

    text: str
    switches: dict[str, SwitchValue] = field(default_factory=dict)
    head: str = ""
    norm: str = ""
    where: Condition | None = None


@dataclass(frozen=True)
class Need:
    """A finished run that a method starts from or learns from.

    It is a run of ``method`` with its default switches under the row's own suite and seed.

    Attributes:
        role: under which the detector's ``load_required`` gets it.
        method: name of a built-in method that needs no run itself.
        scale: its input is so many times as high and wide as the row's: 1 to 8, or .5.
        switches: values that the row's switches must have for the need to arise.
    """

    role: str
    method: str
    scale: float = 1
    switches: dict[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """The row of a method.

    Attributes:
        title, paper: for ``sobench list methods``.
        heads: the suite's heads that it works under; empty for a detector with a head of its own.
        switches: its options by name.
        deviations: its differences from the suite, printed with its results.
        needs: runs that must be done before.
        version: raised when a change of the method alone changes its results, so that old ones are
            not taken for new; the runs of other methods keep theirs.
        images_2x: values that the row's switches must have for its training to read images at
            twice the size as well, one case after the other; ``sobench plan`` counts them.
        rules: refuse impossible combinations of switches and suite when the suite is read.
        source: the package, with its version, that brings the method; empty for a built-in one.
            Filled in by ``get_method``, as are the next two.
        package: dotted name of the package, whose module ``model`` builds the network.
        broken: why the package or its row cannot be used, and the way out; empty if it can. The
            other fields then say nothing.
    """

    title: str
    paper: str
    heads: tuple[str, ...] = ()
    switches: dict[str, Switch] = field(default_factory=dict)
    deviations: tuple[str | When, ...] = ()
    needs: tuple[Need, ...] = ()
    images_2x: tuple[dict[str, SwitchValue], ...] = ()
    rules: tuple[Rule, ...] = ()
    version: int = 1
    source: str = ""
    package: str = ""
    broken: str = ""

    def deviating(self, switches: Mapping[str, SwitchValue], suite: Suite) -> tuple[str, ...]:
        """The deviations of a row with these switches, under the suite as the row runs it."""
        cases = [When(case) if isinstance(case, str) else case for case in self.deviations]
        texts = [
            case.text
            for case in cases
            if case.head in ("", suite.head)
            and case.norm in ("", suite.neck.norm)
            and case.switches.items() <= switches.items()
            and _holds(case, suite)[0]
        ]
        return tuple(dict.fromkeys(texts))  # two cases may be of one text

    def needed(self, switches: Mapping[str, SwitchValue]) -> tuple[Need, ...]:
        """The runs that must be done before a row with these switches."""
        return tuple(need for need in self.needs if need.switches.items() <= switches.items())

    def reads_2x(self, switches: Mapping[str, SwitchValue]) -> bool:
        """Whether the training of such a row reads images at twice the size as well."""
        return any(case.items() <= switches.items() for case in self.images_2x)

    def baseline(self, switches: Mapping[str, SwitchValue]) -> Need | None:
        """The run that such a row goes on from, if it does: its weights are the row's first."""
        return next((need for need in self.needed(switches) if need.role == BASELINE), None)

    def problem(self, switches: Mapping[str, SwitchValue], suite: Suite) -> str:
        """Why a row with these switches cannot run under a suite, and the way out; else empty."""
        if self.heads and suite.head not in self.heads:
            return f"does not work with head {suite.head!r}; it works with {', '.join(self.heads)}"
        for key, switch in self.switches.items():
            if switch.head not in ("", suite.head) and switches[key] != switch.default:
                return (
                    f"{key} has no effect under head {suite.head!r}, only under {switch.head}; "
                    "leave it out"
                )
        return next((text for rule in self.rules if (text := _ask(rule, switches, suite)[0])), "")

    def defect(self, switches: Mapping[str, SwitchValue], suite: Suite) -> str:
        """What the package itself does wrong for such a row, and the way out; else empty.

        A suite is not to blame for it, so that its other rows can run.
        """
        defects = [text for rule in self.rules if (text := _ask(rule, switches, suite)[1])]
        for case in self.deviations:
            if isinstance(case, When) and (text := _holds(case, suite)[1]):
                defects.append(text)
        return self.broken or next(iter(defects), "")


def _holds(case: When, suite: Suite) -> tuple[bool, str]:
    """Whether a deviation's condition holds, and what the condition does wrong itself.

    With a condition that fails, the deviation is printed rather than kept quiet.
    """
    if case.where is None:
        return True, ""
    name = name_of(case.where)
    try:
        with foreign_code():
            holds = case.where(suite)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever another package does
        return (
            True,
            f"its condition {name} fails ({reason_of(error)}); fix the package or leave the row "
            "out",
        )
    if not isinstance(holds, bool):
        kind = type(holds).__name__
        return True, f"its condition {name} returns a {kind}; let it return True or False"
    return holds, ""


def name_of(function: Callable[..., object]) -> str:
    """What a function is called, as far as one line shows it."""
    return shortened(str(getattr(function, "__name__", type(function).__name__)))


def _ask(rule: Rule, switches: Mapping[str, SwitchValue], suite: Suite) -> tuple[str, str]:
    """The problem that a rule finds, and what it does wrong itself; mostly empty texts."""
    name = name_of(rule)
    try:
        with foreign_code():
            problem = rule(MappingProxyType(dict(switches)), suite)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever another package does
        return (
            "",
            f"its rule {name} fails ({reason_of(error)}); fix the package or leave the row out",
        )
    if not isinstance(problem, str):
        kind = type(problem).__name__
        return "", f"its rule {name} returns a {kind}; let it return a text or leave the row out"
    return shortened(problem, 500), ""
