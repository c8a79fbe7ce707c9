"""The parts of definitions: how a worker makes each one, and then sets what it refers to.

Each function below returns the maker, its arguments, a setter and the state that it sets: see
`rebuild`. The setter is None if the definition refers to nothing.
"""

from __future__ import annotations

import abc
import sys
from collections.abc import Callable
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.functions import (
    dispatcher_parts,
    function_parts,
    function_state,
    note_annotations,
)
from enact_pool._mirror.caller.libraries.classes import library_of
from enact_pool._mirror.caller.libraries.library import Parts, Skeleton
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._mirror.caller.scopes import Scope, scopes
from enact_pool._mirror.caller.typing_objects import object_parts
from enact_pool._mirror.caller.value_parts import (
    Call,
    cell_parts,
    container_parts,
    context_variable_parts,
    value_parts,
)
from enact_pool._mirror.rebuild.classes import make_class, plain_new, set_class
from enact_pool._mirror.rebuild.enums import make_enum, set_enum
from enact_pool._mirror.rebuild.functions import (
    make_cached,
    make_function,
    set_cached,
    set_dispatcher,
    set_function,
)
from enact_pool._mirror.rebuild.references import same_object
from enact_pool._mirror.registry import module_of, qualname_of
from enact_pool._wire.frames import SHAREABLE

__all__ = ["DESCRIPTORS", "MADE", "parts_of", "registered_with"]

# The attributes of a class that are made along with it.
MADE = frozenset(
    ("__dict__", "__weakref__", "_abc_impl", "__annotate_func__", "__slots__", "__class__")
)
DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)

# The name of each function of a class, its wrapper ("", "class" or "static"), and its parts.
Functions = list[tuple[str, str, Any]]


def parts_of(pickler: ByValuePickler, definition: Definition) -> Parts:
    """Return the parts of a definition; add what they need to the pickler's needs."""
    of_value = _VALUE_PARTS.get(definition.kind)
    return (
        _PARTS[definition.kind](pickler, definition) if of_value is None else of_value(definition)
    )


def _function(pickler: ByValuePickler, definition: Definition) -> Parts:
    function = definition.value
    scope = scopes.scope_of(function.__globals__)
    if scope is None:
        # The code of a decorator, in an importable module.
        make, made_of, values, _, _, setter = pickler.decorated_function(function)
        return make, made_of, setter, values
    arguments = _arguments(pickler, function, scope)
    state = function_state(function, scope, pickler.needs)
    return make_function, arguments, set_function, state


def _arguments(pickler: ByValuePickler, function: FunctionType, scope: Scope) -> tuple[Any, ...]:
    return function_parts(function, scope, pickler.cells(function), pickler.needs)


def _cache(pickler: ByValuePickler, definition: Definition) -> Parts:
    cached = definition.value
    inner = cached.__wrapped__
    attributes = {name: v for name, v in cached.__dict__.items() if name != "__wrapped__"}
    scope = scopes.scope_of(inner.__globals__) if type(inner) is FunctionType else None
    if scope is None or definitions.known(inner) is not None:
        made, state = inner, None
    else:
        made = Call(make_function, _arguments(pickler, inner, scope))
        state = function_state(inner, scope, pickler.needs)
    arguments = cached.cache_parameters(), made
    return make_cached, arguments, set_cached, (state, attributes)


def _dispatcher(pickler: ByValuePickler, definition: Definition) -> Parts:
    parts = dispatcher_parts(definition.value)
    if parts is None:
        return same_object, (definition.value,), None, None
    maker, arguments, state = parts
    return maker, arguments, set_dispatcher, state


def _typing_object(pickler: ByValuePickler, definition: Definition) -> Parts:
    return object_parts(definition.value) or (same_object, (definition.value,), None, None)


# Classes


def _class(pickler: ByValuePickler, definition: Definition) -> Parts:
    cls: Any = definition.value
    library = library_of(cls)
    if library is not None:
        definition.is_remade = library.remakes
    contents, functions = _skeleton(pickler, definition)
    attributes = _attributes(pickler, definition, functions)
    if library is not None:
        state = _state(pickler, definition, attributes, functions)
        return library.parts(pickler.needs, definition, Skeleton(contents, functions, state))
    if _is_made_by_c(type(cls)):
        # The class must have all its attributes when it is made, including its functions.
        known = {
            name: value
            for name, value in cls.__dict__.items()
            if name not in MADE and not isinstance(value, DESCRIPTORS)
        }
        return make_class, (type(cls), cls.__name__, cls.__bases__, known), None, None
    state = _state(pickler, definition, attributes, functions)
    arguments = type(cls), cls.__name__, cls.__bases__, contents, functions
    return make_class, arguments, set_class, state


def _is_made_by_c(metaclass: type) -> bool:
    new = plain_new(metaclass)
    return new is not type.__new__ and not isinstance(getattr(new, "__func__", new), FunctionType)


