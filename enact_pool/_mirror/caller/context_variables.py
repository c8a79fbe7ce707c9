"""Where workers find a context variable: a `ContextVar` cannot be pickled or copied."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.scopes import Scope, scopes

__all__ = ["can_refer_to_variable", "place_of_variable"]

# By id: the variable, which keeps the id valid, and the module and name that have it.
_places: dict[int, tuple[Any, tuple[str, str] | None]] = {}


def can_refer_to_variable(variable: Any) -> bool:
    """Return whether workers can find a context variable."""
    return definitions.known(variable) is not None or place_of_variable(variable) is not None


def place_of_variable(variable: Any) -> tuple[Scope | str, str] | None:
    """Return the scope or module that has a context variable, and its name there; else None."""
    return _place_in_scope(variable) or _place_in_module(variable)


def _place_in_scope(value: Any) -> tuple[Scope, str] | None:
    for scope in scopes:
        for name, each in list(scope.contents.items()):
            if each is value:
                return scope, name
    return None


def _place_in_module(value: Any) -> tuple[str, str] | None:
    """Return the importable module that has this very object, and its name there."""
    known = _places.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    place = None
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType):
            for attribute, found in list(module.__dict__.items()):
                if found is value and scopes.is_importable(name, module):
                    place = name, attribute
                    break
        if place is not None:
            break
    _places[id(value)] = value, place
    return place
