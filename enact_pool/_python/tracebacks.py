"""Descriptions of exceptions: their text, type and traceback, without frames of this library."""

from __future__ import annotations

import os

from enact_pool._python.reprs import plain_str, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import StackSummary, TracebackException
    from types import TracebackType

__all__ = ["PACKAGE_FOLDER", "describe", "is_below_callables", "traceback_of"]

# The folder of the whole library, with a slash.
PACKAGE_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep

# Reads this attribute of an exception, bypassing its class.
_TRACEBACK = vars(BaseException)["__traceback__"].__get__


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception, without running code of its class."""
    traceback: TracebackType | None = _TRACEBACK(error)
    return traceback


def describe(error: BaseException, what: str = "") -> tuple[str, str, str]:
    """Return the text of an exception (after `what`), its type's name and its traceback.

    The traceback has no frames of this library, nor of the libraries with which it runs
    coroutines and pickles.
    """
    kind = type_name(type(error))
    try:
        text = plain_str(str(error))
    except BaseException as failure:
        text = f"<{kind} whose text raises {type_name(type(failure))}>"
    if what:
        text = f"{what}{kind}: {text}" if text else what + kind
    return text or kind.rpartition(".")[2], kind, plain_str("".join(_traceback(error)))


def _traceback(error: BaseException) -> list[str]:
    try:
        import traceback  # takes longer to import than all other modules of a worker
    except BaseException:
        return []  # a callable has opened all descriptors, or cleared sys.path
    try:
        parts = traceback.TracebackException(type(error), error, traceback_of(error), compact=True)
        _drop_our_frames(parts)
        return list(parts.format())
    except BaseException as failure:
        frames = traceback.extract_tb(traceback_of(error))
        _drop_ours_of_stack(frames)
        kinds = type_name(type(error)), type_name(type(failure))
        return [*frames.format(), "{}: <{}>\n".format(*kinds)]


def _drop_our_frames(exception: TracebackException) -> None:
    """Drop our frames of an exception, of its causes, and of the exceptions in its group."""
    parts: list[TracebackException | None] = [exception]
    while parts:
        part = parts.pop()
        if part is not None:
            _drop_ours_of_stack(part.stack)
            parts += [part.__cause__, part.__context__]
            parts += getattr(part, "exceptions", None) or ()


def _drop_ours_of_stack(frames: StackSummary) -> None:
    kept = []
    behind_ours = False
    for frame in frames:
        if frame.filename.startswith(PACKAGE_FOLDER):
            behind_ours = True
        elif not (behind_ours and is_below_callables(frame.filename)):
            # asyncio and cloudpickle frames further down were called by user code: keep them.
            kept.append(frame)
            behind_ours = False
    frames[:] = kept


def is_below_callables(path: str) -> bool:
    """Return whether this is a file of asyncio or cloudpickle, with which we run callables."""
    return path.rpartition("/")[0].endswith(("/asyncio", "/cloudpickle"))
