"""What a callable is: an object with `run(input)` and a `name`, or anything that can be called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType

from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.texts import bare_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_callable", "entry_point", "name_of"]


def entry_point(candidate: Any) -> Callable[[Any], Any] | None:
    """Return what to call with the input: `candidate.run`, or `candidate`; None if neither can be.

    An object that can be called itself is called, unless its `run` accepts an input: many
    have a `run()` that means something else. A class is called even if its instances have
    a `run`.
    """
    if type(candidate) is not FunctionType and not isinstance(candidate, type):
        run = getattr(candidate, "run", None)
        if callable(run) and not (callable(candidate) and _refuses_input(run)):
            return run  # type: ignore[no-any-return]
    return candidate if callable(candidate) else None


def _refuses_input(run: Callable[..., Any]) -> bool:
    """Return whether a `run` cannot be called with one positional argument, if that is known."""
    from inspect import signature  # few objects have both, and it takes long to import

    try:
        parameters = signature(run)
    except (TypeError, ValueError):
        return False  # it is written in C, say
    try:
        parameters.bind(None)
    except TypeError:
        return True
    return False


def check_callable(candidate: Any, where: str) -> None:
    """Raise `TypeError`, which says where it is, for what cannot be called."""
    if type(candidate) is FunctionType:
        return
    try:
        found = entry_point(candidate)
    except BaseException as error:
        raise_interrupt(error)
        raise TypeError(f"{where} raises {bare_name(type(error))} when it is looked at") from error
    if found is None:
        raise TypeError(
            f"{where} is no callable: {bare_name(type(candidate))!r} object "
            "has no run(input) and cannot be called"
        )


def name_of(candidate: Any) -> str:
    """The name of a callable; runs no more of it than its `name`, and bears what that raises."""
    if type(candidate) is FunctionType:
        return candidate.__name__
    try:
        name = _own_name(candidate)
    except BaseException as error:
        raise_interrupt(error)
        # The name is a label. One that cannot be told must not keep the
        # callable from running, nor its neighbours from answering.
        name = None
    return name if issubclass(type(name), str) else bare_name(type(candidate))


def _own_name(candidate: Any) -> Any:
    run = entry_point(candidate)
    if run is not None and run is not candidate:
        name = getattr(candidate, "name", None)
        return name() if callable(name) else name
    while isinstance(candidate, partial):
        candidate = candidate.func
    return getattr(candidate, "__name__", bare_name(type(candidate)))
