"""Objects that a process has already, found by their names."""

from __future__ import annotations

import sys

from enact_pool._mirror.registry import namespace, unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "bound_method",
    "function_of",
    "global_value",
    "imported_object",
    "module_value",
    "same_object",
]


def same_object(value: Any) -> Any:
    """Return the argument, which its pickle refers to by its name."""
    return value


def global_value(scope: str, name: str) -> Any:
    """Return the global of a scope with this name."""
    return namespace(scope)[name]


def bound_method(owner: Any, name: str) -> Any:
    """Return the method of a class or an instance with this name."""
    return getattr(owner, name)


def function_of(cls: type, name: str) -> Any:
    """Return the function that a class has under a name, without binding it."""
    return unwrapped(cls.__dict__[name])


def module_value(module: str, name: str) -> Any:
    """Return the global of an importable module with this name."""
    __import__(module)
    return sys.modules[module].__dict__[name]


def imported_object(module: str, name: str, otherwise: Any) -> Any:
    """Return the global of an importable module with this name, or another object of its type.

    The caller may have set the global itself: then a new process has none, or one of another type.
    """
    __import__(module)
    found = sys.modules[module].__dict__.get(name)
    return found if type(found) is type(otherwise) else otherwise
