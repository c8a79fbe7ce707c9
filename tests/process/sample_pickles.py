"""Callables and values that are hard to pickle, rebuild or hash. Workers import this."""

from __future__ import annotations

import os
import threading
from typing import Any


class Unloadable:
    """Pickles, but raises when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ("will not be rebuilt",)

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


def _refuse(text: str) -> None:
    raise LookupError(text)


class CrashesWhenLoaded(Unloadable):
    """Pickles, but exits the process when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class Unpicklable:
    """Cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class LoadsElsewhere:
    """Raises when it is unpickled in another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse_elsewhere, (os.getpid(),)


def _refuse_elsewhere(pid: int) -> None:
    if os.getpid() != pid:
        raise LookupError("will not be rebuilt elsewhere")


class Unshowable:
    """A value whose `str` and `repr` exit."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class OfUnhashableType(metaclass=_Unhashable):
    """A callable of an unhashable type, which returns a value of an unhashable type."""

    name = "unhashable"

    def run(self, _: object) -> MakesUnhashable:
        return MakesUnhashable()


class MakesUnhashable:
    def __reduce__(self) -> tuple[Any, ...]:
        return make_unhashable, ()


def make_unhashable() -> OfUnhashableType:
    return OfUnhashableType()


def return_unhashable(_: object) -> MakesUnhashable:
    return MakesUnhashable()


class UnpicklableError(Exception):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("no way")


def raise_unpicklable() -> None:
    raise UnpicklableError("it cannot be sent back")
