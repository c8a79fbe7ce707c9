"""How functions, classes and enums are made from their parts.

In a worker, for definitions of the caller; and in the caller, for those that a worker has
made, which have no other place to be. No class body, no hook and no metaclass of the user's
runs: what they did to the class is among its parts.
"""

from __future__ import annotations

import abc
import sys
from functools import cached_property, lru_cache, singledispatch
from threading import Lock, RLock
from types import CellType, FunctionType
from weakref import WeakSet, WeakValueDictionary, ref

from enact_pool._mirror.registry import namespace, registry, unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType
    from typing import Any

__all__ = [
    "change",
    "enum_member",
    "enum_value",
    "fill",
    "make_cached",
    "make_cell",
    "make_class",
    "make_dispatcher",
    "make_enum",
    "make_function",
    "set_cached",
    "set_cell",
    "set_class",
    "set_dispatcher",
    "set_enum",
    "set_function",
]

_set_attribute = type.__setattr__
_delete_attribute = type.__delattr__


def make_function(
    code: CodeType,
    scope: str,
    name: str,
    qualname: str,
    module: Any,
    doc: Any,
    cells: tuple[CellType, ...] | None,
) -> FunctionType:
    """Make a function with the globals of a scope; it has no attributes and no defaults yet."""
    function = FunctionType(code, namespace(scope), name, None, cells)
    function.__qualname__ = qualname
    function.__module__ = module
    function.__doc__ = doc
    return function


def set_function(function: FunctionType, state: dict[str, Any]) -> FunctionType:
    """Give a function its attributes, defaults and annotations; import what it needs."""
    for module in state.pop("imports", ()):
        __import__(module)
    attributes = state.pop("attributes", None)
    if attributes:
        function.__dict__.update(attributes)
    for name, value in state.items():
        setattr(function, name, value)
    return function


def make_cell() -> CellType:
    """Make a cell with nothing in it."""
    return CellType()


def set_cell(cell: CellType, contents: tuple[Any, ...]) -> CellType:
    """Put the value into a cell, if there is one."""
    if contents:
        (cell.cell_contents,) = contents
    else:
        try:
            del cell.cell_contents
        except ValueError:
            pass  # it has none
    return cell


def make_cached(parameters: dict[str, Any], function: Any) -> Any:
    """Make a function that caches, with nothing in its cache."""
    return lru_cache(**parameters)(function)


def set_cached(cached: Any, state: tuple[dict[str, Any] | None, dict[str, Any]]) -> Any:
    """Give a function that caches its attributes, and those of the function it calls."""
    inner, attributes = state
    if inner is not None:
        set_function(cached.__wrapped__, inner)
    cached.__dict__.update(attributes)
    return cached


def make_dispatcher(function: Any) -> Any:
    """Make a function that dispatches by the type of its argument."""
    return singledispatch(function)


def set_dispatcher(dispatcher: Any, state: tuple[list[tuple[type, Any]], dict[str, Any]]) -> Any:
    """Register the functions of a dispatcher."""
    functions, attributes = state
    for cls, function in functions:
        if cls is not object:
            dispatcher.register(cls, function)
    dispatcher.__dict__.update(attributes)
    return dispatcher


