"""A batch: tasks that joblib dispatches together, and counts as one. Each is a call of its own.

So a worker that dies costs only the task that it ran. joblib does not know outcomes of
single tasks: a batch has the values of all its tasks, or the error of one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from attrs import evolve

from enact_pool._api.executor import PoolExecutor
from enact_pool._engine.calls import PreparedCall
from enact_pool._engine.futures import CallFuture, WorkerCrashError
from enact_pool.joblib.shared_arrays import SharedArrays
from enact_pool.joblib.task_names import function_name, is_fit, task_name
from enact_pool.joblib.worker_side import failed_fit

__all__ = ["Batch", "Task"]

Task = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

# How error messages of the engine name a task.
_CORE_NAME = re.compile(r"callable \d+ \(.*?\)")


class Batch:
    """Some tasks, the first of which has the number `first` in its `Parallel` call.

    `when_finished` is called once, in any thread: when all tasks have values, or when
    there is an `error`.

    A task whose worker has died, or that has exceeded a limit, has a substitute value: for a
    fit, what scikit-learn returns for a fit that fails; otherwise what `on_crash` returns.
    """

    def __init__(
        self,
        executor: PoolExecutor,
        shared: SharedArrays,
        tasks: Sequence[Task],
        first: int,
        on_crash: Callable[[Exception], Any] | None,
        when_finished: Callable[[Batch], None],
    ) -> None:
        self.values: list[Any] = [None] * len(tasks)
        self.error: BaseException | None = None
        self._executor = executor
        # Keeps the shared arrays until all tasks have their outcomes.
        self._pickler = shared.pickler()
        self._tasks = tasks
        self._first = first
        self._on_crash = on_crash
        # None when the batch is finished: it refers to the call, which refers to this.
        self._when_finished: Callable[[Batch], None] | None = when_finished
        self._left = len(tasks)
        # Held while the above are changed: tasks finish in the executor's thread, or in ours.
        self._lock = threading.Lock()
        # The last call submitted for each task, until it is done: it refers to this.
        self._futures: dict[int, CallFuture] = {}
        # The errors of fits for which `failed_fit` was submitted.
        self._failed_fits: dict[int, Exception] = {}

    def start(self) -> None:
        """Submit the tasks."""
        # The last function and its pickle: most batches have one function.
        known: tuple[Any, bytes] = None, b""
        pickler = self._pickler
        for index, (function, args, kwargs) in enumerate(self._tasks):
            try:
                if known[0] is not function:
                    known = function, pickler.pickled(function)
                arguments = pickler.pickled_arguments(args, kwargs)
                self._submit(index, self._prepared(function, known[1], arguments))
            except Exception as error:
                self._end(error)
            if self._when_finished is None:
                return

    def take_values(self) -> list[Any]:
        """Return the values of a finished batch, which no longer keeps them, or raise its error."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        values, self.values = self.values, []
        return values

    def abandon(self) -> list[CallFuture]:
        """Ignore all further outcomes; return the futures to kill."""
        self._claim_end()
        return list(self._futures.values())

    def _prepared(self, function: Any, pickled: bytes, arguments: bytes) -> PreparedCall:
        name = function_name(function)
        return PreparedCall(name, pickled, arguments, self._pickler.needs)

    def _submit(self, index: int, call: PreparedCall) -> None:
        future: Any = self._executor.submit(call)
        self._futures[index] = future
        future.add_done_callback(partial(self._receive, index))

    def _receive(self, index: int, future: Future[Any]) -> None:
        """Receive the outcome of a task, or of its substitute."""
        del self._futures[index]
        if self._when_finished is None or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._settle(index, future.result())
        # An error that the task itself has raised has the worker's traceback as its cause.
        elif isinstance(error, (WorkerCrashError, TimeoutError)) and error.__cause__ is None:
            try:
                self._receive_crash(index, error)
            except BaseException as other:
                # This is the executor's thread, in which the error would be lost.
                self._end(other)
        else:
            self._end(error)

    def _receive_crash(self, index: int, error: WorkerCrashError | TimeoutError) -> None:
        """Settle the task with its substitute value, or raise the error if it has none."""
        if index in self._failed_fits:
            raise self._failed_fits[index]
        function, args, kwargs = self._tasks[index]
        named = _named(error, self._first + index, task_name(function, args, kwargs))
        if is_fit(function):
            self._failed_fits[index] = named
            failing = self._pickler.pickled(partial(failed_fit, named, function))
            arguments = self._pickler.pickled_arguments(args, kwargs)
            self._submit(index, self._prepared(function, failing, arguments))
        elif self._on_crash is not None:
            self._settle(index, self._on_crash(named))
        else:
            raise named

    def _settle(self, index: int, value: Any) -> None:
        with self._lock:
            self.values[index] = value
            self._left -= 1
            if self._left:
                return
        when_finished = self._claim_end()
        if when_finished is not None:
            # This may live on for a moment: it keeps neither arguments nor shared arrays.
            del self._tasks, self._pickler
            when_finished(self)

    def _end(self, error: BaseException) -> None:
        """Finish with an error; the outcomes of the other tasks are ignored."""
        when_finished = self._claim_end()
        if when_finished is not None:
            # joblib raises it without its traceback, whose frames refer to this.
            self.error = error.with_traceback(None)
            when_finished(self)

    def _claim_end(self) -> Callable[[Batch], None] | None:
        """Mark the batch as finished; return the callback, or None if it was finished before."""
        with self._lock:
            when_finished, self._when_finished = self._when_finished, None
        return when_finished


def _named(error: WorkerCrashError | TimeoutError, number: int, name: str) -> Exception:
    """Return the error with the task's own name instead of the engine's."""
    message = _CORE_NAME.sub(lambda _: f"task {number}: {name}", str(error))
    if not isinstance(error, WorkerCrashError):
        return TimeoutError(message)
    details = {**error.error.details, "index": number, "name": name}
    return WorkerCrashError(evolve(error.error, message=message, details=details))
