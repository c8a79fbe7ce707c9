"""Kin: functions that one `def` or `lambda` has made, and that differ in what they captured.

Scripts make them by the thousand, in a loop or a comprehension. To pickle a
function by value takes 20 us, and to rebuild it 10: its code, its globals, its
names. Kin have all of that in common. So the first of them is pickled, and of
the others only what is their own: the values in their closure and in their
defaults, where these are plain ones.
"""

from __future__ import annotations

from operator import is_
from types import CellType, FunctionType

from enact_pool._wire.frames import SHAREABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # The index of the first one; the others' indexes, defaults and captured values.
    Family = tuple[int, list[tuple[int, tuple[Any, ...] | None, tuple[Any, ...]]]]

__all__ = ["parted", "reunited"]


def parted(callables: list[Any]) -> tuple[list[Any], list[Family]]:
    """The callables with None for those that are kin of an earlier one, and their families."""
    rest: list[Any] = []
    families: dict[int, Family] = {}
    for index, candidate in enumerate(callables):
        if type(candidate) is FunctionType and "<" in candidate.__qualname__:
            first, others = families.setdefault(id(candidate.__code__), (index, []))
            if first != index and _are_kin(callables[first], candidate):
                own = _own(candidate)
                if own is not None:
                    others.append((index, *own))
                    candidate = None
        rest.append(candidate)
    return rest, [family for family in families.values() if family[1]]


def _are_kin(first: FunctionType, other: FunctionType) -> bool:
    """Whether these functions of the same code have all in common but what they captured."""
    ours, theirs = first.__annotations__, other.__annotations__
    return (
        first.__globals__ is other.__globals__
        and first.__qualname__ == other.__qualname__
        and first.__name__ == other.__name__
        and first.__module__ == other.__module__
        and first.__doc__ is other.__doc__
        and not (first.__dict__ or other.__dict__ or first.__kwdefaults__ or other.__kwdefaults__)
        and not getattr(first, "__type_params__", ())
        # By identity: comparing might run the user's code.
        and (ours.keys() == theirs.keys() and all(map(is_, ours.values(), theirs.values())))
    )


def _own(function: FunctionType) -> tuple[tuple[Any, ...] | None, tuple[Any, ...]] | None:
    """The defaults and the captured values of a function; None if some are not plain."""
    defaults = function.__defaults__
    try:
        captured = tuple([cell.cell_contents for cell in function.__closure__ or ()])
    except ValueError:  # one has no value yet
        return None
    if SHAREABLE.issuperset(map(type, captured + (defaults or ()))):
        return defaults, captured
    return None


def reunited(callables: list[Any], families: list[Family]) -> list[Any]:
    """The callables that were parted, with new functions in place of those that are kin."""
    for at, others in families:
        first = callables[at]
        code, scope, name = first.__code__, first.__globals__, first.__name__
        module, qualname, annotations = first.__module__, first.__qualname__, first.__annotations__
        for index, defaults, captured in others:
            cells = tuple(map(CellType, captured))
            function = FunctionType(code, scope, name, defaults, cells)
            function.__module__, function.__qualname__ = module, qualname
            function.__doc__ = first.__doc__
            if annotations:
                function.__annotations__ = annotations.copy()
            callables[index] = function
    return callables