class _Hookless:
    """A base that keeps the other bases from being told of a new subclass."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        pass


class _HooklessSlots:
    __slots__ = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        pass


def plain_new(metaclass: type) -> Any:
    """Return the `__new__` of a metaclass that runs no Python code of a metaclass."""
    for kind in metaclass.__mro__:
        if kind is abc.ABCMeta:
            return abc.ABCMeta.__new__
        new = kind.__dict__.get("__new__")
        new = getattr(new, "__func__", new)
        if new is not None and not isinstance(new, FunctionType):
            return new
    return type.__new__


def make_class(
    metaclass: type,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Iterable[tuple[str, str, Any]] = (),
) -> type:
    """Make a class with its functions, which refer to nothing yet; no hook hears of it."""
    new = plain_new(metaclass)
    cls: type
    if bases and bases != (object,):
        cls = _made_behind_hooks(new, metaclass, name, bases, contents)
    else:
        cls = new(metaclass, name, bases, dict(contents))
    for attribute, wrapper, parts in functions:
        function: Any = make_function(*parts)
        if wrapper == "class":
            function = classmethod(function)
        elif wrapper == "static":
            function = staticmethod(function)
        _set_attribute(cls, attribute, function)
    return cls


def _made_behind_hooks(
    new: Any, metaclass: type, name: str, bases: tuple[type, ...], contents: dict[str, Any]
) -> type:
    if not any(
        "__init_subclass__" in kind.__dict__ and kind is not object
        for base in bases
        for kind in base.__mro__
    ):
        return new(metaclass, name, bases, dict(contents))  # type: ignore[no-any-return]
    for shadow in (_Hookless, _HooklessSlots):
        try:
            cls: type = new(metaclass, name, (shadow, *bases), dict(contents))
            cls.__bases__ = bases
        except TypeError:
            continue  # another layout
        return cls
    if metaclass is not type:
        try:
            return _made_behind_order(new, metaclass, name, bases, contents)
        except TypeError:
            pass  # the metaclass is of C code
    # There is no other way.
    return new(metaclass, name, bases, dict(contents))  # type: ignore[no-any-return]


def _made_behind_order(
    new: Any, metaclass: Any, name: str, bases: tuple[type, ...], contents: dict[str, Any]
) -> type:
    """Make a class that has a hookless one next to it in the order of its bases, for a moment."""

    class Ordering(metaclass):  # type: ignore[misc]
        def mro(cls) -> list[type]:
            first, *rest = super().mro()
            return [first, _HooklessSlots, *rest]

    cls: type = new(Ordering, name, bases, dict(contents))
    cls.__class__ = metaclass
    # Has the order made anew.
    cls.__bases__ = bases
    return cls


def set_class(cls: type, state: dict[str, Any]) -> type:
    """Give a class its attributes, and its functions what they refer to."""
    registered = state.pop("_abc_impl", None)
    functions = state.pop("functions", ())
    attributes = state.pop("attributes")
    first_line = attributes.get("__firstlineno__")
    for name, value in attributes.items():
        # Past the metaclass, which may refuse it or act on it.
        _set_attribute(cls, name, value)
    for name, function_state in functions:
        function = cls.__dict__[name]
        set_function(getattr(function, "__func__", function), function_state)
    for subclass in registered or ():
        cls.register(subclass)  # type: ignore[attr-defined]
    if first_line is not None:
        _set_attribute(cls, "__firstlineno__", first_line)
    return cls


def make_enum(
    metaclass: type,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Iterable[tuple[str, str, Any]],
    member_type: type,
    members: list[tuple[str, Any]],
) -> type:
    """Make an enum with its members, which have no values yet."""
    cls = make_class(metaclass, name, bases, contents, functions)
    made: dict[str, Any] = {}
    for member, value in members:
        if member_type is object:
            made[member] = object.__new__(cls)
        else:
            made[member] = member_type.__new__(cls, value)
    _set_attribute(cls, "_member_map_", made)
    return cls


def set_enum(cls: type, state: dict[str, Any]) -> type:
    """Give an enum its attributes, its members their values, and both their names."""
    made: dict[str, Any] = cls.__dict__["_member_map_"]
    members, names = state.pop("members"), state.pop("names")
    for name, attributes in members.items():
        made[name].__dict__.update(attributes)
        made[name].__objclass__ = cls
    by_name = {name: made[member] for name, member in names.items()}
    set_class(cls, state)
    by_value: dict[Any, Any] = {}
    unhashable: list[Any] = []
    for member in made.values():
        try:
            by_value.setdefault(member._value_, member)
        except TypeError:
            unhashable.append(member)  # found by comparing, as enums do
    _set_attribute(cls, "_member_map_", by_name)
    _set_attribute(cls, "_value2member_map_", by_value)
    for name, member in by_name.items():
        if name not in cls.__dict__:
            _set_attribute(cls, name, member)
    return cls


def enum_member(cls: Any, name: str) -> Any:
    """Return the member of an enum with this name."""
    return cls.__dict__["_member_map_"][name]


def enum_value(cls: Any, value: Any) -> Any:
    """Return the member of a flag that combines others."""
    key = registry.key_of(cls)
    if key is not None:
        registry.complete(key)
    return cls(value)


def make_context_variable(name: str, default: tuple[Any, ...]) -> Any:
    """Make a context variable, with a default if it has one."""
    import contextvars

    if default:
        return contextvars.ContextVar(name, default=default[0])
    return contextvars.ContextVar(name)


def make_new_type(name: str, module: Any) -> Any:
    """Make a `NewType`, whose supertype is told later."""
    import typing

    new_type: Any = typing.NewType
    made = new_type(name, object)
    made.__module__ = module
    return made


def make_type_variable(kind: str, name: str, module: Any, details: dict[str, Any]) -> Any:
    """Make a type variable."""
    import typing

    constraints = details.pop("constraints", ())
    made = getattr(typing, kind)(name, *constraints, **details)
    made.__module__ = module
    return made


def make_alias(name: str, module: Any, parameters: list[str], keys: list[str]) -> Any:
    """Make a type alias, whose value is looked up when it is asked for: it may be recursive."""
    value: list[Any] = []
    declared = f"[{', '.join(parameters)}]" if parameters else ""
    contents: dict[str, Any] = {"__name__": module, "_value": value}
    exec(f"type {name}{declared} = _value[0]", contents)
    made = contents[name]
    for key, parameter in zip(keys, made.__type_params__, strict=True):
        registry.add(key, parameter)
    _alias_values[id(made)] = made, value
    return made


_alias_values: dict[int, tuple[Any, list[Any]]] = {}


def set_alias(alias: Any, value: Any) -> Any:
    """Give a type alias its value."""
    _alias_values.pop(id(alias))[1].append(value)
    return alias


def set_attributes(value: Any, attributes: dict[str, Any]) -> Any:
    """Give any object attributes."""
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def fill(container: Any, contents: Any) -> Any:
    """Put these contents into a list, dict or set, in the place of what it has."""
    container.clear()
    if type(container) is list:
        container.extend(contents)
    else:
        container.update(contents)
    return container


# What the name of a change begins with that registers a class with an abstract base class.
REGISTERED = "registered with: "


def change(value: Any, name: str, contents: tuple[Any, ...]) -> None:
    """Set an attribute that the caller has set, or delete one that it has deleted."""
    if issubclass(type(value), CellType):
        set_cell(value, contents)
    elif issubclass(type(value), type) and "." in name:
        method, _, attribute = name.partition(".")
        if method in value.__dict__:
            change(unwrapped(value.__dict__[method]), attribute, contents)
    elif name.startswith(REGISTERED):
        if contents:
            value.register(contents[0])
    elif contents:
        if issubclass(type(value), type):
            _set_attribute(value, name, contents[0])
        else:
            setattr(value, name, contents[0])
    elif name in value.__dict__:
        if issubclass(type(value), type):
            _delete_attribute(value, name)
        else:
            delattr(value, name)


def new_lock() -> Any:
    """Make a lock that nobody holds."""
    return Lock()


def new_rlock() -> Any:
    """Make a re-entrant lock that nobody holds."""
    return RLock()


def weak_reference(value: Any) -> Any:
    """Make a weak reference; the object must be kept alive elsewhere."""
    return ref(value)


def own_random(kind: Any) -> Any:
    """Make a random generator with a stream of this process's own."""
    return kind()


