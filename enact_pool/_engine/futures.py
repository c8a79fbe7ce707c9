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

__all__ = ["Call", "CallFuture", "WorkerCrashError", "fate_of", "log_incomplete"]

_set_cause = vars(BaseException)["__cause__"].__set__


class Call(Protocol):
    """What is to be called: see `calls`."""

    @property
    def name(self) -> str: ...


@public
class WorkerCrashError(BrokenProcessPool):
    """The worker that ran a call has died, or was killed for its memory; other calls go on.

    `error` describes the death. (The pool is not broken; but code that handles a
    broken one handles this, too.)
    """

    def __init__(self, error: ExecutionError) -> None:
        super().__init__(error.message)
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,)


class Owner(Protocol):
    """The queue that holds the calls."""

    pid: int

    def withdraw(self, future: CallFuture) -> bool: ...

    def is_running(self, future: CallFuture) -> bool: ...

    def kill(self, future: CallFuture) -> bool: ...


class CallFuture(ProcessLocal, Future[Any]):
    """The future of a call, which can be cancelled until a worker begins it."""

    _instead = "send its result"

    # Its number in the run; None: it waits for its turn.
    _task: int | None = None
    # Whether it will not run. Waiting threads may not have been notified yet.
    _is_withdrawn = False

    def __init__(self, owner: Owner | None = None, call: Call | None = None) -> None:
        super().__init__()
        # None when it is done.
        self._owner = owner
        self._call = call

    def cancel(self) -> bool:
        """Cancel the call if no worker has begun it; return whether it is cancelled.

        A finalizer that happens to run while the executor is at work in the same thread
        may not be able to: then the call is not cancelled.
        """
        owner = self._owner
        if owner is None or owner.pid != os.getpid():
            return super().cancel()
        # If a handler raised here and left a lock held, no other future could end.
        with handlers_deferred():
            if not owner.withdraw(self):
                return self.cancelled()
            self._notify_withdrawn()
        return True

    def kill(self) -> bool:
        """Cancel the call; or if a worker is at work on it, kill that: a `WorkerCrashError`.

        Returns:
            Whether it has ended, or will in a moment; else it is about to begin, and has to
            be killed again.
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

    def _notify_withdrawn(self) -> None:
        """Cancel the future, and notify the threads that wait for it. Can be called again."""
        if self._owner is None:
            # An interrupt may have left its lock held since.
            return
        super().cancel()
        with self._condition:
            if self._state == CANCELLED:
                self.set_running_or_notify_cancel()
        self._owner = self._call = None

    def _end(self, value: Any, error: BaseException | None = None) -> None:
        """Set the outcome. What its callbacks raise is only logged."""
        # The owner only afterwards: `cancel` asks it meanwhile.
        self._call = None
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except BaseException:
            log_incomplete()
        self._owner = None

    def __repr__(self) -> str:
        text = super().__repr__()
        return text.replace("state=pending", "state=running") if self.running() else text


def log_incomplete() -> None:
    """Log an exception that must not end the executor's thread.

    Either a callback has raised a `BaseException`, or other code has set the outcome of a
    future.
    """
    logging.getLogger("enact_pool").exception("a future was not completed as usual")


def fate_of(
    output: Ok[Any] | Err, error: ExecutionError | None, refusal: BaseException | None
) -> tuple[Any, BaseException | None]:
    """Return the value of a call, and the exception that its future raises instead, or None.

    Args:
        output: The outcome of the call.
        error: Why it failed outside its callable, if it did.
        refusal: What was raised when it was pickled.
    """
    if isinstance(output, Err):
        return None, refusal or _exception(output, error)
    return output.value, None


def _exception(err: Err, error: ExecutionError | None) -> BaseException:
    """Return what the future of a failed call raises."""
    if error is not None:
        if error.category is ExecutionErrorCategory.TIMEOUT:
            return TimeoutError(error.message)
        return WorkerCrashError(error)
    if err._pickled:
        cause = _RemoteTraceback(
            f'\n"""\n{err.traceback}"""'  # type: ignore[arg-type]  # wrong in typeshed
        )
        try:
            exception = pickle.loads(err._pickled)
            # The slot raises for what is no exception, and ignores a `__setattr__` that
            # refuses.
            _set_cause(exception, cause)
        except BaseException:
            return RemoteError(err)  # it cannot be rebuilt: its text has to do
        return exception  # type: ignore[no-any-return]
    return RemoteError(err)
