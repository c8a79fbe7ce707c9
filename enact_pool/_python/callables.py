"""Callables: objects with `run(input)` and a `name`, and anything that can be called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType

from enact_pool._python.loading import load
from enact_pool._python.reprs import bare_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["call_with", "check_callable", "entry_point", "load_call", "name_of"]


def entry_point(candidate: Any) -> Callable[[Any], Any] | None:
    """Return what to call with the input: `candidate.run`, or `candidate`; None if neither can be.

    An object that can be called itself is called, unless its `run` accepts an input: many
    have a `run()` with another meaning. A class is called even if its instances have a `run`.
    """
    if type(candidate) is not FunctionType and not isinstance(candidate, type):
        run = getattr(candidate, "run", None)
        if callable(run) and not (callable(candidate) and _refuses_input(run)):
            return run  # type: ignore[no-any-return]
    return candidate if callable(candidate) else None


def _refuses_input(run: Callable[..., Any]) -> bool:
    """Return whether a `run` surely cannot be called with one positional argument."""
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
    """Raise `TypeError`, which says where the candidate is, if it cannot be called."""
    if type(candidate) is FunctionType:
        return
    try:
        found = entry_point(candidate)
    except BaseException as error:
        _raise_interrupt(error)
        raise TypeError(f"{where} raises {bare_name(type(error))} when it is looked at") from error
    if found is None:
        raise TypeError(
            f"{where} is not callable: {bare_name(type(candidate))!r} object "
            "has no run(input) and cannot be called"
        )


def name_of(candidate: Any) -> str:
    """Return the name of a callable, even if its `name` raises; run no other code of it."""
    if type(candidate) is FunctionType:
        return candidate.__name__
    try:
        name = _own_name(candidate)
    except BaseException as error:
        _raise_interrupt(error)
        # The name is a label. A failing one must not prevent the callable
        # from running, nor other callables from answering.
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


def _raise_interrupt(error: BaseException) -> None:
    # Imported here: workers, which import this module as they start, never call it.
    from enact_pool._python.interrupts import raise_interrupt

    raise_interrupt(error)


# The parent pickles these two by name, and workers call them.


def call_with(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function that has a state, and so travels with its arguments."""
    return function(*args, **kwargs)


def load_call(function: bytes, arguments: bytes) -> Callable[[], Any]:
    """Return a call that was submitted as pickles. Raises what unpickling raises."""
    args, kwargs = load(arguments)
    return partial(load(function), *args, **kwargs)
