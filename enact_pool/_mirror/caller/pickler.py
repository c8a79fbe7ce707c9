"""The pickler of what is sent: by name, by key or by value.

An object that workers can import is pickled by name, and an object that they have a copy of by
key. Everything else is pickled by value. This pickler extends cloudpickle's, which pickles many
types and the functions that are nested in functions of modules. An object that belongs to a scope
never reaches cloudpickle's by-value code.
"""

from __future__ import annotations

import contextvars
import dataclasses
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable
from enum import Enum
from functools import cached_property
from io import BytesIO
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar

import cloudpickle

from enact_pool._mirror import rebuild
from enact_pool._mirror.caller.arrays import numpy_is_loaded, reduce_array
from enact_pool._mirror.caller.code_names import reduce_code
from enact_pool._mirror.caller.definition import Definition, is_dispatcher
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.functions import dispatcher_parts, function_parts, function_state
from enact_pool._mirror.caller.instances import (
    has_own_reduce,
    reduce_plain_instance,
    scope_that_names,
)
from enact_pool._mirror.caller.libraries.reducers import add_reducers, reducers
from enact_pool._mirror.caller.module_globals import module_globals
from enact_pool._mirror.caller.needs import EVERY_NAME, Needs
from enact_pool._mirror.caller.process_bound import (
    REFUSALS,
    check_type,
    reduce_shared,
    shared_reducers,
)
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.caller.typing_objects import TYPING_TYPES, object_parts
from enact_pool._mirror.rebuild.enums import enum_member, enum_value
from enact_pool._mirror.rebuild.functions import (
    make_cell,
    make_function,
    set_cell,
    set_dispatcher,
    set_function,
)
from enact_pool._mirror.rebuild.references import bound_method, global_value, module_value
from enact_pool._mirror.rebuild.values import cached_property_of, load_library
from enact_pool._mirror.registry import imported, member, resolve, scope_module
from enact_pool._python.locks import AdvisingPickler

__all__ = ["PROTOCOL", "ByValuePickler"]

PROTOCOL = pickle.HIGHEST_PROTOCOL

# Sentinels of the standard library, which are compared by identity.
_SENTINELS: dict[int, tuple[Any, str]] = {
    id(getattr(dataclasses, name)): (dataclasses, name)
    for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
    if hasattr(dataclasses, name)
}


