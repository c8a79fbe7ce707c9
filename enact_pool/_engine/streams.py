"""The results of a run, which come in pieces: as a list, or one by one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from enact_pool._model.results import ParallelResult

__all__ = ["Results", "gathered", "one_by_one", "run_through"]

# Results as their turn comes; what the emitter or the work's iterable has raised in the end.
Results = Generator[list[ParallelResult[Any]], None, "BaseException | None"]


def gathered(results: Results) -> list[ParallelResult[Any]]:
    """All results; raises what was raised meanwhile, with them in its attribute `results`."""
    all_results: list[ParallelResult[Any]] = []
    try:
        while True:
            all_results += next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        # Not left to whoever holds the traceback: it holds lanes.
        results.close()
    if error is not None:
        vars(error)["results"] = all_results
        raise error
    return all_results


def one_by_one(results: Results) -> Generator[ParallelResult[Any], None, None]:
    """Each result when it comes; raises what was raised meanwhile in the end."""
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
    """Keep no result: they are told otherwise. Raises what was raised meanwhile in the end."""
    try:
        while True:
            next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error
