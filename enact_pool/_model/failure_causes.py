"""The cause of a failure, read from its error and its traceback.

Two failures are at one place if they are of one kind and at one line of the user's code.
"""

from __future__ import annotations

import re
import site
import sysconfig
from typing import Any, Literal

from attrs import frozen

from enact_pool._model.errors import ExecutionError, ExecutionErrorCategory
from enact_pool._model.results import Err, ParallelResult, outcome_of

__all__ = ["Cause", "FailureKind", "cause_of", "first_line", "kind_of"]

FailureKind = Literal["failed", "crashed", "timeout", "quota_exceeded", "cancelled", "not_started"]

# How many characters of a text are shown, and compared.
_SHOWN_CHARS = 200

# Parts of texts that may differ within one group: words with digits (numbers, addresses, ids).
_NUMBER = re.compile(r"(?<![\w.:+-])[\w.:+-]*\d[\w.:+-]*")
# A frame in a traceback, or in a stack that faulthandler wrote.
_FRAME = re.compile(r'^(?:  |  \|   )File "(.+)", line (\d+)(?:, in | in )(.+)$')
_HEADERS = ("Traceback (most recent call last):", "  + Exception Group Traceback (most rec")

_LIBRARIES = tuple(
    f"{folder}/"
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    )
)


def kind_of(result: ParallelResult[Any]) -> FailureKind:
    """Return the outcome of a result that is not ok; for one that crashed, how it crashed."""
    error = result.error
    if error is None:
        return "cancelled" if outcome_of(result) == "cancelled" else "failed"
    if error.category is ExecutionErrorCategory.TIMEOUT:
        return "timeout"
    if error.category is ExecutionErrorCategory.QUOTA_EXCEEDED:
        return "quota_exceeded"
    return "not_started" if error.code == "start_failed" else "crashed"


@frozen
class Cause:
    """Why and where a callable failed.

    Attributes:
        text: The cause in words.
        place: What all failures at one place have in common.
        pattern: The text of the failure, with `#` for each number, address and id.
    """

    text: str
    place: tuple[str, ...]
    pattern: str


def cause_of(output: Err, error: ExecutionError | None) -> Cause:
    """Return the cause of a failure: its `Err`, and the `error` of its result."""
    if error is None:
        user, _ = _origin(_frames_of_traceback(output.traceback))
        if user:
            cause = f"{output.type} at {user}"
        else:
            cause = first_line(output.error)
            if output.type not in cause:
                cause = f"{output.type}: {cause}"
        return Cause(cause, (output.type, user), _NUMBER.sub("#", output.error[:_SHOWN_CHARS]))
    # Leave out the callable: the group has the indexes of its callables.
    message = error.message
    if "index" in error.details and "name" in error.details:
        callable = f"callable {error.details['index']} ({error.details['name']})"
        before, _, after = message.partition(callable)
        message = before.strip() or after.strip()
    cause = first_line(message)
    user, top = _origin(_frames_of_stack(output.traceback))
    if user:
        cause += f", at {user}"
    if top != user:
        cause += f" (in {top})"
    return Cause(cause, (str(error.code), user, top), _NUMBER.sub("#", message[:_SHOWN_CHARS]))


_Frame = tuple[str, str, str]


def _frames_of_traceback(traceback: str) -> list[_Frame]:
    """Return the frames of the exception that ended the callable, not of its causes; last first."""
    lines = traceback.split("\n")
    starts = [at for at, line in enumerate(lines) if line.startswith(_HEADERS)]
    for start in reversed(starts):
        # The text of an exception may contain a traceback, which then follows the exception's own.
        if start == 0 or (not lines[start - 1] and lines[start - 2].endswith("exception:")):
            break
    else:
        return []
    frames = []
    for line in lines[start + 1 :]:
        if not line.startswith("  "):
            break
        if found := _FRAME.match(line):
            frames.append((found[1], found[2], found[3]))
        elif line.startswith("  | ") and not line.startswith("  |  "):
            break
    return frames[::-1]


def _frames_of_stack(stack: str) -> list[_Frame]:
    """Return the frames that faulthandler wrote, last first."""
    found = map(_FRAME.match, stack.split("\n"))
    return [(match[1], match[2], match[3]) for match in found if match is not None]


def _origin(frames: list[_Frame]) -> tuple[str, str]:
    """Return where the failure happened: the last frame of the user's code, and the last frame."""
    spelled = [f"{path}:{line}, in {function}" for path, line, function in frames]
    own = [
        text
        for text, (path, _, _) in zip(spelled, frames, strict=True)
        if not path.startswith(("<frozen ", *_LIBRARIES))
    ]
    top = next(iter(spelled), "")
    return next(iter(own), top), top


def first_line(text: str) -> str:
    """Return the first line of a text, shortened if it is long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _SHOWN_CHARS else line[:_SHOWN_CHARS] + "..."
