"""The errors that users meet. A message names the file, the key or row, the value and a way out."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from sobench.text import LONGEST, plain, printable, shortened

_LONGEST_REASON = 300

_MOST_COMPARED, _MOST_NAMED = 1000, 50
"""Valid names that are searched for a near miss, and that are listed if there is none."""


class SobenchError(Exception):
    """Base of all errors that are shown to the user as one or two lines, without a traceback."""

    exit_code = 1


class RequestError(SobenchError):
    """A request cannot be met: a wrong option, an unknown name, a missing device."""

    exit_code = 2


class SuiteError(RequestError):
    """A suite file is wrong."""


class DataError(RequestError):
    """A dataset is missing, broken or contradicts itself."""


class RunError(SobenchError):
    """One run could not finish; the other runs of the suite go on."""


class Diverged(RunError):  # noqa: N818
    """The loss of a run is no longer finite."""


class RunLocked(RunError):  # noqa: N818
    """Another process is working on this run."""


class ProcessLost(RunError):  # noqa: N818
    """One of the processes that share a training has ended or cannot be reached."""


class LeaseLost(RunLocked):
    """Another process may have taken this run over, because this one was not heard of for long."""


class CheckpointError(SobenchError):
    """A checkpoint is damaged or does not belong to this run."""


class DiskFull(SobenchError):  # noqa: N818
    """There is no room for a file; nothing that was there before is lost."""


class RecordError(SobenchError):
    """A record is damaged, of another version, or lies in the folder of another run."""


class NothingToCompare(SobenchError):  # noqa: N818
    """There is no result to show or to compare with."""

    exit_code = 4


def reason_of(error: BaseException) -> str:
    """An error in one line: the text of an error of ours, else the kind with its first line.

    Errors of other people's code may have no text, or fail to make one.
    """
    try:
        lines = str(error).strip().splitlines()
    except KeyboardInterrupt:
        raise
    except BaseException:
        lines = []
    if lines and isinstance(error, SobenchError):
        return printable(" ".join(lines))  # a file's name in it may not even be text
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return printable(f"{place}{error.strerror}")
    return plain(": ".join([type(error).__name__, *lines[:1]]), _LONGEST_REASON)


def did_you_mean(name: object, valid_names: Iterable[str]) -> str:
    """`` did you mean 'x'?`` for a near miss, else `` known: a, b, c``; starts with a space."""
    text, candidates = str(name), list(valid_names)
    # Matching takes the product of the lengths, and nobody mistypes a name as long as that.
    comparable = [c for c in candidates[:_MOST_COMPARED] if len(c) <= LONGEST]
    close = get_close_matches(text, comparable, n=1, cutoff=0.6) if len(text) <= LONGEST else []
    if close:
        return f" did you mean {close[0]!r}?"
    names = [plain(c) for c in candidates[:_MOST_NAMED]]
    more = f" and {len(candidates) - _MOST_NAMED} more" if len(candidates) > _MOST_NAMED else ""
    return f" known: {shortened(', '.join(names), 1000)}{more}"
