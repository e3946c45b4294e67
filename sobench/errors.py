"""The errors that users meet. A message names the file, the key or row, the value and a way out."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


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


class CheckpointError(SobenchError):
    """A checkpoint is damaged or does not belong to this run."""


class DiskFull(SobenchError):  # noqa: N818
    """There is no room for a file; nothing that was there before is lost."""


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
        return " ".join(lines)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return ": ".join([type(error).__name__, *lines[:1]])


def did_you_mean(name: str, valid_names: Iterable[str]) -> str:
    """`` did you mean 'x'?`` for a near miss, else `` known: a, b, c``; starts with a space."""
    candidates = list(valid_names)
    close = get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f" did you mean {close[0]!r}?" if close else f" known: {', '.join(candidates)}"