class ByValuePickler(AdvisingPickler, cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles callables, inputs and results.

    Attributes:
        needs: what a worker must have for everything that was pickled so far.
    """

    dispatch_table: ClassVar[Any]

    def __init__(
        self,
        file: BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
        *,
        repeated: bool = False,
    ) -> None:
        """`repeated` says whether the pickle is loaded more than once."""
        add_reducers()
        super().__init__(file, PROTOCOL, buffer_callback)
        self.needs = Needs()
        self._repeated = repeated

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType:
            return NotImplemented if id(obj) in _MAKERS else self._reduce_function(obj)
        if issubclass(kind, type):
            return self._reduce_class(obj)
        if issubclass(kind, Enum):
            return self._reduce_member(obj)
        if id(obj) in _SENTINELS:
            return getattr, _SENTINELS[id(obj)]
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(self, obj)
        return self._reduce_instance(obj, kind)

    # Functions and classes

    def refer(self, definition: Definition) -> Any:
        """Refer to a definition by its key."""
        self.needs.definitions[definition] = None
        definition.used = definitions.sweeps
        return resolve, (definition.key,)

    def refer_to_member(self, function: FunctionType, definition: Definition, name: str) -> Any:
        """Refer to the function that a class has under a name."""
        self.needs.definitions[definition] = None
        definition.used = definitions.sweeps
        return member, (definition.key, name)

    def _reduce_function(self, function: FunctionType) -> Any:
        found = definitions.find_function(function)
        if found is None:
            return self.function_by_value(function)
        if isinstance(found, Definition):
            return self.refer(found)
        return self.refer_to_member(function, *found)

    def function_by_value(self, function: FunctionType) -> Any:
        """Pickle a function that has no key: it is sent each time, but its globals are not."""
        if is_dispatcher(function):
            parts = dispatcher_parts(function)
            if parts is not None:
                maker, arguments, state = parts
                return maker, arguments, state, None, None, set_dispatcher
        scope = scopes.scope_of(function.__globals__)
        if scope is None:
            module = function.__module__
            owner = sys.modules.get(module) if type(module) is str else None
            if isinstance(owner, ModuleType) and not scopes.is_importable(module, owner):
                # cloudpickle would pickle it by a name that the worker cannot find.
                return self._dynamic_function_reduce(function)
            return super().reducer_override(function)
        arguments = function_parts(function, scope, self.cells(function), self.needs)
        state = function_state(function, scope, self.needs)
        return make_function, arguments, state, None, None, set_function

    def decorated_function(self, function: FunctionType) -> Any:
        """Reduce a function of an importable module that cannot be found there."""
        return self._dynamic_function_reduce(function)

    def cells(self, function: FunctionType) -> tuple[CellType, ...] | None:
        """Return the cells that a function is made with."""
        return function.__closure__

    def without_unsendable(
        self, definition: Definition, attributes: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the attributes of a class that can be pickled. Here all of them must be."""
        return attributes

    def _reduce_class(self, cls: Any) -> Any:
        definition = definitions.find_class(cls)
        if definition is None:
            place = module_globals.known_place_of_class(cls)
            return super().reducer_override(cls) if place is None else (module_value, place)
        return self.refer(definition)

    def _reduce_member(self, member: Enum) -> Any:
        cls = type(member)
        if definitions.find_class(cls) is None:
            return NotImplemented
        name = member._name_
        if type(name) is str and cls.__dict__["_member_map_"].get(name) is member:
            return enum_member, (cls, name)
        return enum_value, (cls, member._value_)

    # Instances

    def _reduce_instance(self, obj: Any, kind: Any) -> Any:
        if kind in shared_reducers:
            return reduce_shared(obj, kind, repeated=self._repeated)
        check_type(kind)
        if "ctypes" in sys.modules and issubclass(kind, sys.modules["ctypes"].CDLL):
            return load_library, (kind, obj._name, _functions_of(obj))
        if numpy_is_loaded() and (reduced := reduce_array(obj, kind)) is not None:
            return reduced
        if not has_own_reduce(kind):
            if issubclass(kind, ModuleType):
                return self._reduce_module(obj)
            return reduce_plain_instance(obj, kind)
        if kind in self.dispatch_table:
            return NotImplemented
        reduced = obj.__reduce_ex__(PROTOCOL)
        if type(reduced) is str:
            return self._global_by_name(obj, reduced)
        return reduced

    def _global_by_name(self, obj: Any, name: str) -> Any:
        """Refer to an object by the name of the global that it is; or let pickle find it."""
        scope = scope_that_names(obj, name)
        if scope is None:
            return name
        self.needs.names[scope, name] = None
        return global_value, (scope.key, name)

    # Other types

    def _reduce_typing_object(self, obj: Any) -> Any:
        definition = definitions.find_other(obj)
        if definition is not None:
            return self.refer(definition)
        parts = object_parts(obj)
        if parts is None:
            return NotImplemented
        maker, arguments, setter, state = parts
        if setter is None:
            return maker, arguments
        return maker, arguments, state, None, None, setter

    def _reduce_cell(self, cell: CellType) -> Any:
        definition = definitions.known(cell)
        if definition is not None:
            return self.refer(definition)
        try:
            contents = cell.cell_contents
        except ValueError:
            return make_cell, ()
        # As a state, since the contents may refer to the cell: a recursive function does.
        return make_cell, (), (contents,), None, None, set_cell

    def _reduce_module(self, module: ModuleType) -> Any:
        scope = scopes.scope_of_module(module)
        if scope is not None:
            self.needs.scopes[scope] = None
            self.needs.names[scope, EVERY_NAME] = None
            return scope_module, (scope.key,)
        name = module.__name__
        if scopes.is_importable(name, module):
            return imported, (name,)
        return NotImplemented

    def _reduce_method(self, method: MethodType) -> Any:
        """Pickle a method by its name, as plain pickle does: a copied function loses its state."""
        owner, function = method.__self__, method.__func__
        if isinstance(function, FunctionType):
            if type(definitions.find_function(function)) is tuple:
                return MethodType, (function, owner)
            name = function.__name__
            if isinstance(owner, type) and definitions.find_class(owner) is not None:
                return MethodType, (function, owner)
            if getattr(owner, name, None) == method:
                return bound_method, (owner, name)
        return MethodType, (function, owner)

    def _reduce_context_variable(self, variable: contextvars.ContextVar[Any]) -> Any:
        definition = definitions.known(variable)
        if definition is None:
            place = module_globals.place_of(variable)
            if place is not None:
                return module_value, place
            definition = definitions.define(variable, "context_variable")
        return self.refer(definition)


def _functions_of(library: Any) -> list[tuple[str, Any, Any]]:
    """Return the functions of a ctypes library that were used, with their types."""
    return [
        (name, function.restype, function.argtypes)
        for name, function in vars(library).items()
        if isinstance(function, library._FuncPtr)
    ]


# The functions of this package that pickles call. Plain pickle finds them by name.
_MAKERS = frozenset(
    id(function)
    for functions in (
        *(vars(module).values() for module in vars(rebuild).values() if type(module) is ModuleType),
        (resolve, member, imported, scope_module),
    )
    for function in functions
    if type(function) is FunctionType
)

_SPECIAL: dict[type, Any] = {
    **dict.fromkeys(TYPING_TYPES, ByValuePickler._reduce_typing_object),
    CellType: ByValuePickler._reduce_cell,
    ModuleType: ByValuePickler._reduce_module,
    # It has a lock before Python 3.12.
    cached_property: lambda _, value: (cached_property_of, (value.func, value.attrname)),
    MethodType: ByValuePickler._reduce_method,
    contextvars.ContextVar: ByValuePickler._reduce_context_variable,
}

ByValuePickler.dispatch_table = ChainMap(
    {CodeType: reduce_code, **REFUSALS}, reducers, cloudpickle.Pickler.dispatch_table
)
