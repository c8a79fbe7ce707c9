"""Types of ctypes."""

from __future__ import annotations

from enact_pool._mirror.rebuild.classes import contents_with_methods, set_class
from enact_pool._mirror.registry import complete_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enact_pool._mirror.rebuild.classes import Methods

__all__ = ["make_array", "make_c_type", "make_prototype", "set_c_type"]


def make_c_type(
    metaclass: Any,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    methods: Methods,
) -> type:
    """Make a C type without fields; its metaclass may be None."""
    for base in bases:
        complete_definition(base)  # a base with a subclass cannot receive fields any more
    made_by = metaclass or type(bases[0])
    cls: type = made_by(name, bases, contents_with_methods(contents, methods))
    return cls


def set_c_type(cls: Any, state: dict[str, Any]) -> type:
    """Set the fields of a C type, after completing their types, and its attributes."""
    import ctypes

    state.pop("bases")
    if "fields" in state:
        fields = state.pop("fields")
        for field in fields:
            complete_definition(field[1])
        # The `__setattr__` of a type in the other byte order would swap the fields once more.
        kind = type(ctypes.Union if issubclass(cls, ctypes.Union) else ctypes.Structure)
        kind.__setattr__(cls, "_fields_", fields)
    # `type` refuses to set attributes that a metaclass written in C sets itself.
    for name, value in state["attributes"].items():
        setattr(cls, name, value)
    return set_class(cls, {**state, "attributes": {}})


def make_array(element: Any, length: int) -> type:
    """Make an array type; the type of its elements must have its size."""
    complete_definition(element)
    cls: type = element * length
    return cls


def make_prototype(result: Any, arguments: tuple[Any, ...], flags: int) -> type:
    """Make the type of a C function."""
    import _ctypes
    import ctypes

    if flags & _ctypes.FUNCFLAG_PYTHONAPI:
        return ctypes.PYFUNCTYPE(result, *arguments)
    return ctypes.CFUNCTYPE(
        result,
        *arguments,
        use_errno=bool(flags & _ctypes.FUNCFLAG_USE_ERRNO),
        use_last_error=bool(flags & _ctypes.FUNCFLAG_USE_LASTERROR),
    )
