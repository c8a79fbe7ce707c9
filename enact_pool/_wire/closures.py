"""Closures of one `def` or `lambda`: functions that differ only in the values they captured.

Scripts make thousands of them, in a loop or a comprehension. Pickling a
function by value takes 20 us, and rebuilding it 10: its code, its globals, its
names. Closures of one `def` share all of these. So the first one is pickled as a
whole, and the others as the values in their closure and in their defaults, if
these are immutable.
"""

from __future__ import annotations

from operator import is_
from types import CellType, FunctionType

from enact_pool._wire.frames import SHAREABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # The index of the first closure; the others' indexes, defaults and captured values.
    Group = tuple[int, list[tuple[int, tuple[Any, ...] | None, tuple[Any, ...]]]]

__all__ = ["join_closures", "split_closures", "with_own_cells"]


def split_closures(callables: list[Any]) -> tuple[list[Any], list[Group]]:
    """Return the callables, with None for closures like an earlier one, and the groups of these."""
    rest: list[Any] = []
    groups: dict[int, Group] = {}
    for index, candidate in enumerate(callables):
        if type(candidate) is FunctionType and "<" in candidate.__qualname__:
            first, others = groups.setdefault(id(candidate.__code__), (index, []))
            if first != index and _differ_only_in_values(callables[first], candidate):
                own = _own_values(candidate)
                if own is not None:
                    others.append((index, *own))
                    candidate = None
        rest.append(candidate)
    return rest, [group for group in groups.values() if group[1]]


def _differ_only_in_values(first: FunctionType, other: FunctionType) -> bool:
    """Return whether functions of the same code differ at most in captured values and defaults."""
    ours, theirs = first.__annotations__, other.__annotations__
    return (
        first.__globals__ is other.__globals__
        and first.__qualname__ == other.__qualname__
        and first.__name__ == other.__name__
        and first.__module__ == other.__module__
        and first.__doc__ is other.__doc__
        and not (first.__dict__ or other.__dict__ or first.__kwdefaults__ or other.__kwdefaults__)
        and not getattr(first, "__type_params__", ())
        # By identity: comparing for equality might run the user's code.
        and (ours.keys() == theirs.keys() and all(map(is_, ours.values(), theirs.values())))
    )


def _own_values(function: FunctionType) -> tuple[tuple[Any, ...] | None, tuple[Any, ...]] | None:
    """Return the defaults and captured values of a function; None if some are mutable."""
    defaults = function.__defaults__
    try:
        captured = tuple([cell.cell_contents for cell in function.__closure__ or ()])
    except ValueError:  # a captured variable has no value yet
        return None
    if SHAREABLE.issuperset(map(type, captured + (defaults or ()))):
        return defaults, captured
    return None


def with_own_cells(function: FunctionType, known: FunctionType | None = None) -> FunctionType:
    """Return a function that keeps the values that another one has captured now.

    A generator's closures share its variables, which it changes.

    Args:
        function: The other one. It is returned itself if something that it has captured is
            mutable, or has no value.
        known: What this has returned for it before, to return it again if it has not changed.
    """
    own = _own_values(function)
    if own is None:
        return function
    defaults, captured = own
    if known is not None and all(
        map(is_, captured, (cell.cell_contents for cell in known.__closure__ or ()))
    ):
        return known
    code, scope, name = function.__code__, function.__globals__, function.__name__
    copy = FunctionType(code, scope, name, defaults, tuple(map(CellType, captured)))
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__doc__, copy.__kwdefaults__ = function.__doc__, function.__kwdefaults__
    if function.__annotations__:
        copy.__annotations__ = function.__annotations__
    copy.__dict__.update(function.__dict__)
    return copy


def join_closures(callables: list[Any], groups: list[Group]) -> list[Any]:
    """Return the callables that were split, with new functions in place of the closures."""
    for at, others in groups:
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
