"""The texts that results and events show: of values, of types, of exceptions.

Made in the worker: a `repr` or a `str` is the user's code, and may do anything.
"""

from __future__ import annotations

from reprlib import Repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

__all__ = ["describe", "shown", "shows_itself", "type_name"]

_LIMIT = 1000

# The folder of this package.
_OURS = __file__.rpartition("texts")[0]


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
        text = _plain(_REPR.repr(value))
    except BaseException as failure:
        # A value that cannot be shown is a good value all the same.
        return f"<{type_name(type(value))} whose repr raises {type_name(type(failure))}>"
    return text if len(text) <= _LIMIT else text[:_LIMIT] + "..."


def shows_itself(value: object) -> bool:
    """Whether the parent can safely make the text from the value when it has it."""
    kind = type(value)
    # Larger ints take long to write out, or are refused.
    if kind is int:
        return -(1 << 128) < value < 1 << 128  # type: ignore[operator]
    return kind is str or kind is float or kind is bool or value is None


def type_name(kind: type) -> str:
    """The qualified name of a type; of a built-in one without its module."""
    # A metaclass may refuse to tell.
    module, name = (type.__getattribute__(kind, at) for at in ("__module__", "__qualname__"))
    return f"{name}" if module == "builtins" else f"{module}.{name}"


def describe(error: BaseException, what: str = "") -> tuple[str, str, str]:
    """An exception as its text (after `what`), its type's name and its traceback.

    The traceback starts behind our own frames.
    """
    kind = type_name(type(error))
    try:
        text = _plain(str(error))
    except BaseException as failure:
        text = f"<{kind} whose text raises {type_name(type(failure))}>"
    if what:
        text = f"{what}{kind}: {text}" if text else what + kind
    position = error.__traceback__
    while position is not None and position.tb_frame.f_code.co_filename.startswith(_OURS):
        position = position.tb_next
    return text or kind.rpartition(".")[2], kind, _plain("".join(_traceback(error, position)))


def _traceback(error: BaseException, position: TracebackType | None) -> list[str]:
    try:
        import traceback  # takes longer to import than all else in a worker
    except BaseException:
        return []  # a callable has taken all descriptors, or cleared sys.path
    try:
        return traceback.format_exception(type(error), error, position)
    except BaseException as failure:
        kinds = type_name(type(error)), type_name(type(failure))
        return [*traceback.format_tb(position), "{}: <{}>\n".format(*kinds)]


def _plain(text: str) -> str:
    # A subclass of str would need its class to be unpickled; join gives a str.
    return text if type(text) is str else "".join(("", text))
