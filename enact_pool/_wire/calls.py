"""Calls that travel with their arguments: what a caller pickles by name and a worker calls."""

from __future__ import annotations

from functools import partial

from enact_pool._python.loading import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["called_with", "prepared"]


def called_with(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function that has a state, and so travels with its arguments."""
    return function(*args, **kwargs)


def prepared(function: bytes, arguments: bytes) -> Callable[[], Any]:
    """Return a call that the submitter has pickled. Raises whatever unpickling raises."""
    args, kwargs = load(arguments)
    return partial(load(function), *args, **kwargs)
