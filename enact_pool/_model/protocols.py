"""The types of what callers bring along: callables, and bars that show progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from enact_pool._python.public_names import public

__all__ = ["NamedCallable", "ParallelCallable", "ProgressBar"]

Input = TypeVar("Input", contravariant=True)
Output = TypeVar("Output", covariant=True)


@public
@runtime_checkable
class ParallelCallable(Protocol[Input, Output]):
    """An object that can be run in a worker: it has `run(input)`.

    Its `name`, an attribute or a method without arguments, is told in results
    and events; without one its type's name is.

    If the object can be called as well, `run` goes before `__call__`, but only if it accepts
    one positional argument. `PoolExecutor.submit` calls the object.
    """

    def run(self, input: Input, /) -> Output:
        """Do the work, on an input that is this callable's own."""
        ...


@public
@runtime_checkable
class NamedCallable(ParallelCallable[Input, Output], Protocol[Input, Output]):
    """A `ParallelCallable` that says its name."""

    @property
    def name(self) -> str | Callable[[], str]:
        """The name, or a method that gives it."""
        ...


@public
class ProgressBar(Protocol):
    """A bar of one's own, which shows how far a run is: one of tqdm's, or an adapter of another.

    It is told of outcomes as they become known, some ten times a second at most, in
    the thread that waits for the results. If it has `set_postfix(**counts)`, as tqdm's
    have, that is called with `failed`, `crashed` or `cancelled` where there are any,
    and `refresh=False`, before `update`. How many there will be in all is for its
    maker to tell it, and it is its maker who closes it: it may show several runs.
    """

    def update(self, n: int, /) -> object:
        """So many more callables have an outcome. 0 if there is none: time has passed."""
        ...
