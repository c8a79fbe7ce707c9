"""The contenders of hazards: how each library runs callables of which one may do harm.

Each library is used in its best documented way to get the outcome of each callable by itself, and
to limit the time that each callable may take. All else is as in `contenders`.
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

__all__ = ["OUTCOME_CONTENDERS", "OutcomeContender"]

Functions = Sequence[Callable[[Any], Any]]


class OutcomeContender(Contender):
    """A contender that returns an outcome for each callable.

    `limits` names the parameter that limits the time of a callable.
    """

    limits: ClassVar[str]
    limits_memory: ClassVar[bool] = False

    @abstractmethod
    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        """Return the outcome of each function: its value, or the exception of its failure.

        Raises what the library raises for the whole call. `timeout` is in seconds,
        `max_memory` in bytes.
        """


class _OutcomeMultiprocessing(OutcomeContender, MultiprocessingPool):
    way = "apply_async for each"
    limits = "get(timeout=)"

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.apply_async, args=(input,))
        results = [_outcome(submit, function) for function in functions]
        return [_awaited(result, "get", timeout) for result in results]


class _OutcomeExecutor(OutcomeContender):
    limits = "result(timeout=)"
    _executor: Any

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        futures = [_outcome(self._executor.submit, function, input) for function in functions]
        return [_awaited(future, "result", timeout) for future in futures]


class _OutcomeStandardExecutor(_OutcomeExecutor, StandardExecutor):
    way = "concurrent.futures.ProcessPoolExecutor.submit for each"


class _OutcomeLoky(_OutcomeExecutor, Loky):
    way = "get_reusable_executor().submit for each, shutdown(kill_workers=True)"

    def close(self) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)


class _OutcomeJoblib(OutcomeContender, Joblib):
    way = "Parallel of the loky backend"
    limits = "Parallel(timeout=)"

    def open(self) -> None:
        return

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=self.workers, backend="loky", timeout=timeout)
        return list(parallel(delayed(function)(input) for function in functions))

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)


class _OutcomeMpire(OutcomeContender, Mpire):
    way = "WorkerPool(keep_alive=True).apply_async for each"
    limits = "apply_async(task_timeout=)"

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.apply_async, args=(input,), task_timeout=timeout)
        results = [_outcome(submit, function) for function in functions]
        return [_awaited(result, "get", None) for result in results]


class _OutcomePebble(OutcomeContender, Pebble):
    way = "ProcessPool.schedule for each"
    limits = "schedule(timeout=)"

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        submit = partial(self._pool.schedule, args=(input,), timeout=timeout)
        futures = [_outcome(submit, function) for function in functions]
        return [_awaited(future, "result", None) for future in futures]


class _OutcomeEnactPool(OutcomeContender, EnactPool):
    way = "Pool.run_parallel"
    limits = "run_parallel(timeout=)"
    limits_memory = True

    def outcomes(
        self, functions: Functions, input: object, timeout: float | None, max_memory: int | None
    ) -> list[Any]:
        results = self._pool.run_parallel(functions, input, timeout=timeout, max_memory=max_memory)
        return [
            result.output.value if result.output.is_ok else Failure(result.output.error)
            for result in results
        ]


def _outcome(call: Callable[..., Any], *arguments: object) -> Any:
    """Return what the call returns, or the exception that it raises."""
    try:
        return call(*arguments)
    except BaseException as error:
        return error


def _awaited(handle: Any, method: str, timeout: float | None) -> Any:
    """Wait for the outcome behind a handle; return the handle itself if it is an exception."""
    if isinstance(handle, BaseException):
        return handle
    return _outcome(getattr(handle, method), timeout)


OUTCOME_CONTENDERS: dict[str, type[OutcomeContender]] = {
    contender.name: contender
    for contender in (
        _OutcomeMultiprocessing,
        _OutcomeStandardExecutor,
        _OutcomeLoky,
        _OutcomeJoblib,
        _OutcomeMpire,
        _OutcomePebble,
        _OutcomeEnactPool,
    )
}
