"""Calls that any thread submits while a run is in progress, each with a future for its outcome."""

from __future__ import annotations

import pickle
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from typing import Any

import cloudpickle

from enact_pool.callables import name_of
from enact_pool.common import called_with, prepared
from enact_pool.errors import ExecutionError, ExecutionErrorCategory
from enact_pool.results import TOLD, Err, ParallelResult, RemoteError
from enact_pool.supply import Doorbell
from enact_pool.wire import COMMON_CALLS, NAMED, SHAREABLE, Buffers, pickle_functions
from enact_pool.work import Work, Workshop

__all__ = ["CallFuture", "Calls", "PreparedCall", "WorkerCrashError"]

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


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


class PreparedCall:
    """What can be submitted, with no arguments, by who has pickled a call in a way of their own.

    It is rebuilt along with its batch, as functions are: what it imports is not its time.
    """

    def __init__(self, name: str, function: bytes, arguments: bytes) -> None:
        """`arguments` is a pair of the positional ones and those by name."""
        self.__name__ = name
        self._pickles = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return prepared, self._pickles

    def __call__(self) -> Any:
        return prepared(*self._pickles)()


class CallFuture(Future[Any]):
    """The future of a call, which can be cancelled until a worker begins it."""

    def __init__(self, calls: Calls, call: Call) -> None:
        super().__init__()
        self._calls: Calls | None = calls
        self._call: Call | None = call
        # Its number in the run; None: it waits for its turn.
        self._task: int | None = None

    def cancel(self) -> bool:
        """Cancel the call if no worker has begun it; gives whether it is cancelled."""
        calls = self._calls
        return super().cancel() if calls is None else calls.cancel(self)

    def kill(self) -> bool:
        """Cancel the call; or if a worker is at work on it, kill that: a `WorkerCrashError`.

        Gives whether it is done with, or will be in a moment; else it is about to
        begin, and has to be killed again.
        """
        calls = self._calls
        return self.cancel() or self.done() or calls is None or calls.kill(self)

    def running(self) -> bool:
        """Whether a worker is at work on the call."""
        calls = self._calls
        return calls is not None and calls.is_running(self)

    def _withdrawn(self) -> bool:
        """It is cancelled; who waits for it is told at once."""
        if not super().cancel():
            return False
        self._calls = self._call = None
        self.set_running_or_notify_cancel()
        return True


