"""The types of callables: objects with `run(input)`, with or without a `name`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["NamedCallable", "ParallelCallable"]

Input = TypeVar("Input", contravariant=True)
Output = TypeVar("Output", covariant=True)


@runtime_checkable
class ParallelCallable(Protocol[Input, Output]):
    """An object that can be run in a worker: it has `run(input)`.

    Its `name`, an attribute or a method without arguments, is told in results
    and events; without one its type's name is.
    """

    def run(self, input: Input, /) -> Output:
        """Do the work, on an input that is this callable's own."""
        ...


@runtime_checkable
class NamedCallable(ParallelCallable[Input, Output], Protocol[Input, Output]):
    """A `ParallelCallable` that says its name."""

    @property
    def name(self) -> str | Callable[[], str]:
        """The name, or a method that gives it."""
        ...
