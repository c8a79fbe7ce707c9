"""The futures of calls: how they are cancelled, and what they raise."""

from __future__ import annotations

import logging
import os
import pickle
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED
from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback
from typing import Any, Protocol

from enact_pool._model.errors import ExecutionError, ExecutionErrorCategory
from enact_pool._model.results import Err, Ok, RemoteError
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._python.process_local import ProcessLocal
from enact_pool._python.public_names import public

__all__ = ["Call", "CallFuture", "WorkerCrashError", "fate_of", "log_untold"]

_set_cause = vars(BaseException)["__cause__"].__set__


class Call(Protocol):
    """What is to be called: see `calls`."""

    @property
    def name(self) -> str: ...


@public
class WorkerCrashError(BrokenProcessPool):
    """The worker that ran a call has died, or was killed for its memory; other calls go on.

    `error` says how. (The pool is not broken; but who is prepared for one that is,
    is prepared for this.)
    """

    def __init__(self, error: ExecutionError) -> None:
        super().__init__(error.message)
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,)


class Owner(Protocol):
    """Who has the calls."""

    pid: int

    def withdraw(self, future: CallFuture) -> bool: ...

    def is_running(self, future: CallFuture) -> bool: ...

    def kill(self, future: CallFuture) -> bool: ...


class CallFuture(ProcessLocal, Future[Any]):
    """The future of a call, which can be cancelled until a worker begins it."""

    _instead = "send its result"

    # Its number in the run; None: it waits for its turn.
    _task: int | None = None
    # Whether nobody will do it, though who waits for it may not have been told yet.
    _is_withdrawn = False

    def __init__(self, owner: Owner | None = None, call: Call | None = None) -> None:
        super().__init__()
        # None when it is done.
        self._owner = owner
        self._call = call

    def cancel(self) -> bool:
        """Cancel the call if no worker has begun it; gives whether it is cancelled.

        Of finalizers that happen to run while the executor is at work in the same
        thread, it can be too much to ask: then it is not cancelled.
        """
        owner = self._owner
        if owner is None or owner.pid != os.getpid():
            return super().cancel()
        # A lock that a handler's exception leaves held would keep all others from their ends.
        with handlers_deferred():
            if not owner.withdraw(self):
                return self.cancelled()
            self._tell_withdrawn()
        return True

    def kill(self) -> bool:
        """Cancel the call; or if a worker is at work on it, kill that: a `WorkerCrashError`.

        Gives whether it is done with, or will be in a moment; else it is about to
        begin, and has to be killed again.
        """
        owner = self._owner
        if self.cancel() or self.done() or owner is None or owner.pid != os.getpid():
            return True
        return owner.kill(self)

    def running(self) -> bool:
        """Whether a worker is at work on the call."""
        owner = self._owner
        if owner is None or owner.pid != os.getpid():
            return super().running()
        return owner.is_running(self)

    def _tell_withdrawn(self) -> None:
        """It is cancelled, and whoever waits for it is told. Can be called again."""
        if self._owner is None:
            # An interrupt may have left its lock held since.
            return
        super().cancel()
        with self._condition:
            if self._state == CANCELLED:
                self.set_running_or_notify_cancel()
        self._owner = self._call = None

    def _end(self, value: Any, error: BaseException | None = None) -> None:
        """It has come to this. What its callbacks raise is logged, and no more."""
        # Not the owner, before it is done: who cancels it meanwhile asks there.
        self._call = None
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except BaseException:
            log_untold()
        self._owner = None

    def __repr__(self) -> str:
        text = super().__repr__()
        return text.replace("state=pending", "state=running") if self.running() else text


def log_untold() -> None:
    """Log what must not end the executor's thread.

    Either a callback has raised what is no `Exception`, or somebody else has given a
    future an outcome.
    """
    logging.getLogger("enact_pool").exception("not all callbacks of a future were called")


def fate_of(
    output: Ok[Any] | Err, error: ExecutionError | None, refusal: BaseException | None
) -> tuple[Any, BaseException | None]:
    """The value of a call that has come to this, and what its future raises instead, if it does.

    `refusal` is what was raised when it was pickled.
    """
    if isinstance(output, Err):
        return None, refusal or _exception(output, error)
    return output.value, None


def _exception(err: Err, error: ExecutionError | None) -> BaseException:
    """What the future of a failed call raises."""
    if error is not None:
        if error.category is ExecutionErrorCategory.TIMEOUT:
            return TimeoutError(error.message)
        return WorkerCrashError(error)
    if err._pickled:
        cause = _RemoteTraceback(
            f'\n"""\n{err.traceback}"""'  # type: ignore[arg-type]  # so they say
        )
        try:
            exception = pickle.loads(err._pickled)
            # By the slot of what is no exception, this raises; and it needs no leave of
            # one that lets nobody set its attributes.
            _set_cause(exception, cause)
        except BaseException:
            return RemoteError(err)  # it cannot be rebuilt: what it says has to do
        return exception  # type: ignore[no-any-return]
    return RemoteError(err)
