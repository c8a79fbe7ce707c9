"""How an instance is reduced that has a name: no code may look it up by that name."""

from __future__ import annotations

import copyreg
import types
from collections.abc import Container
from typing import Any

from enact_pool._mirror.caller.instances import has_own_reduce, scope_that_names
from enact_pool._mirror.caller.pickler import PROTOCOL
from enact_pool._mirror.rebuild.values import bare_instance

__all__ = ["reduce_attribute", "reduce_global_instance"]

_newobj: Any = vars(copyreg)["__newobj__"]


def reduce_global_instance(obj: Any, kind: type, dispatch_table: Container[type]) -> Any:
    """Return how to pickle the instance that is the global itself; None if the usual way works."""
    if _has_own_new(kind) and kind not in dispatch_table:
        reduced = obj.__reduce_ex__(PROTOCOL)
        if type(reduced) is tuple and reduced[0] is _newobj and len(reduced[1]) == 1:
            # The `__new__` of a singleton looks for this very object: do not call it.
            return bare_instance, reduced[1], *reduced[2:]
    if has_own_reduce(kind) and kind not in dispatch_table:
        reduced = obj.__reduce_ex__(PROTOCOL)
        if type(reduced) is str and scope_that_names(obj, reduced) is not None:
            # The name of a global, which is this very object.
            return _newobj, (kind,), _default_state(obj, kind)
    return None


def reduce_attribute(obj: Any, kind: type, owner: Any, dispatch_table: Container[type]) -> Any:
    """Return how to pickle an attribute of the class that is being pickled; None as above.

    The reduction of a descriptor may look it up by its class and name.
    """
    if not issubclass(type(owner), type) or not has_own_reduce(kind) or kind in dispatch_table:
        return None
    names = [name for name, value in list(owner.__dict__.items()) if value is obj]
    if not names:
        return None
    reduced = obj.__reduce_ex__(PROTOCOL)
    if type(reduced) is tuple and any(each is owner for each in reduced[1]):
        strings = [each for each in reduced[1] if type(each) is str]
        if any(name in strings for name in names):
            return _newobj, (kind,), _default_state(obj, kind)
    return None


def _has_own_new(kind: type) -> bool:
    """Return whether the user's Python code, and no other code, makes the instances of a class."""
    makers = [base.__dict__["__new__"] for base in kind.__mro__ if "__new__" in base.__dict__]
    python = [isinstance(getattr(new, "__func__", new), types.FunctionType) for new in makers]
    return python[0] and all(python[:-1]) and makers[-1] is object.__new__


def _default_state(obj: Any, kind: type) -> Any:
    """Return the state that pickle stores for an instance without a `__reduce__` of its own."""
    slots: Any = vars(copyreg)["_slotnames"](kind)
    values = {name: getattr(obj, name) for name in slots if hasattr(obj, name)}
    attributes = getattr(obj, "__dict__", None) or None
    return (attributes, values) if values else attributes
