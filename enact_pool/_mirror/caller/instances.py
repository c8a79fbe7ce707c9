"""How instances are reduced whose classes say how, or must not fill them as pickle does."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.scopes import Scope, scopes
from enact_pool._mirror.rebuild.values import set_contents

__all__ = ["has_own_reduce", "reduce_container", "scope_that_names"]


def has_own_reduce(kind: Any) -> bool:
    """Return whether a class, or one of its bases, defines how its instances are pickled."""
    return (
        kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__
    )


def scope_that_names(obj: Any, name: str) -> Scope | None:
    """Return the scope that has an object as a global of this name.

    None if there is none, or if the module that the object says it belongs to has it as well: then
    pickle finds it there.
    """
    module = getattr(obj, "__module__", None)
    owner = sys.modules.get(module) if type(module) is str else None
    if isinstance(owner, ModuleType) and owner.__dict__.get(name) is obj:
        return scopes.scope_of_module(owner)
    return next((scope for scope in scopes if scope.contents.get(name) is obj), None)


def reduce_container(obj: Any, kind: Any) -> Any:
    """Return how to pickle a list or dict whose class has its own way to take items.

    Pickle adds the items first, with methods of the class, which may need attributes that the
    object does not have yet.
    """
    if issubclass(kind, dict):
        is_plain = kind.__setitem__ is dict.__setitem__
    elif issubclass(kind, list):
        is_plain = kind.append is list.append and kind.extend is list.extend
    else:
        is_plain = True
    if is_plain:
        return NotImplemented
    make, arguments, state, items, pairs = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    contents = state, list(items or ()), list(pairs or ())
    return make, arguments, contents, None, None, set_contents
