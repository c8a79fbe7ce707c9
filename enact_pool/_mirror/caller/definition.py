"""A definition: an object of the caller that each worker has one copy of."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import lru_cache, singledispatch
from types import CellType, FunctionType
from typing import Any

__all__ = ["CONTAINERS", "UNNAMED", "Definition", "LruCache", "is_dispatcher", "kind_of"]

LruCache = type(lru_cache(len))
_DISPATCH_CODE: Any = singledispatch(len).__code__  # type: ignore[attr-defined]
_TypeAlias: Any = getattr(typing, "TypeAliasType", None)
_TypeVarTuple: Any = getattr(typing, "TypeVarTuple", None)

CONTAINERS = (list, dict, set)

# Results never refer to definitions of these kinds by key.
UNNAMED = frozenset(("value", "container", "cell"))

# The kinds of objects that are neither classes nor functions, by type.
_KINDS: dict[type, str] = {
    LruCache: "cache",
    typing.NewType: "new_type",
    typing.TypeVar: "type_variable",
    typing.ParamSpec: "type_variable",
    CellType: "cell",
    **({} if _TypeAlias is None else {_TypeAlias: "alias"}),
    **({} if _TypeVarTuple is None else {_TypeVarTuple: "type_variable"}),
}


class Definition:
    """An object of the caller that workers have a copy of.

    Attributes:
        key: the name that pickles refer to it by, unique over all processes.
        kind: how a worker makes it: "class", "function", "cell", "value" (of a global) ...
        value: the object, which the definition keeps alive.
    """

    __slots__ = (
        "can_be_sent",
        "functions",
        "is_remade",
        "key",
        "kind",
        "name",
        "place",
        "record",
        "refers_to",
        "used",
        "value",
    )

    def __init__(self, key: str, kind: str, value: Any) -> None:
        self.key = key
        self.kind = kind
        self.value = value
        # The name of the global with this value; "" if there is none.
        self.name = ""
        # The number of the last sweep before a pickle referred to it: see `sweeping`.
        self.used = 0
        # For a class: the names of the functions that are made along with it.
        self.functions: frozenset[str] = frozenset()
        # For a class: whether its library makes an attribute again in a worker.
        self.is_remade: Callable[[str, Any], bool] | None = None
        # For a value: the values that it refers to by key, which must be made before it.
        self.refers_to: set[Definition] = set()
        # For a container or value that is a global of an importable module: its module and name.
        self.place: tuple[str, str] | None = None
        # What was pickled of it. `records` sets this.
        self.record: Any = None
        # For the value of a global: whether an attempt to pickle it has succeeded.
        self.can_be_sent = False

    @property
    def label(self) -> str:
        """What messages call it."""
        if self.name:
            return self.name
        kind = type(self.value)
        if issubclass(kind, type) or self.kind in ("function", "cache", "dispatcher"):
            return str(getattr(self.value, "__qualname__", "a function"))
        if self.kind == "context_variable":
            return f"the context variable {self.value.name!r}"
        return "the value of a closure" if self.kind == "cell" else f"a {kind.__name__}"

    def attributes(self) -> dict[str, Any]:
        """Return a class's own attributes, without those that its library makes again."""
        attributes = dict(self.value.__dict__)
        is_remade = self.is_remade
        if is_remade is None:
            return attributes
        return {name: v for name, v in attributes.items() if not is_remade(name, v)}

    def __repr__(self) -> str:
        return f"<Definition {self.key} {self.kind} {self.name}>"


def is_dispatcher(function: FunctionType) -> bool:
    """Return whether `functools.singledispatch` made a function."""
    return function.__code__ is _DISPATCH_CODE


def kind_of(value: Any) -> str | None:
    """Return the kind of the definition of an object that is not a class; None for plain values."""
    if issubclass(type(value), FunctionType):
        return "dispatcher" if is_dispatcher(value) else "function"
    return _KINDS.get(type(value))
