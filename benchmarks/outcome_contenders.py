"""Askers: how each library is asked to run callables of which one may do harm.

In its best documented way to be told the outcome of each by itself, and to limit
the time that each may take. All else is as in `contenders`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from benchmarks.contenders import (
    Contender,
    EnactPool,
    Failure,
    Joblib,
    Loky,
    Mpire,
    MultiprocessingPool,
    Pebble,
    StandardExecutor,
)

__all__ = ["ASKERS", "Asker"]

Functions = Sequence[Callable[[Any], Any]]


class Asker(Contender):
    """A contender that is asked for outcomes.

    `limits` says how it is told how much time a callable may take.
    """

    limits: ClassVar[str]
    limits_memory: ClassVar[bool] = False

    @abstractmethod
    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        """What each of the functions comes to: its value, or the exception that tells of it.

        Raises what the library raises for all of them. `timeout` is in seconds,
        `max_memory` in bytes.
        """


class _AskMultiprocessing(Asker, MultiprocessingPool):
    way = "apply_async for each"
    limits = "get(timeout=)"

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.apply_async, args=(given,))
        results = [_told(submit, function) for function in functions]
        return [_waited_for(result, "get", timeout) for result in results]


class _AskExecutor(Asker):
    limits = "result(timeout=)"
    _executor: Any

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        futures = [_told(self._executor.submit, function, given) for function in functions]
        return [_waited_for(future, "result", timeout) for future in futures]


class _AskStandardExecutor(_AskExecutor, StandardExecutor):
    way = "concurrent.futures.ProcessPoolExecutor.submit for each"


class _AskLoky(_AskExecutor, Loky):
    way = "get_reusable_executor().submit for each, shutdown(kill_workers=True)"

    def close(self) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)


class _AskJoblib(Asker, Joblib):
    way = "Parallel of the loky backend"
    limits = "Parallel(timeout=)"

    def open(self) -> None:
        return

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=self.workers, backend="loky", timeout=timeout)
        return list(parallel(delayed(function)(given) for function in functions))

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)


class _AskMpire(Asker, Mpire):
    way = "WorkerPool(keep_alive=True).apply_async for each"
    limits = "apply_async(task_timeout=)"

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.apply_async, args=(given,), task_timeout=timeout)
        results = [_told(submit, function) for function in functions]
        return [_waited_for(result, "get", None) for result in results]


class _AskPebble(Asker, Pebble):
    way = "ProcessPool.schedule for each"
    limits = "schedule(timeout=)"

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.schedule, args=(given,), timeout=timeout)
        futures = [_told(submit, function) for function in functions]
        return [_waited_for(future, "result", None) for future in futures]


class _AskEnactPool(Asker, EnactPool):
    way = "Pool.run_parallel"
    limits = "run_parallel(timeout=)"
    limits_memory = True

    def outcomes(
        self, functions: Functions, given: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        results = self._pool.run_parallel(functions, given, timeout=timeout, max_memory=max_memory)
        return [
            result.output.value if result.output.is_ok else Failure(result.output.error)
            for result in results
        ]


def _told(ask: Callable[..., Any], *arguments: object) -> Any:
    """What comes of it: a value, or what it raises."""
    try:
        return ask(*arguments)
    except BaseException as error:
        return error


def _waited_for(handle: Any, method: str, timeout: float | None) -> Any:
    """What is told by the handle of a callable; the handle, if it is an exception already."""
    if isinstance(handle, BaseException):
        return handle
    return _told(getattr(handle, method), timeout)


ASKERS: dict[str, type[Asker]] = {
    asker.name: asker
    for asker in (
        _AskMultiprocessing,
        _AskStandardExecutor,
        _AskLoky,
        _AskJoblib,
        _AskMpire,
        _AskPebble,
        _AskEnactPool,
    )
}
