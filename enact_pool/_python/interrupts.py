"""Signals: what their handlers raise while we run the user's code, and how to put it off."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType

from enact_pool._python.texts import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["handlers_deferred", "interrupt_of", "raise_interrupt", "signals_blocked"]


# What all exceptions have, whatever their own code makes of it.
_cause, _context = (vars(BaseException)[name].__get__ for name in ("__cause__", "__context__"))


def interrupt_of(error: BaseException) -> BaseException | None:
    """Return what a signal handler has raised, if that is, or has caused, this exception.

    It is for whoever called us, and ends the run. A handler runs between any two steps of
    what the main thread does, of a pickling callable too. Code of the user's may catch what
    it raises, and raise something else instead. In other threads no handler runs.

    That a handler has raised an exception is only known by the traceback, while that handler
    is installed. So it is not recognised if code of the user's swallows it, or if the handler
    was replaced meanwhile or is written in C (but for the one that raises KeyboardInterrupt).
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    if _is_from_handler(error, handlers):
        return error
    chain: list[BaseException | None] = [_cause(error), _context(error)]
    seen = {id(error)}
    while chain:
        cause = chain.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        if _is_from_handler(cause, handlers) and not _is_being_handled(cause):
            return cause
        chain += [_cause(cause), _context(cause)]
    return None


def raise_interrupt(error: BaseException) -> None:
    """Raise what `interrupt_of` returns, if that is an exception."""
    interrupt = interrupt_of(error)
    if interrupt is not None:
        try:
            raise interrupt
        finally:
            # This frame is in the traceback: a circle would keep all that is in there alive.
            del error, interrupt


def _is_from_handler(error: BaseException, handlers: set[CodeType | None]) -> bool:
    # (To ask an exception for its class may run code of its own.)
    if issubclass(type(error), KeyboardInterrupt):
        return True
    position = traceback_of(error)
    while handlers and position is not None:
        if position.tb_frame.f_code in handlers:
            return True
        position = position.tb_next
    return False


def _is_being_handled(error: BaseException) -> bool:
    """Whether an `except` block that has caught this goes on further out in this thread.

    Then all that is raised meanwhile has it as its context, and it is not news.
    """
    position = traceback_of(error)
    frame: FrameType | None = sys._getframe()
    while position is not None and frame is not None:
        if frame is position.tb_frame:
            return True
        frame = frame.f_back
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
        # Those of them after which system calls go on, as `signal.siginterrupt` may have it.
        # To set a handler ends that.
        self._restarting: set[int] = set()
        self._came: list[int] = []
        self._is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if self._is_over:
            # An interrupt has kept us from putting it back.
            self._put_back(number)
            handler(number, frame)
        else:
            self._came.append(number)

    def begin(self) -> None:
        from enact_pool._system.handler_flags import (
            restarts_calls,  # not for workers: it takes long
        )

        for number in _HANDLED:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                if restarts_calls(number):
                    self._restarting.add(number)
                signal.signal(number, self)
        _Deferral.current = self

    def end(self) -> None:
        # In this order: from the second step on, a handler may raise in here.
        _Deferral.current = None
        self._is_over = True
        for number in self._handlers:
            self._put_back(number)
        self._hand_on()

    def _put_back(self, number: int) -> None:
        signal.signal(number, self._handlers[number])
        if number in self._restarting:
            signal.siginterrupt(number, False)

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
