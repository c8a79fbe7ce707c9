"""Checks for the scripts in `variations/`, each of a function that a worker runs.

They all use one worker, so that the next check sees the changes that a check leaves there. Each
check prints a line that begins with "right" or "wrong".
"""

from __future__ import annotations

import atexit
from collections.abc import Callable

from enact_pool import Err, Ok, Pool

__all__ = ["equals", "fails", "instance", "own", "received", "same"]

_pool = Pool(1)
atexit.register(_pool.close)


def _in_worker(function: Callable[[object], object]) -> Ok[object] | Err:
    return _pool.run_parallel([function], None)[0].output


def _print(function: Callable[[object], object], right: object, outcome: object) -> None:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", type(function).__name__)
    if code is not None:
        name += f" in line {code.co_firstlineno}"
    print(f"right: {name}" if right else f"wrong: {name}: {outcome}")


def same(*functions: Callable[[object], object]) -> None:
    """Check that each function returns the same in the worker as here."""
    for function in functions:
        outcome = _in_worker(function)
        here = function(None)
        _print(function, outcome == Ok(here), f"{outcome}, but here {here!r}")


def equals(function: Callable[[object], object], value: object) -> None:
    """Check that a function returns `value` in the worker."""
    outcome = _in_worker(function)
    _print(function, outcome == Ok(value), outcome)


def received(name: str, values: object, expected: object) -> None:
    """Check what the caller has received."""
    print(f"right: {name}" if values == expected else f"wrong: {name}: {values}")


def own(function: Callable[[object], object], definition: object) -> None:
    """Check that a function returns this very object, which the script defines."""
    outcome = _in_worker(function)
    _print(function, outcome.is_ok and outcome.unwrap() is definition, outcome)


def instance(function: Callable[[object], object], kind: type) -> None:
    """Check that a function returns an instance of this very class."""
    outcome = _in_worker(function)
    _print(function, outcome.is_ok and type(outcome.unwrap()) is kind, outcome)


def fails(function: Callable[[object], object], word: str) -> None:
    """Check that a function fails in the worker, with an error that contains `word`."""
    outcome = _in_worker(function)
    _print(function, isinstance(outcome, Err) and word in outcome.error, outcome)
