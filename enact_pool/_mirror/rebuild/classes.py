"""Classes, made without running a hook or a metaclass of the user's."""

from __future__ import annotations

import abc
from types import FunctionType
from weakref import WeakSet, WeakValueDictionary

from enact_pool._mirror.rebuild.functions import make_method, set_function
from enact_pool._mirror.registry import complete_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    # The name of each function of a class, its wrapper, and its parts: see `make_method`.
    Methods = Iterable[tuple[str, str, tuple[Any, ...]]]
    # The arguments of `make_class`.
    ClassParts = tuple[Any, str, tuple[type, ...], dict[str, Any], Methods]

__all__ = [
    "contents_with_methods",
    "finish_class",
    "make_class",
    "plain_new",
    "received_class",
    "set_class",
]

_set_attribute = type.__setattr__


class _Hookless:
    """A base that hides a new subclass from the hooks of the other bases."""

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
    methods: Methods = (),
) -> type:
    """Make a class with its functions, which refer to nothing yet, and call no hook."""
    new = plain_new(metaclass)
    cls: type
    if bases and bases != (object,):
        cls = _make_without_hooks(new, metaclass, name, bases, contents)
    else:
        cls = new(metaclass, name, bases, dict(contents))
    for attribute, wrapper, parts in methods:
        _set_attribute(cls, attribute, make_method(wrapper, parts))
    return cls


def contents_with_methods(contents: dict[str, Any], methods: Methods) -> dict[str, Any]:
    """Return the contents of a class along with its functions, which refer to nothing yet."""
    contents = dict(contents)
    for value in contents.values():
        if type(value) in (list, dict, set):
            complete_definition(value)  # the library reads it when it makes the class
    for name, wrapper, parts in methods:
        contents[name] = make_method(wrapper, parts)
    return contents


def _make_without_hooks(
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
            return _make_in_another_order(new, metaclass, name, bases, contents)
        except TypeError:
            pass  # the metaclass is written in C
    # There is no other way.
    return new(metaclass, name, bases, dict(contents))  # type: ignore[no-any-return]


def _make_in_another_order(
    new: Any, metaclass: Any, name: str, bases: tuple[type, ...], contents: dict[str, Any]
) -> type:
    """Make a class whose first base in method resolution order is hookless, for a moment."""

    class Ordering(metaclass):  # type: ignore[misc]
        def mro(cls) -> list[type]:
            first, *rest = super().mro()
            return [first, _HooklessSlots, *rest]

    cls: type = new(Ordering, name, bases, dict(contents))
    cls.__class__ = metaclass
    # This computes the order again.
    cls.__bases__ = bases
    return cls


def set_class(cls: type, state: dict[str, Any]) -> type:
    """Set the attributes of a class, and what its functions refer to."""
    registered = state.pop("_abc_impl", None)
    methods = state.pop("functions", ())
    attributes = state.pop("attributes")
    first_line = attributes.get("__firstlineno__")
    for name, value in attributes.items():
        # Not through the metaclass, which may refuse the attribute or act on it.
        _set_attribute(cls, name, value)
    for name, function_state in methods:
        function = cls.__dict__[name]
        set_function(getattr(function, "__func__", function), function_state)
    for subclass in registered or ():
        cls.register(subclass)  # type: ignore[attr-defined]
    if first_line is not None:
        _set_attribute(cls, "__firstlineno__", first_line)
    return cls


# In the caller: the classes that a worker has made, while something refers to them, and those
# of them that are complete.
_received: WeakValueDictionary[str, Any] = WeakValueDictionary()
_finished: WeakSet[Any] = WeakSet()


def received_class(key: str, maker: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the class of a worker that has this key; make the class if it is unknown."""
    known = _received.get(key)
    if known is None:
        known = _received[key] = maker(*arguments)
    return known


def finish_class(cls: Any, state: tuple[Any, Any]) -> Any:
    """Set the attributes of a class of a worker, unless they are set."""
    setter, contents = state
    if cls not in _finished:
        _finished.add(cls)
        setter(cls, contents)
    return cls
