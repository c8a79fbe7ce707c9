"""How instances are reduced whose classes say how, or must not fill them as pickle does."""

from __future__ import annotations

import copyreg
import pickle
import struct
import sys
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.scopes import Scope, scopes
from enact_pool._mirror.rebuild.values import new_instance, set_contents

__all__ = [
    "has_own_reduce",
    "has_plain_state",
    "is_heap",
    "reduce_plain_instance",
    "scope_that_names",
]


def has_own_reduce(kind: Any) -> bool:
    """Return whether a class, or one of its bases, defines how its instances are pickled."""
    return (
        kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__
    )


_newobj: Any = vars(copyreg)["__newobj__"]

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def is_heap(cls: type) -> bool:
    """Return whether Python code, or C code at run time, made a class."""
    return bool(type.__dict__["__flags__"].__get__(cls) & _HEAP_TYPE)


# An instance without slots has at most two fields: for its attributes and for weak references.
_PLAIN_SIZE = object.__basicsize__ + 2 * struct.calcsize("P")


def has_plain_state(kind: Any) -> bool:
    """Return whether the attributes of an instance are its whole state."""
    return (
        not has_own_reduce(kind)
        and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
        and not hasattr(kind, "__setstate__")
        and kind.__dictoffset__ != 0
        and kind.__basicsize__ <= _PLAIN_SIZE
        # (Of some types of C, such as `classmethod`, the attributes are not the whole state.)
        and all(map(is_heap, kind.__mro__[:-1]))
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


def reduce_plain_instance(obj: Any, kind: Any) -> Any:
    """Return how to pickle an instance that pickle alone would refuse, or fill in a wrong way.

    It refuses objects that claim to be of another class. It adds items before attributes, with
    methods of the class, which may need attributes.
    """
    if issubclass(kind, dict):
        is_filled_plainly = kind.__setitem__ is dict.__setitem__
    elif issubclass(kind, list):
        is_filled_plainly = kind.append is list.append and kind.extend is list.extend
    else:
        is_filled_plainly = True
    if is_filled_plainly and obj.__class__ is kind:
        return NotImplemented
    make, arguments, state, items, pairs = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if make is _newobj:
        make = new_instance
    if is_filled_plainly:
        return make, arguments, state, items, pairs
    contents = state, list(items or ()), list(pairs or ())
    return make, arguments, contents, None, None, set_contents
