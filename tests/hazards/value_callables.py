"""Callables with harmful exceptions, return values or pickles. Workers import this.

All can be pickled by plain pickle, except those whose harm is that they cannot.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from tests.hazards.fatal_callables import FOR_EVER

# Exceptions


def raise_plainly(_: object) -> None:
    raise ValueError("plain")


class HoldsLock(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class NotRebuildable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class ExitsWhenRebuilt(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (13,)


class BadText(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class OwnBase(BaseException):
    pass


class _NamelessType(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__", "__name__"):
            raise RuntimeError("the name is secret")
        return super().__getattribute__(name)


class Secret(Exception, metaclass=_NamelessType):
    pass


def raise_unpicklable(_: object) -> None:
    raise HoldsLock


def raise_not_rebuildable(_: object) -> None:
    raise NotRebuildable(1, 2)


def raise_that_exits_when_rebuilt(_: object) -> None:
    raise ExitsWhenRebuilt("would exit")


def raise_bad_text(_: object) -> None:
    raise BadText


def raise_no_text(_: object) -> None:
    raise NoText


def raise_50_mb(_: object) -> None:
    raise ValueError("x" * 50_000_000)


def raise_own_base(_: object) -> None:
    raise OwnBase("no Exception")


def raise_system_exit(_: object) -> None:
    sys.exit(3)


def raise_keyboard_interrupt(_: object) -> None:
    raise KeyboardInterrupt


def raise_generator_exit(_: object) -> None:
    raise GeneratorExit("g")


def raise_stop_iteration(_: object) -> None:
    raise StopIteration(4)


def raise_cancelled_error(_: object) -> None:
    import asyncio

    raise asyncio.CancelledError


def raise_memory_error(_: object) -> None:
    bytes(1 << 62)


def raise_secret(_: object) -> None:
    raise Secret("has no name")


def raise_group(_: object) -> None:
    group = vars(builtins)["ExceptionGroup"]  # Python 3.11
    raise group("two of them", [ValueError("the first"), KeyError("the second")])


def raise_with_note_and_cause(_: object) -> None:
    error = ValueError("noted")
    vars(error)["__notes__"] = ["the note"]  # Python 3.11 shows it
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise error from cause


def raise_with_endless_cause(_: object) -> None:
    error = ValueError("caused by itself")
    error.__cause__ = OSError("in between")
    error.__cause__.__cause__ = error
    raise error


def recurse_without_end(x: object) -> object:
    return [recurse_without_end(x)]


# Return values


class RaisesWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (LookupError("will not be rebuilt"),)


class ExitsPolitelyWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (SystemExit("leaves"),)


def _raise(error: BaseException) -> NoReturn:
    raise error


class Unshowable:
    """A value whose `str` and `repr` exit."""

    def __repr__(self) -> str:
        raise SystemExit

    __str__ = __repr__


def return_lock(_: object) -> object:
    return threading.Lock()


def return_value_that_raises_when_rebuilt(_: object) -> object:
    return RaisesWhenRebuilt()


def return_value_that_exits_when_rebuilt(_: object) -> object:
    return ExitsPolitelyWhenRebuilt()


def return_generator(x: int) -> Iterator[int]:
    return (x for _ in range(3))


def return_lambda(x: int) -> Callable[[int], int]:
    return lambda y: x + y


def return_200_mb(_: object) -> bytes:
    return bytes(200_000_000)


def return_open_file(_: object) -> object:
    return open(os.devnull, "rb")


def return_deeply_nested(_: object) -> object:
    nested: list[Any] = []
    for _i in range(100_000):
        nested = [nested]
    return nested


def return_unshowable(_: object) -> object:
    return Unshowable()


# Callables


class Unpicklable:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (LookupError("will not be rebuilt"),)

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class CrashesWhenLoaded(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class HangsWhenLoaded(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (FOR_EVER,)


class PicklesEndlessly(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        nested: list[Any] = []
        for _i in range(100_000):
            nested = [nested]
        return list, (nested,)


class Nameless:
    """A callable whose name cannot be read."""

    @property
    def name(self) -> str:
        raise SystemExit

    __name__ = name

    def run(self, x: int) -> int:
        return x

    __call__ = run


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class Unhashable(metaclass=_Unhashable):
    """A callable of an unhashable type."""

    def __call__(self, x: int) -> int:
        return x
