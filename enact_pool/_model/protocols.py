"""Protocols of the objects that callers pass to a run: callables, and progress bars."""

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
    """An object that can run in a worker: it has `run(input)`.

    Results and events contain its `name`, an attribute or a method without arguments; without a
    name, they contain the name of its type.

    If the object can also be called, `run` is preferred to `__call__`, but only if `run` accepts
    one positional argument. `PoolExecutor.submit` calls the object.
    """

    def run(self, input: Input, /) -> Output:
        """Compute the output. No other callable shares the input."""
        ...


@public
@runtime_checkable
class NamedCallable(ParallelCallable[Input, Output], Protocol[Input, Output]):
    """A `ParallelCallable` with a name."""

    @property
    def name(self) -> str | Callable[[], str]:
        """The name, or a method that returns it."""
        ...


@public
class ProgressBar(Protocol):
    """A bar of your own that shows the progress of a run: one of tqdm's, or an adapter.

    It is updated as outcomes become known, about ten times a second at most, in the thread that
    waits for the results. If it has `set_postfix(**counts)`, as tqdm's bars do, that is called
    before `update`, with the numbers of `failed`, `crashed` and `cancelled` callables that are not
    0, and `refresh=False`. You set its total and close it: it may show several runs.
    """

    def update(self, n: int, /) -> object:
        """Show that `n` more callables have an outcome; 0: only time has passed."""
        ...
