"""The names of tasks in error messages: calls with their arguments, and scikit-learn's fits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enact_pool._python.reprs import display_text

__all__ = ["function_name", "is_fit", "task_name"]

# Numbers of characters.
_LONGEST_ARGUMENT = 80
_LONGEST_CALL = 500


def is_fit(function: Callable[..., Any]) -> bool:
    """Return whether this fits and scores an estimator for `GridSearchCV` or `cross_validate`."""
    called = _unwrapped(function)
    return (
        getattr(called, "__module__", "") == "sklearn.model_selection._validation"
        and getattr(called, "__name__", "") == "_fit_and_score"
    )


def function_name(function: Callable[..., Any]) -> str:
    """Return the name of the called function, without arguments."""
    called = _unwrapped(function)
    return getattr(called, "__qualname__", "") or type(called).__qualname__


def task_name(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Name a task by its function and arguments; a fit by its estimator, parameters and split."""
    if is_fit(function):
        try:
            signature = inspect.signature(_unwrapped(function))
            return _fit_name(signature.bind_partial(*args, **kwargs).arguments)
        except (TypeError, ValueError):
            pass  # another version of scikit-learn, with other parameters
    arguments = [
        *map(_short_repr, args),
        *(f"{key}={_short_repr(value)}" for key, value in kwargs.items()),
    ]
    return _truncated(f"{function_name(function)}({', '.join(arguments)})", _LONGEST_CALL)


def _fit_name(arguments: Mapping[str, Any]) -> str:
    name = (
        f"the fit of {_short_repr(arguments['estimator'])}" if "estimator" in arguments else "a fit"
    )
    if arguments.get("parameters") is not None:
        name += f" with {_truncated(display_text(arguments['parameters']), _LONGEST_CALL)}"
    for what in ("split", "candidate"):
        progress = arguments.get(f"{what}_progress")
        if progress:
            name += f", {what} {progress[0] + 1} of {progress[1]}"
    return name


def _unwrapped(function: Callable[..., Any]) -> Any:
    # scikit-learn wraps its configuration around the function.
    return getattr(function, "__wrapped__", function)


def _short_repr(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_LONGEST_ARGUMENT])
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"<{type(value).__name__} of shape {shape}>"
    return _truncated(" ".join(display_text(value).split()), _LONGEST_ARGUMENT)


def _truncated(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."
