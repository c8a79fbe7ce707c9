"""The interface to a library that makes classes in its own way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from attrs import frozen

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.needs import Needs

__all__ = ["Library", "Parts", "Skeleton", "loaded"]

# The maker, its arguments, the setter, and the state that it sets: see `parts`.
Parts = tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any] | None, Any]


@frozen
class Skeleton:
    """What a class is made from: its contents and functions, and the state that is set later.

    See `make_class` and `set_class`.
    """

    contents: dict[str, Any]
    functions: list[tuple[str, str, Any]]
    state: dict[str, Any]


@frozen
class Library:
    """A library whose metaclass works in C, or keeps a registry of the classes that it makes.

    The attributes of such a class are not enough to make the class again.

    Args:
        has_made: Return whether the library has made a class.
        remakes: Return whether a worker's library makes an attribute, given its name and value.
        parts: Return the parts of a class; add what they need to the `Needs`.
    """

    has_made: Callable[[Any], bool]
    remakes: Callable[[str, Any], bool]
    parts: Callable[[Needs, Definition, Skeleton], Parts]


def loaded(name: str) -> Any:
    """Return a module that the program has imported."""
    return sys.modules[name]
