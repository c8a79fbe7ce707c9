"""The names of tasks, for errors: what was called with what, and of scikit-learn's fits, which."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enact_pool._python.reprs import display_text

__all__ = ["function_name", "is_fit", "task_name"]

# In characters.
_LONGEST_ARGUMENT = 80
_LONGEST_CALL = 500


def is_fit(function: Callable[..., Any]) -> bool:
    """Whether this fits and scores an estimator, as `GridSearchCV` and `cross_validate` have it."""
    called = _unwrapped(function)
    return (
        getattr(called, "__module__", "") == "sklearn.model_selection._validation"
        and getattr(called, "__name__", "") == "_fit_and_score"
    )


def function_name(function: Callable[..., Any]) -> str:
    """What was called, without its arguments."""
    called = _unwrapped(function)
    return getattr(called, "__qualname__", "") or type(called).__qualname__


def task_name(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A task by its function and arguments; a fit by its estimator, parameters and split."""
    if is_fit(function):
        try:
            signature = inspect.signature(_unwrapped(function))
            return _fit_name(signature.bind_partial(*args, **kwargs).arguments)
        except (TypeError, ValueError):
            pass  # of another scikit-learn, which calls it otherwise
    arguments = [*map(_brief, args), *(f"{key}={_brief(value)}" for key, value in kwargs.items())]
    return _cut(f"{function_name(function)}({', '.join(arguments)})", _LONGEST_CALL)


def _fit_name(given: Mapping[str, Any]) -> str:
    name = f"the fit of {_brief(given['estimator'])}" if "estimator" in given else "a fit"
    if given.get("parameters") is not None:
        name += f" with {_cut(display_text(given['parameters']), _LONGEST_CALL)}"
    for what in ("split", "candidate"):
        progress = given.get(f"{what}_progress")
        if progress:
            name += f", {what} {progress[0] + 1} of {progress[1]}"
    return name


def _unwrapped(function: Callable[..., Any]) -> Any:
    # scikit-learn puts its configuration around what it has called.
    return getattr(function, "__wrapped__", function)


def _brief(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_LONGEST_ARGUMENT])
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"<{type(value).__name__} of shape {shape}>"
    return _cut(" ".join(display_text(value).split()), _LONGEST_ARGUMENT)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."
