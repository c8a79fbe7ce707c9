"""A batch: tasks that joblib dispatches together, and counts as one. Each is a call of its own.

So a worker that dies costs the task that it ran. joblib knows no outcomes of
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
from enact_pool._engine.futures import CallFuture, WorkerCrashError
from enact_pool._engine.submissions import PreparedCall
from enact_pool.joblib.loans import Loans
from enact_pool.joblib.naming import function_name, is_fit, task_name
from enact_pool.joblib.tasks import failed_fit

__all__ = ["Batch", "Task"]

Task = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

# How the core names a task.
_CORE_NAME = re.compile(r"callable \d+ \(.*?\)")


class Batch:
    """Some tasks, the first of which has the number `first` in its `Parallel` call.

    `when_over` is called once, in any thread: when all tasks have values, or when
    there is an `error`.

    What stands in the place of the value of a task whose worker has died, or that
    has broken a limit: of a fit, what scikit-learn makes of one that fails; else
    what `on_crash` makes of the error.
    """

    def __init__(
        self,
        executor: PoolExecutor,
        loans: Loans,
        tasks: Sequence[Task],
        first: int,
        on_crash: Callable[[Exception], Any] | None,
        when_over: Callable[[Batch], None],
    ) -> None:
        self.values: list[Any] = [None] * len(tasks)
        self.error: BaseException | None = None
        self._executor = executor
        # Its loans have to be there till all tasks have their outcomes.
        self._pickler = loans.pickler()
        self._tasks = tasks
        self._first = first
        self._on_crash = on_crash
        # None when it is over: it leads to the call, which has this.
        self._when_over: Callable[[Batch], None] | None = when_over
        self._left = len(tasks)
        # Held while the above are changed: tasks end in the executor's thread, or in ours.
        self._lock = threading.Lock()
        # What is submitted last for each task, till it is done: it leads to this.
        self._futures: dict[int, CallFuture] = {}
        # The errors of the fits that stand-ins were submitted for.
        self._failed_fits: dict[int, Exception] = {}

    def start(self) -> None:
        """Submit the tasks."""
        # What they have in common, as a rule.
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
            if self._when_over is None:
                return

    def take_values(self) -> list[Any]:
        """The values of a batch that is over, which are kept no longer; raises its error."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        values, self.values = self.values, []
        return values

    def abandon(self) -> list[CallFuture]:
        """Nobody wants its outcome any more; gives what is to be killed."""
        self._claim_end()
        return list(self._futures.values())

    def _prepared(self, function: Any, pickled: bytes, arguments: bytes) -> PreparedCall:
        name = function_name(function)
        return PreparedCall(name, pickled, arguments, self._pickler.needs)

    def _submit(self, index: int, call: PreparedCall) -> None:
        future: Any = self._executor.submit(call)
        self._futures[index] = future
        future.add_done_callback(partial(self._take, index))

    def _take(self, index: int, future: Future[Any]) -> None:
        """A task, or what stands in for it, has come to its outcome."""
        del self._futures[index]
        if self._when_over is None or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._settle(index, future.result())
        # What a worker has raised has its traceback as the cause.
        elif isinstance(error, (WorkerCrashError, TimeoutError)) and error.__cause__ is None:
            try:
                self._take_crash(index, error)
            except BaseException as other:
                # In the executor's thread, where nobody else would raise it.
                self._end(other)
        else:
            self._end(error)

    def _take_crash(self, index: int, error: WorkerCrashError | TimeoutError) -> None:
        """Raises the error if nothing stands in for the task."""
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
        when_over = self._claim_end()
        if when_over is not None:
            # Who has this still, for a moment, keeps neither arguments nor loans.
            del self._tasks, self._pickler
            when_over(self)

    def _end(self, error: BaseException) -> None:
        """It comes to an error; what its other tasks do is of no interest."""
        when_over = self._claim_end()
        if when_over is not None:
            # joblib raises it without, and its frames lead to this.
            self.error = error.with_traceback(None)
            when_over(self)

    def _claim_end(self) -> Callable[[Batch], None] | None:
        """It is over; gives whom to tell, if it was not over before."""
        with self._lock:
            when_over, self._when_over = self._when_over, None
        return when_over


def _named(error: WorkerCrashError | TimeoutError, number: int, name: str) -> Exception:
    """The error, with the task's own name in the place of the core's."""
    message = _CORE_NAME.sub(lambda _: f"task {number}: {name}", str(error))
    if not isinstance(error, WorkerCrashError):
        return TimeoutError(message)
    details = {**error.error.details, "index": number, "name": name}
    return WorkerCrashError(evolve(error.error, message=message, details=details))
