"""Interrupts: exceptions that signal handlers raise, and how to defer handlers."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType

from enact_pool._python.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["handlers_deferred", "interrupt_of", "raise_interrupt", "signals_blocked"]


# Read these attributes of exceptions, bypassing their classes.
_cause, _context = (vars(BaseException)[name].__get__ for name in ("__cause__", "__context__"))


def interrupt_of(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that is, or has caused, this exception.

    Such an exception is for our caller, and ends the run. A handler runs between any two steps
    of the main thread, also while a callable is pickled. User code may catch the handler's
    exception, and raise another one instead. In other threads no handler runs.

    Only the traceback shows that a handler has raised an exception, while that handler is
    installed. The exception is not recognised if user code swallows it, or if the handler was
    replaced meanwhile or is written in C (except the one that raises KeyboardInterrupt).
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
    """Raise what `interrupt_of` returns, unless it is None."""
    interrupt = interrupt_of(error)
    if interrupt is not None:
        try:
            raise interrupt
        finally:
            # This frame is in the traceback: a circle would keep its contents alive.
            del error, interrupt


def _is_from_handler(error: BaseException, handlers: set[CodeType | None]) -> bool:
    # (Asking an exception for its class may run code of its class.)
    if issubclass(type(error), KeyboardInterrupt):
        return True
    position = traceback_of(error)
    while handlers and position is not None:
        if position.tb_frame.f_code in handlers:
            return True
        position = position.tb_next
    return False


def _is_being_handled(error: BaseException) -> bool:
    """Return whether an outer `except` block of this thread is handling this exception.

    Then it is the context of every exception that is raised meanwhile, and has caused none.
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


# The signals that programs have handlers for, which may raise.
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
    """Receives signals in place of their handlers, and passes them on when it ends."""

    # The deferral that is in force, if there is one.
    current: _Deferral | None = None

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        # The signals after which system calls are restarted: see `signal.siginterrupt`.
        # Setting a handler ends that.
        self._restarting: set[int] = set()
        self._received: list[int] = []
        self._is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if self._is_over:
            # An interrupt has prevented its restoration.
            self._restore(number)
            handler(number, frame)
        else:
            self._received.append(number)

    def begin(self) -> None:
        from enact_pool._system.handler_flags import (
            restarts_calls,  # not for workers: it takes long
        )

        for number in _HANDLED:
            handler = signal.getsignal(number)
            if isinstance(handler, _Deferral):
                # A handler is running that was restored before this one was, or has raised.
                handler = handler._handlers[number]
            if callable(handler):
                self._handlers[number] = handler
                if restarts_calls(number):
                    self._restarting.add(number)
                signal.signal(number, self)
        _Deferral.current = self

    def end(self) -> None:
        # From the first handler that is restored, one may raise in this method.
        _Deferral.current = None
        try:
            self._restore_all(list(self._handlers))
        finally:
            self._is_over = True
            self._pass_on()

    def _restore_all(self, numbers: list[int]) -> None:
        """Restore these handlers, even if one that is restored by then raises meanwhile."""
        try:
            while numbers:
                self._restore(numbers[-1])
                numbers.pop()
        finally:
            if numbers:
                self._restore_all(numbers)

    def _restore(self, number: int) -> None:
        signal.signal(number, self._handlers[number])
        if number in self._restarting:
            signal.siginterrupt(number, False)

    def _pass_on(self) -> None:
        if self._received:
            try:
                signal.raise_signal(self._received.pop(0))
            finally:
                self._pass_on()


@contextmanager
def handlers_deferred() -> Iterator[None]:
    """Defer signal handlers: none runs within, and all that are due run at the end.

    Blocking signals would not suffice: another thread would receive them, and
    the handlers would run in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread() or _Deferral.current:
        yield  # no handler runs in this thread, or the outer deferral goes on
        return
    deferral = _Deferral()
    try:
        deferral.begin()
        yield
    finally:
        deferral.end()


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block the signals that have handlers: processes that are started within inherit that.

    To be used while handlers are deferred: a signal may arrive in another thread, and be handled
    in this one. A handler that raises where `__exit__` or `pthread_sigmask`, which is written in
    Python, begins would leave the signals blocked.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