class _RemoteTraceback(Exception):
    """What a worker's exception has as its cause: where it was raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class Calls(Work):
    """Calls in the order they were submitted; their futures are given their outcomes."""

    item_is, common_is = "call", "call"
    wants_exceptions = goes_on = True

    def __init__(self) -> None:
        super().__init__(())
        self._waiting: deque[CallFuture] = deque()
        self._is_closed = self._is_over = False
        # Held while the above are changed: whoever submits to an empty queue has to ring.
        self._gate = threading.Lock()
        self._run: Workshop | None = None
        self._lock = threading.Lock()
        self.lock = self._lock
        self.unlocked = _Unlocked(self._lock)
        self._bell = Doorbell()
        self.doorbell = self._bell.fileno()
        self._is_rung = False
        # Exceptions of those that cannot be pickled, by their numbers.
        self._refusals: dict[int, BaseException] = {}

    # For any thread

    def submit(self, call: Call) -> CallFuture:
        """Take another call. Raises `RuntimeError` if no more are taken."""
        future = CallFuture(self, call)
        with self._gate:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            was_empty = not self._waiting
            self._waiting.append(future)
        if was_empty:
            self._ring()
        return future

    def close(self) -> None:
        """Take no more calls; the run ends when those that there are have been done."""
        self._is_closed = True
        self._ring()

    def cancel(self, future: CallFuture) -> bool:
        """Cancel a call if no worker has begun it; gives whether it is cancelled."""
        with self._lock:
            task = future._task
            if task is None or future.done():
                return future._withdrawn()
            assert self._run is not None
            if not self._run.withdraw(task):
                return False
            del self._items[task]
        # What was taken back along with it has to go somewhere.
        self._ring()
        return future._withdrawn()

    def cancel_all(self) -> None:
        """Cancel all calls that no worker has begun."""
        with self._lock:
            pending = [*self._items.values(), *self._waiting]
        for future in pending:
            future.cancel()

    def kill(self, future: CallFuture) -> bool:
        """Kill the worker that is at work on a call; gives whether one was, or nobody will be."""
        with self._lock:
            task = future._task
            if task is None or task not in self._items:
                return future.done()
            assert self._run is not None
            return self._run.kill(task)

    def is_running(self, future: CallFuture) -> bool:
        """Whether a worker is at work on a call."""
        with self._lock:
            task = future._task
            if task is None or task not in self._items or self._run is None:
                return False
            return self._run.is_running(task)

    def _ring(self) -> None:
        with self._gate:
            if not self._is_over:
                self._bell.ring()
                # In this order: what is rung and not noted would be answered for ever.
                self._is_rung = True

    # For the run

    def begin(self, run: Workshop) -> None:
        self._run = run

    @property
    def exhausted(self) -> bool:
        return self._is_closed and not self._waiting

    @property
    def has_more(self) -> bool:
        return bool(self._waiting)

    def quiet(self) -> None:
        if self._is_rung:
            self._is_rung = False
            self._bell.quiet()

    def pull(self, count: int) -> int:
        before = self._pulled
        with self._gate:
            while self._waiting and self._pulled - before < count:
                future = self._waiting.popleft()
                if not future.cancelled():
                    future._task = self._pulled
                    self._items[self._pulled] = future
                    self._pulled += 1
        return self._pulled - before

    def stop(self) -> None:
        self.close()

    def settle(self, tasks: Iterable[int]) -> list[str]:
        return [self.name(task) for task in tasks]

    def name(self, task: int) -> str:
        function, _, _ = self._items[task]._call
        return function.__name__ if type(function) is types.FunctionType else name_of(function)

    @property
    def kinds(self) -> None:
        return None

    def pickle_common(self, buffers: Buffers) -> tuple[int, bytes]:
        return COMMON_CALLS, b""

    def pickle(self, tasks: list[int]) -> bytes:
        calls = [self._items[task]._call for task in tasks]
        try:
            return pickle_calls(calls)
        except BaseException as error:
            if len(tasks) == 1:
                self._refusals[tasks[0]] = error
            raise

    def tell(self, tasks: Sequence[int], results: list[ParallelResult[Any]]) -> None:
        for task, result in zip(tasks, results, strict=True):
            future = self._items.pop(task)
            future._calls = future._call = None
            output = result._output
            if id(type(output)) not in TOLD:
                future.set_result(output)
            elif isinstance(output, Err):
                error = self._refusals.pop(task, None)
                future.set_exception(error or _exception(output, result.error))
            else:
                future.set_result(output.value)

    def end(self) -> None:
        """There is no run any more. What it has not done, if it was cut short, fails."""
        with self._gate:
            self._is_closed = self._is_over = True
            self._bell.close()
            left = [*self._items.values(), *self._waiting]
            self._items.clear()
            self._waiting.clear()
        for future in left:
            future._calls = future._call = None
            if not future.done():
                future.set_exception(BrokenExecutor("the executor's thread has ended early"))


class _Unlocked:
    """Where a lock that is held is let go of for a while."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self._lock.acquire()


def pickle_calls(calls: list[Call]) -> bytes:
    """A batch of calls: of each the function, and its arguments as they are or a pickle of them.

    Functions are pickled once; but whatever has a state goes with the arguments: what
    calls have in common here must not become common in the worker.
    """
    file = BytesIO()
    pickler = cloudpickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    items: list[tuple[Any, Any]] = []
    for function, args, kwargs in calls:
        if type(function) is PreparedCall:
            items.append((function, (args, kwargs)))
            continue
        if type(function) not in NAMED or _is_bound(function):
            args, kwargs, function = (function, args, kwargs), {}, called_with
        elif SHAREABLE.issuperset(map(type, args)) and SHAREABLE.issuperset(
            map(type, kwargs.values())
        ):
            items.append((function, (args, kwargs)))
            continue
        pickler.dump((args, kwargs))
        pickler.clear_memo()
        items.append((function, file.getvalue()))
        file.seek(0)
        file.truncate()
    functions = [function for function, _ in items if type(function) is not PreparedCall]
    return pickle_functions(items, functions)


def _is_bound(function: Any) -> bool:
    """Whether this is a method of a built-in type's, and so has a state."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, types.ModuleType)


def _exception(err: Err, error: ExecutionError | None) -> BaseException:
    """What the future of a failed call raises."""
    if error is not None:
        if error.category is ExecutionErrorCategory.TIMEOUT:
            return TimeoutError(error.message)
        return WorkerCrashError(error)
    if err._pickled:
        try:
            exception = pickle.loads(err._pickled)
        except Exception:
            exception = None  # it cannot be rebuilt: what it says has to do
        if isinstance(exception, BaseException):
            exception.__cause__ = _RemoteTraceback(err.traceback)
            return exception
    return RemoteError(err)
