"""Signals: what their handlers raise while we run the user's code, and how to have none."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["is_interrupt", "signals_blocked"]


def is_interrupt(error: BaseException) -> bool:
    """Whether a signal handler has raised this: it is for whoever called us, and ends the run.

    A handler runs between any two steps of what the main thread does, of a
    pickling callable too; that it was one is only told by the traceback, while
    the handler is installed.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    position = error.__traceback__
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


# Those that programs have handlers for, which may raise. To block all would take
# ten times as long.
_HANDLED = {
    signal.SIGALRM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPROF,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGVTALRM,
}


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Within, no signal handler of this thread runs, nor in what is started here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Runs the handlers of what came just before, which may raise.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
