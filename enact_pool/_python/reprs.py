"""Bounded texts of values and types, which results and events show.

Most are made in the worker: a `repr` is the user's code, and may do anything.
"""

from __future__ import annotations

from reprlib import Repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "bare_name",
    "bounded_repr",
    "display_text",
    "failed_repr_text",
    "has_plain_repr",
    "plain_str",
    "type_name",
]

_LIMIT = 1000

# Read these attributes of types, bypassing metaclasses.
_MODULE, _NAME, _QUALIFIED_NAME = (
    vars(type)[name].__get__ for name in ("__module__", "__name__", "__qualname__")
)


class _BoundedRepr(Repr):
    """A repr of bounded size and cost; small values have the same text as in `repr`."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 6
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = 50
        self.maxset = self.maxfrozenset = self.maxdeque = 50
        self.maxstring = self.maxother = self.maxlong = 500

    def repr1(self, x: Any, level: int) -> str:
        # The inherited methods sort the items. Show those of small collections in
        # their own order, as `repr` does.
        if type(x) is dict and level > 0 and len(x) <= self.maxdict:
            items = (
                f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
                for key, value in x.items()
            )
            return "{" + ", ".join(items) + "}"
        if type(x) is set and level > 0 and 0 < len(x) <= self.maxset:
            return "{" + ", ".join(self.repr1(item, level - 1) for item in x) + "}"
        if isinstance(x, (bytes, bytearray)) and len(x) > self.maxother:
            # A repr of all bytes could take four times their memory.
            return f"{bytes(x[: self.maxother])!r}..."
        if isinstance(x, int) and x.bit_length() > 4000:
            # Conversion takes quadratic time, and Python refuses it beyond a limit.
            return f"<{type(x).__name__} of {x.bit_length()} bits>"
        return super().repr1(x, level)


_REPR = _BoundedRepr()


def display_text(value: object) -> str:
    """Return the text of a value in events: a `str` itself, else a repr of bounded size."""
    if isinstance(value, str):
        return plain_str(value)
    try:
        return bounded_repr(value)
    except BaseException as failure:
        # A value whose repr raises is a valid value.
        return failed_repr_text(value, failure)


def bounded_repr(value: object, limit: int = _LIMIT) -> str:
    """Return a repr of about `limit` characters at most. Raises what the `repr` raises."""
    text = plain_str(_REPR.repr(value))
    return text if len(text) <= limit else text[:limit] + "..."


def failed_repr_text(value: object, failure: BaseException) -> str:
    """Return the text that replaces a `repr` that has raised."""
    return f"<{type_name(type(value))} whose repr raises {type_name(type(failure))}>"


def has_plain_repr(value: object) -> bool:
    """Return whether the parent can safely make the text from the value itself."""
    kind = type(value)
    # Converting larger ints takes long, or is refused.
    if kind is int:
        return -(1 << 128) < value < 1 << 128  # type: ignore[operator]
    return kind is str or kind is float or kind is bool or value is None


def type_name(kind: type) -> str:
    """Return the qualified name of a type; that of a built-in type has no module."""
    name: str = _QUALIFIED_NAME(kind)
    try:
        module = _MODULE(kind)
    except AttributeError:
        module = None
    # Its `__module__` may be any object, or missing.
    module = plain_str(module) if issubclass(type(module), str) else "?"
    return name if module == "builtins" else f"{module}.{name}"


def bare_name(kind: type) -> str:
    """Return the name of a type, without its module and qualifiers."""
    name: str = _NAME(kind)
    return name


def plain_str(text: str) -> str:
    """Return a text as a `str`: unpickling an instance of a subclass would need its class."""
    return text if type(text) is str else "".join(("", text))
