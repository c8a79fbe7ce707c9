"""Functions, and what is made of functions: cells, caches and dispatchers."""

from __future__ import annotations

from functools import lru_cache, singledispatch
from types import CellType, FunctionType

from enact_pool._mirror.registry import namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

__all__ = [
    "make_cached",
    "make_cell",
    "make_dispatcher",
    "make_function",
    "make_method",
    "set_cached",
    "set_cell",
    "set_dispatcher",
    "set_function",
]

_WRAPPERS: dict[str, Any] = {"class": classmethod, "static": staticmethod}


def make_function(
    code: CodeType,
    scope: str,
    name: str,
    qualname: str,
    module: Any,
    doc: Any,
    cells: tuple[CellType, ...] | None,
) -> FunctionType:
    """Make a function with the globals of a scope, without attributes and defaults."""
    function = FunctionType(code, namespace(scope), name, None, cells)
    function.__qualname__ = qualname
    function.__module__ = module
    function.__doc__ = doc
    return function


def make_method(wrapper: str, parts: tuple[Any, ...]) -> Any:
    """Make a function of a class from its parts: a "class" or "static" method, or ""."""
    function = make_function(*parts)
    return _WRAPPERS[wrapper](function) if wrapper else function


def set_function(function: FunctionType, state: dict[str, Any]) -> FunctionType:
    """Set a function's attributes, defaults and annotations; import the modules it needs."""
    for module in state.pop("imports", ()):
        __import__(module)
    attributes = state.pop("attributes", None)
    if attributes:
        function.__dict__.update(attributes)
    for name, value in state.items():
        setattr(function, name, value)
    return function


def make_cell() -> CellType:
    """Make an empty cell."""
    return CellType()


def set_cell(cell: CellType, contents: tuple[Any, ...]) -> CellType:
    """Set the value of a cell; empty the cell if `contents` is empty."""
    if contents:
        (cell.cell_contents,) = contents
    else:
        try:
            del cell.cell_contents
        except ValueError:
            pass  # the cell is empty
    return cell


def make_cached(parameters: dict[str, Any], function: Any) -> Any:
    """Make a function with an empty `lru_cache`."""
    return lru_cache(**parameters)(function)


def set_cached(cached: Any, state: tuple[dict[str, Any] | None, dict[str, Any]]) -> Any:
    """Set the attributes of a function with a cache, and those of the function that it calls."""
    inner, attributes = state
    if inner is not None:
        set_function(cached.__wrapped__, inner)
    cached.__dict__.update(attributes)
    return cached


def make_dispatcher(function: Any) -> Any:
    """Make a function that dispatches on the type of its argument."""
    return singledispatch(function)


def set_dispatcher(dispatcher: Any, state: tuple[list[tuple[type, Any]], dict[str, Any]]) -> Any:
    """Register the functions of a dispatcher, and set its attributes."""
    functions, attributes = state
    for cls, function in functions:
        if cls is not object:
            dispatcher.register(cls, function)
    dispatcher.__dict__.update(attributes)
    return dispatcher
