"""The parts of definitions that hold values: containers, instances, cells, context variables.

See `parts` for what each function returns.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.fresh_objects import FRESH
from enact_pool._mirror.caller.libraries.library import Parts
from enact_pool._mirror.caller.module_globals import is_of_standard_library
from enact_pool._mirror.rebuild.attributes import fill_container, update_attributes
from enact_pool._mirror.rebuild.functions import make_cell, set_cell
from enact_pool._mirror.rebuild.references import imported_object, same_object
from enact_pool._mirror.rebuild.values import bare_instance, make_context_variable

__all__ = ["Call", "cell_parts", "container_parts", "context_variable_parts", "value_parts"]


class Call:
    """A stand-in in a pickle: unpickling it calls a function, whose result takes its place."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._reduced = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced


def context_variable_parts(definition: Definition) -> Parts:
    variable: contextvars.ContextVar[Any] = definition.value
    try:
        default: tuple[Any, ...] = (contextvars.Context().run(variable.get),)
    except LookupError:
        default = ()
    return make_context_variable, (variable.name, default), None, None


def cell_parts(definition: Definition) -> Parts:
    try:
        contents: tuple[Any, ...] = (definition.value.cell_contents,)
    except ValueError:
        contents = ()
    return make_cell, (), set_cell, contents


def container_parts(definition: Definition) -> Parts:
    value = definition.value
    contents = dict(value) if type(value) is dict else list(value)
    if definition.place is None:
        return type(value), (), fill_container, contents
    return _imported(definition, type(value)(), fill_container, contents)


def value_parts(definition: Definition) -> Parts:
    value, kind = definition.value, type(definition.value)
    if definition.place is None:
        return same_object, (value,), None, None
    if kind in FRESH:
        make, made_of = FRESH[kind](value)
        return _imported(definition, Call(make, made_of), None, None)
    if kind is object:
        return _imported(definition, Call(object, ()), None, None)
    return _imported(definition, Call(bare_instance, (kind,)), update_attributes, vars(value))


def _imported(definition: Definition, otherwise: Any, setter: Any, state: Any) -> Parts:
    """Return the parts of an object of an importable module: a worker has its own, or a new one."""
    place: Any = definition.place
    if is_of_standard_library(place):
        setter = state = None
    return imported_object, (*place, otherwise), setter, state
