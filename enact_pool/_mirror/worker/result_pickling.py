"""How a worker pickles what a callable returned or raised.

A definition that came from the caller is pickled as its key, so that the caller receives its own
object. What the worker has made is pickled by value, and copied in the caller.
"""

from __future__ import annotations

import pickle
import sys
from enum import Enum
from io import BytesIO
from types import FunctionType

from enact_pool._mirror.registry import Mirror, registry, resolve
from enact_pool._wire.frames import LARGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Returns the key of a definition that came from the caller; None for other objects.
    KeyOf = Callable[[Any], str | None]

__all__ = ["pickle_output"]

_dumps = pickle.dumps
_PROTOCOL = pickle.HIGHEST_PROTOCOL


class _OutOfBand:
    """Bytes that are pickled out of band, which saves one copy."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (pickle.PickleBuffer(self._value),)


def pickle_output(
    value: object,
    text: str | None,
    buffers: list[pickle.PickleBuffer] | None,
    key_of: KeyOf | None,
) -> bytes:
    """Return a pickle of a value, in a pair with its text for events if there is one.

    `key_of` is None if nothing came from the caller.

    Plain pickle is several times faster than the by-value pickler, and raises an exception where
    the by-value pickler is needed.
    """
    if type(value) is bytes and buffers is not None and len(value) >= LARGE_BYTES:
        value = _OutOfBand(value)
    if text is not None:
        value = value, text
    add = None if buffers is None else buffers.append
    try:
        if key_of is None:
            return _dumps(value, _PROTOCOL, buffer_callback=add)
        file = BytesIO()
        _NamingPickler(file, add, key_of).dump(value)
        return file.getvalue()
    except Exception:
        if buffers:
            buffers.clear()
    return _by_value(value, add, key_of or _no_key)


class _Unknown(Exception):
    """An object of a mirror that did not come from the caller, and needs the by-value pickler."""


class _NamingPickler(pickle.Pickler):
    """Plain pickle, except that definitions of the caller are pickled as their keys."""

    def __init__(self, file: BytesIO, buffer_callback: Any, key_of: KeyOf) -> None:
        super().__init__(file, _PROTOCOL, buffer_callback=buffer_callback)
        self._key_of = key_of

    def reducer_override(self, obj: Any) -> Any:
        key = self._key_of(obj)
        if key is not None:
            return resolve, (key,)
        kind = type(obj)
        if kind is FunctionType or issubclass(kind, type):
            # Plain pickle finds it by its name, unless its module is one of the caller's.
            if issubclass(type(_owner(obj)), Mirror) or "<locals>" in obj.__qualname__:
                raise _Unknown
        elif issubclass(kind, Enum) and self._key_of(kind) is not None:
            name = obj._name_
            if kind.__dict__["_member_map_"].get(name) is not obj:
                raise _Unknown
            from enact_pool._mirror.rebuild.enums import enum_member  # few workers need it

            return enum_member, (kind, name)
        elif id(obj) in registry.keys:
            raise _Unknown
        elif _reduces_itself(kind) and self._key_of(kind) is not None:
            raise _Unknown  # its `__reduce__` may return the name of a global
        return NotImplemented


def _reduces_itself(kind: Any) -> bool:
    return kind.__reduce__ is not object.__reduce__


def _owner(obj: Any) -> Any:
    return sys.modules.get(obj.__module__)


def _no_key(value: Any) -> None:
    return None


def _by_value(value: object, add: Any, key_of: KeyOf) -> bytes:
    # Here, since importing cloudpickle takes long.
    from enact_pool._mirror.caller.worker_pickler import WorkerPickler

    file = BytesIO()
    WorkerPickler(file, add, key_of).dump(value)
    return file.getvalue()
