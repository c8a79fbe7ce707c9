"""Signals: what their handlers raise while we run the user's code, and how to put it off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType

from enact_pool.texts import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["handlers_deferred", "is_interrupt", "signals_blocked"]


def is_interrupt(error: BaseException) -> bool:
    """Whether a signal handler has raised this: it is for whoever called us, and ends the run.

    A handler runs between any two steps of what the main thread does, of a
    pickling callable too; that it was one is only told by the traceback, while
    the handler is installed. In other threads it is never one, whatever is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    # (To ask an exception for its class may run code of its own.)
    if issubclass(type(error), KeyboardInterrupt):
        return True
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    position = traceback_of(error)
    while handlers and position is not None:
        if position.tb_frame.f_code in handlers:
            return True
        position = position.tb_next
    return False


def _code(handler: Any) -> CodeType | None:
    if isinstance(handler, partial):
        handler = handler.func
    if callable(handler) and not isinstance(handler, (FunctionType, MethodType)):
        handler = handler.__call__
    return getattr(getattr(handler, "__func__", handler), "__code__", None)


# Those that programs have handlers for, which may raise.
_HANDLED = (
    signal.SIGALRM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPROF,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGVTALRM,
)


class _Deferral:
    """Takes signals in the place of their handlers, and hands them on when it ends."""

    # The one that is in force, if one is.
    current: _Deferral | None = None

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: list[int] = []
        self._is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if self._is_over:
            # An interrupt has kept us from putting it back.
            signal.signal(number, handler)
            handler(number, frame)
        else:
            self._came.append(number)

    def begin(self) -> None:
        for number in _HANDLED:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self)
        _Deferral.current = self

    def end(self) -> None:
        # In this order: from the second step on, a handler may raise in here.
        _Deferral.current = None
        self._is_over = True
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._hand_on()

    def _hand_on(self) -> None:
        if self._came:
            try:
                signal.raise_signal(self._came.pop(0))
            finally:
                self._hand_on()


@contextmanager
def handlers_deferred() -> Iterator[None]:
    """Within, no signal handler runs; they do when it ends.

    To block signals would not do: another thread would take them, and the
    handlers run in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread() or _Deferral.current:
        yield  # they never run here, or not now
        return
    deferral = _Deferral()
    try:
        deferral.begin()
        yield
    finally:
        deferral.end()


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Within, processes are started with the signals blocked that have handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Runs the handlers of what came just before, which may raise.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
