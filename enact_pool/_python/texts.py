"""The texts that results and events show: of values, of types, of exceptions.

Most are made in the worker: a `repr` or a `str` is the user's code, and may do anything.
"""

from __future__ import annotations

import os
from reprlib import Repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import StackSummary, TracebackException
    from types import TracebackType
    from typing import Any

__all__ = [
    "OUR_FOLDER",
    "bare_name",
    "bounded_repr",
    "describe",
    "duration_text",
    "is_machinery",
    "shown",
    "shows_itself",
    "traceback_of",
    "type_name",
    "unshown",
]

_LIMIT = 1000

# What types and exceptions have, whatever their metaclass or their own code makes of it.
_MODULE, _NAME, _QUALIFIED_NAME = (
    vars(type)[name].__get__ for name in ("__module__", "__name__", "__qualname__")
)
_TRACEBACK = vars(BaseException)["__traceback__"].__get__

# The folder of the whole library, with a slash.
OUR_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep


class _BoundedRepr(Repr):
    """A repr of bounded size and cost; of small values, what `repr` gives."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 6
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = 50
        self.maxset = self.maxfrozenset = self.maxdeque = 50
        self.maxstring = self.maxother = self.maxlong = 500

    def repr1(self, x: Any, level: int) -> str:
        # The inherited methods sort what they show. Small collections are
        # shown in their own order, as `repr` does.
        if type(x) is dict and level > 0 and len(x) <= self.maxdict:
            items = (
                f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
                for key, value in x.items()
            )
            return "{" + ", ".join(items) + "}"
        if type(x) is set and level > 0 and 0 < len(x) <= self.maxset:
            return "{" + ", ".join(self.repr1(item, level - 1) for item in x) + "}"
        if isinstance(x, (bytes, bytearray)) and len(x) > self.maxother:
            # A repr of all of it could take four times its memory.
            return f"{bytes(x[: self.maxother])!r}..."
        if isinstance(x, int) and x.bit_length() > 4000:
            # Writing out takes quadratic time, and is refused beyond a limit.
            return f"<{type(x).__name__} of {x.bit_length()} bits>"
        return super().repr1(x, level)


_REPR = _BoundedRepr()


def shown(value: object) -> str:
    """The text of a returned value in events: a `str` itself, else a repr of bounded size."""
    if isinstance(value, str):
        return _plain(value)
    try:
        return bounded_repr(value)
    except BaseException as failure:
        # A value that cannot be shown is a good value all the same.
        return unshown(value, failure)


def bounded_repr(value: object, limit: int = _LIMIT) -> str:
    """A repr of about `limit` characters at most; raises what the value's own `repr` raises."""
    text = _plain(_REPR.repr(value))
    return text if len(text) <= limit else text[:limit] + "..."


def unshown(value: object, failure: BaseException) -> str:
    """What is shown of a value whose `repr` has failed."""
    return f"<{type_name(type(value))} whose repr raises {type_name(type(failure))}>"


def shows_itself(value: object) -> bool:
    """Whether the parent can safely make the text from the value when it has it."""
    kind = type(value)
    # Larger ints take long to write out, or are refused.
    if kind is int:
        return -(1 << 128) < value < 1 << 128  # type: ignore[operator]
    return kind is str or kind is float or kind is bool or value is None


def type_name(kind: type) -> str:
    """The qualified name of a type; of a built-in one without its module."""
    name: str = _QUALIFIED_NAME(kind)
    try:
        module = _MODULE(kind)
    except AttributeError:
        module = None
    # It may have anything for a module, or none.
    module = _plain(module) if issubclass(type(module), str) else "?"
    return name if module == "builtins" else f"{module}.{name}"


def bare_name(kind: type) -> str:
    """The name of a type, without where it is."""
    name: str = _NAME(kind)
    return name


def traceback_of(error: BaseException) -> TracebackType | None:
    """The traceback of an exception, whatever that makes of being asked for attributes."""
    traceback: TracebackType | None = _TRACEBACK(error)
    return traceback


def duration_text(milliseconds: float) -> str:
    """How long something took, in the unit that suits it: "12.3 ms", "1.2 s", "2 min 5 s"."""
    if milliseconds < 999.5:
        return f"{milliseconds:.{2 if milliseconds < 1 else 3}g} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def describe(error: BaseException, what: str = "") -> tuple[str, str, str]:
    """An exception as its text (after `what`), its type's name and its traceback.

    The traceback has none of our frames, and none of what we run coroutines or
    pickle with.
    """
    kind = type_name(type(error))
    try:
        text = _plain(str(error))
    except BaseException as failure:
        text = f"<{kind} whose text raises {type_name(type(failure))}>"
    if what:
        text = f"{what}{kind}: {text}" if text else what + kind
    return text or kind.rpartition(".")[2], kind, _plain("".join(_traceback(error)))


def _traceback(error: BaseException) -> list[str]:
    try:
        import traceback  # takes longer to import than all else in a worker
    except BaseException:
        return []  # a callable has taken all descriptors, or cleared sys.path
    try:
        told = traceback.TracebackException(type(error), error, traceback_of(error), compact=True)
        _keep_users(told)
        return list(told.format())
    except BaseException as failure:
        frames = traceback.extract_tb(traceback_of(error))
        _drop_ours(frames)
        kinds = type_name(type(error)), type_name(type(failure))
        return [*frames.format(), "{}: <{}>\n".format(*kinds)]


def _keep_users(told: TracebackException) -> None:
    """Drop our frames of an exception, of its causes, and of those in its group."""
    parts: list[TracebackException | None] = [told]
    while parts:
        part = parts.pop()
        if part is not None:
            _drop_ours(part.stack)
            parts += [part.__cause__, part.__context__]
            parts += getattr(part, "exceptions", None) or ()


def _drop_ours(frames: StackSummary) -> None:
    kept = []
    behind_ours = False
    for frame in frames:
        if frame.filename.startswith(OUR_FOLDER):
            behind_ours = True
        elif not (behind_ours and is_machinery(frame.filename)):
            # What of it comes later, the user's code has called.
            kept.append(frame)
            behind_ours = False
    frames[:] = kept


def is_machinery(path: str) -> bool:
    """Whether this is a file of what we run coroutines or pickle with."""
    return path.rpartition("/")[0].endswith(("/asyncio", "/cloudpickle"))


def _plain(text: str) -> str:
    # A subclass of str would need its class to be unpickled; join gives a str.
    return text if type(text) is str else "".join(("", text))