def own_generator(kind: Any, bits: Any) -> Any:
    """Make one of NumPy's generators, likewise."""
    return kind(bits())


def own_torch_generator(device: str) -> Any:
    """Make one of torch's generators, likewise."""
    torch: Any = sys.modules["torch"] if "torch" in sys.modules else __import__("torch")
    generator = torch.Generator(device)
    generator.seed()
    return generator


def cached_property_of(function: Any, name: str | None) -> Any:
    """Make a cached property, whose lock is its own."""
    made: Any = cached_property(function)
    made.attrname = name
    return made


def bare_instance(kind: Any) -> Any:
    """Make an instance, without its class's own `__new__`."""
    return object.__new__(kind)


def library(kind: Any, name: Any, functions: list[tuple[str, Any, Any]]) -> Any:
    """Load a library of ctypes, and give its functions their types."""
    loaded = kind(name)
    for function_name, result, arguments in functions:
        function = getattr(loaded, function_name)
        function.restype = result
        if arguments is not None:
            function.argtypes = arguments
    return loaded


def same(value: Any) -> Any:
    """Return what is found by its name."""
    return value


def global_value(scope: str, name: str) -> Any:
    """Return the global of a scope with this name."""
    return namespace(scope)[name]


def bound_method(owner: Any, name: str) -> Any:
    """Return a method of a class or an instance by its name."""
    return getattr(owner, name)


def function_of(cls: type, name: str) -> Any:
    """Return the function that a class has under a name, without binding it."""
    return unwrapped(cls.__dict__[name])


def module_value(module: str, name: str) -> Any:
    """Return what a module has under a name."""
    __import__(module)
    return sys.modules[module].__dict__[name]


# Classes that a worker has made, as long as somebody has them; and those that are complete.
_received: WeakValueDictionary[str, Any] = WeakValueDictionary()
_finished: WeakSet[Any] = WeakSet()


def received_class(key: str, maker: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the class with this key, which a worker has made; make it if it is not here."""
    known = _received.get(key)
    if known is None:
        known = _received[key] = maker(*arguments)
    return known


def finish_class(cls: Any, state: tuple[Any, Any]) -> Any:
    """Give such a class its attributes, the first time."""
    setter, contents = state
    if cls not in _finished:
        _finished.add(cls)
        setter(cls, contents)
    return cls