def _enum(pickler: ByValuePickler, definition: Definition) -> Parts:
    cls: Any = definition.value
    contents, functions = _skeleton(pickler, definition)
    member_type = cls._member_type_
    unique = list({id(member): member for member in cls._member_map_.values()}.values())
    members = [(member._name_, *_made_with(member, member_type)) for member in unique]
    attributes = _attributes(pickler, definition, functions)
    for name in ("_member_map_", "_value2member_map_", *cls._member_map_):
        attributes.pop(name, None)
    state = _state(pickler, definition, attributes, functions)
    state["members"] = {
        member._name_: {
            # That is a cache, of another member.
            name: None if name == "_inverted_" else value
            for name, value in vars(member).items()
            if name != "__objclass__"
        }
        for member in unique
    }
    state["names"] = {name: member._name_ for name, member in cls._member_map_.items()}
    parts = type(cls), cls.__name__, cls.__bases__, contents, functions
    arguments = parts, member_type, members
    return make_enum, arguments, set_enum, state


def _made_with(member: Any, member_type: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what `__new__` of the data type makes a member of, and its first attributes.

    The attributes are there before anything that refers to the member is unpickled: it may be
    hashed then.
    """
    value = member._value_
    first = {"_name_": member._name_}
    if type(value) in SHAREABLE:
        first["_value_"] = value
    if member_type.__new__ is object.__new__:
        return (), first
    # Not `object.__reduce_ex__`, which sets an attribute of the enum.
    if hasattr(member_type, "__getnewargs__"):
        return member_type.__getnewargs__(member), first
    if member_type.__reduce__ is not object.__reduce__:
        return member_type.__reduce__(member)[1], first
    return (member_type(member),), first


def _skeleton(pickler: ByValuePickler, definition: Definition) -> tuple[dict[str, Any], Functions]:
    """Return the contents that a class must be made with, and its functions."""
    cls: Any = definition.value
    contents = {"__module__": cls.__dict__.get("__module__"), "__qualname__": qualname_of(cls)}
    # (Setting the last one later would change the class of the class.)
    for name in ("__slots__", "__parameters__", "__class__"):
        if name in cls.__dict__:
            contents[name] = cls.__dict__[name]
    functions: Functions = []
    for name, value in list(cls.__dict__.items()):
        wrapper = {classmethod: "class", staticmethod: "static"}.get(type(value), "")
        function = value.__func__ if wrapper else value
        if type(function) is not FunctionType or definitions.known(function) is not None:
            continue
        scope = scopes.scope_of(function.__globals__)
        if scope is not None and definitions.member_of(function) == (definition, name):
            functions.append((name, wrapper, _arguments(pickler, function, scope)))
    definition.functions = frozenset(name for name, _, _ in functions)
    return contents, functions


def _attributes(
    pickler: ByValuePickler, definition: Definition, functions: Functions
) -> dict[str, Any]:
    """Return the other attributes of a class, without those that cannot be pickled."""
    cls: Any = definition.value
    made = {name for name, _, _ in functions}
    attributes = {
        name: value
        for name, value in definition.attributes().items()
        if name not in MADE
        and name not in made
        and not (isinstance(value, DESCRIPTORS) and value.__objclass__ is cls)
    }
    return pickler.without_unsendable(definition, attributes)


def _state(
    pickler: ByValuePickler,
    definition: Definition,
    attributes: dict[str, Any],
    functions: Functions,
) -> dict[str, Any]:
    cls: Any = definition.value
    states = []
    for name, wrapper, _ in functions:
        value = cls.__dict__[name]
        function = value.__func__ if wrapper else value
        state = function_state(function, scopes.scope_of(function.__globals__), pickler.needs)
        if state:
            states.append((name, state))
    state = {"attributes": attributes, "functions": states}
    if "_abc_impl" in cls.__dict__ and (registered := registered_with(cls)):
        state["_abc_impl"] = registered
    annotations = cls.__dict__.get("__annotations__")  # noqa: RUF063 - evaluates nothing
    module = sys.modules.get(module_of(cls))
    scope = scopes.scope_of_module(module) if isinstance(module, ModuleType) else None
    if annotations and scope is not None:
        note_annotations(annotations, scope, pickler.needs)
    return state


def registered_with(cls: Any) -> list[type]:
    """Return the classes that were registered with an abstract base class."""
    get_dump: Any = vars(abc)["_get_dump"]
    return [found for each in get_dump(cls)[0] if (found := each()) is not None]


_PARTS: dict[str, Callable[[ByValuePickler, Definition], Parts]] = {
    "function": _function,
    "class": _class,
    "enum": _enum,
    "cache": _cache,
    "dispatcher": _dispatcher,
    "new_type": _typing_object,
    "type_variable": _typing_object,
    "alias": _typing_object,
}

_VALUE_PARTS: dict[str, Callable[[Definition], Parts]] = {
    "cell": cell_parts,
    "container": container_parts,
    "context_variable": context_variable_parts,
    "value": value_parts,
}
