"""The results of a run, which come in lists: all in one list, or one by one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from enact_pool._model.results import ParallelResult

__all__ = ["Results", "gathered", "one_by_one", "run_through"]

# Lists of results, in order of release; it returns what the emitter or the iterable raised.
Results = Generator[list[ParallelResult[Any]], None, "BaseException | None"]


def gathered(results: Results) -> list[ParallelResult[Any]]:
    """Return all results; raise what the run raised, with them in its attribute `results`."""
    all_results: list[ParallelResult[Any]] = []
    try:
        while True:
            all_results += next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        # Not when the traceback is dropped: the generator holds lanes.
        results.close()
    if error is not None:
        vars(error)["results"] = all_results
        raise error
    return all_results


def one_by_one(results: Results) -> Generator[ParallelResult[Any], None, None]:
    """Yield each result when it is released; raise in the end what the run raised."""
    try:
        while True:
            yield from next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error


def run_through(results: Results) -> None:
    """Drop all results: observers receive them. Raise in the end what the run raised."""
    try:
        while True:
            next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error
