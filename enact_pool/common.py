"""What the callables of a run have in common, as its workers know it: an input or a function.

It comes once to each worker, as a pickle. An input is rebuilt for each callable,
so that each has its own copy, and a function once.
"""

from __future__ import annotations

import pickle
from types import FunctionType
from typing import Any

from enact_pool.callables import entry_point
from enact_pool.wire import COMMON_FUNCTION, COMMON_SHARED

__all__ = ["Common", "common_of"]

# Bound here: a callable may clear or patch the module it comes from.
_loads = pickle.loads


class Common:
    """How to get from an item of a batch to what is called, and what it is given.

    All of this runs code of the user's, and may raise anything.
    """

    # What to say before an exception that comes from `called`.
    rebuilding = ""

    def items(self, payload: bytes) -> list[Any]:
        """The items of a batch."""
        return _loads(payload)  # type: ignore[no-any-return]

    def given(self, item: Any) -> Any:
        """What the callable is given: its own copy."""
        raise NotImplementedError

    def called(self, item: Any) -> Any:
        """What to call with it."""
        raise NotImplementedError


class _Input(Common):
    """An input for many callables."""

    def __init__(self, pickled: bytes, shared: bool) -> None:
        self._pickled = pickled
        self._shared = shared
        self._value = _loads(pickled) if shared else None

    def given(self, item: Any) -> Any:
        return self._value if self._shared else _loads(self._pickled)

    def called(self, item: Any) -> Any:
        if type(item) is FunctionType:
            return item
        run = entry_point(item)
        if run is None:
            raise TypeError(f"{item!r} is no callable in the worker")
        return run


class _Function(Common):
    """A function for many inputs."""

    rebuilding = "the function cannot be rebuilt in the worker: "

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled
        self._run: Any = None
        self._plain = True

    def items(self, payload: bytes) -> list[Any]:
        self._plain, items = _loads(payload)
        return items  # type: ignore[no-any-return]

    def given(self, item: Any) -> Any:
        return item if self._plain else _loads(item)

    def called(self, item: Any) -> Any:
        if self._run is None:
            function = _loads(self._pickled)
            self._run = entry_point(function)
            if self._run is None:
                raise TypeError(f"{function!r} is no callable in the worker")
        return self._run


def common_of(flags: int, pickled: bytes) -> Common:
    """What a COMMON frame brings."""
    if flags & COMMON_FUNCTION:
        return _Function(pickled)
    return _Input(pickled, bool(flags & COMMON_SHARED))
