"""Structures, arrays, pointers and prototypes of ctypes, whose metaclasses are made in C."""

from __future__ import annotations

from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.libraries.library import Library, Parts, Skeleton, loaded
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.rebuild.ctypes_types import (
    make_array,
    make_c_type,
    make_prototype,
    set_c_type,
)

__all__ = ["LIBRARY"]


def _is_c_type(cls: Any) -> bool:
    base = loaded("_ctypes")._SimpleCData.__mro__[1]  # `_CData`, which no module has as a name
    return issubclass(cls, base)


def _remakes(name: str, value: Any) -> bool:
    return name == "_fields_" or type(value).__name__ == "CField"


def _c_parts(needs: Needs, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    ctypes = loaded("ctypes")
    # Some are made by a function that returns the same class each time.
    if issubclass(cls, ctypes._Pointer) and ctypes.POINTER(cls._type_) is cls:
        return ctypes.POINTER, (cls._type_,), None, None
    if issubclass(cls, ctypes.Array) and cls._type_ * cls._length_ is cls:
        return make_array, (cls._type_, cls._length_), None, None
    if cls.__bases__[0] is ctypes._CFuncPtr:
        results = cls.__dict__.get("_restype_"), cls.__dict__.get("_argtypes_", ())
        return make_prototype, (*results, cls._flags_), None, None
    for order in ("__ctype_le__", "__ctype_be__"):
        native = getattr(cls, order, cls)
        if native is not cls and cls.__module__ == "ctypes":
            other = {"__ctype_le__": "__ctype_be__", "__ctype_be__": "__ctype_le__"}[order]
            return getattr, (native, other), None, None
    contents, attributes = skeleton.contents, skeleton.state["attributes"]
    for name in ("_pack_", "_anonymous_", "_align_", "_layout_", "_type_", "_length_"):
        if name in attributes:
            contents[name] = attributes.pop(name)
    state = {**skeleton.state, "bases": cls.__bases__}
    if "_fields_" in cls.__dict__:
        state["fields"] = cls.__dict__["_fields_"]
    # The metaclasses of `_ctypes` cannot be imported by name.
    metaclass = type(cls) if type(cls).__module__ != "_ctypes" else None
    arguments = metaclass, cls.__name__, cls.__bases__, contents, skeleton.functions
    return make_c_type, arguments, set_c_type, state


LIBRARY = Library(_is_c_type, _remakes, _c_parts)
