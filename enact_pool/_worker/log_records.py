"""Pickles of log records and warnings: of plain values, and of bounded size."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable

from enact_pool._ipc.side_channel import MOST_BYTES, NUMBERS
from enact_pool._python.reprs import display_text
from enact_pool._wire.frames import SHAREABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["pickle_record", "pickle_warning"]

# How many characters of each end of the texts of a long record are sent, in this order of tries.
_ENDS = 7000, 1900, 600
_TEXTS = "msg", "exc_text", "stack_info"
# The other attributes that every record has, and that are usually short.
_NAMES = frozenset(vars(logging.makeLogRecord({}))) - {"args", "exc_info", *_TEXTS, *NUMBERS}
# How many characters of each end of names, and of added attributes, are sent of a long record.
_NAME_ENDS = 150
_ADDED_ENDS = 50
_MOST_ADDED = 20
# How deep containers may be that are sent as containers, and how many items they may have.
_MOST_LEVELS = 6
_MOST_ITEMS = 1000

# How many base classes of a warning are sent, and the highest line number.
_MOST_KINDS = 10
_MOST_LINES = (1 << 31) - 1

_formatter = logging.Formatter()


def pickle_record(record: logging.LogRecord) -> bytes:
    """Return a record as plain values; shorten a long one until a message has room for it."""
    # Not the arguments and the exception themselves, which may be any objects.
    texts: dict[str, Any] = {"msg": record.getMessage(), "exc_text": record.exc_text}
    if record.exc_info and not record.exc_text:
        texts["exc_text"] = _formatter.formatException(record.exc_info)
    texts["stack_info"] = record.stack_info
    texts = {name: text and _plain_text(text) for name, text in texts.items()}
    usual: dict[str, Any] = {}
    added: dict[str, Any] = {}
    plain_values = _PlainValues()
    for name, value in list(vars(record).items()):
        if name in NUMBERS:
            number = _plain_number(value)
            if number is not None:
                usual[name] = number
        elif name in _NAMES:
            usual[name] = None if value is None else _plain_text(value)
        elif name not in ("args", "exc_info", *_TEXTS):
            added[_plain_text(name)] = plain_values.of(value)
    pickled = pickle.dumps({**added, **usual, **texts})
    for ends in _ENDS:
        if len(pickled) <= MOST_BYTES:
            break
        short = {
            _cut(name, _ADDED_ENDS): _cut(display_text(value), _ADDED_ENDS)
            for name, value in list(added.items())[:_MOST_ADDED]
        }
        for name in _NAMES & usual.keys():
            short[name] = usual[name] and _cut(usual[name], _NAME_ENDS)
        for name in NUMBERS & usual.keys():
            short[name] = usual[name]
        for name, text in texts.items():
            short[name] = text and _cut(text, ends)
        pickled = pickle.dumps(short)
    return pickled


def pickle_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int
) -> bytes:
    """Return a warning as its text, the names of its classes, its file and its line."""
    # The parent may not know the category, but a class from which it is derived.
    kinds = [
        tuple(_cut(_plain_text(name), _NAME_ENDS) for name in (kind.__module__, kind.__qualname__))
        for kind in category.__mro__
        if issubclass(kind, Warning)
    ]
    content = (
        _cut(_plain_text(str(message)), _ENDS[1]),
        # The last one is `Warning`, which every parent knows.
        [*kinds[: _MOST_KINDS - 1], kinds[-1]],
        _cut(_plain_text(filename), _NAME_ENDS),
        min(max(0, int(_plain_number(lineno) or 0)), _MOST_LINES),
    )
    return pickle.dumps(content)


def _plain_text(value: object) -> str:
    """Return a text as a plain `str`; a repr of a value that is not a text."""
    return str.__str__(value) if issubclass(type(value), str) else display_text(value)


def _plain_number(value: object) -> int | float | None:
    """Return a number as a plain one, if it is in the usual range; else None."""
    plain = _PlainValues().of(value)
    is_usual = isinstance(plain, (int, float)) and -(1 << 63) <= plain < 1 << 63
    return plain if is_usual else None  # type: ignore[return-value]


class _PlainValues:
    """Makes plain values, which any process can rebuild, from the values of one record."""

    def __init__(self) -> None:
        self._items_left = _MOST_ITEMS

    def of(self, value: Any, level: int = 0) -> object:
        """Return the value without what subclasses add, also in containers; or a repr."""
        kind = type(value)
        if kind in SHAREABLE:
            return value
        # Unpickling instances of subclasses, usually enums, would need their modules.
        for base, plain in _PLAIN_OF.items():
            if issubclass(kind, base):
                return plain(value)
        if kind in (list, tuple, set, frozenset, dict):
            self._items_left -= len(value)
            if level < _MOST_LEVELS and self._items_left >= 0:
                if kind is dict:
                    items = list(value.items())
                    return {self.of(k, level + 1): self.of(v, level + 1) for k, v in items}
                return kind([self.of(item, level + 1) for item in list(value)])
            # Its repr may be far too large.
            return f"<{kind.__name__} of {len(value)} items>"
        return display_text(value)


_PLAIN_OF: dict[type, Callable[[Any], object]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def _cut(text: str, ends: int) -> str:
    left_out = len(text) - 2 * ends
    if left_out <= 0:
        return text
    return f"{text[:ends]}\n[{left_out} characters are left out here]\n{text[-ends:]}"
