"""What the caller has: the scopes, and the definitions and objects in them that have keys.

Nothing is pickled here: see `snapshot` for that.
"""

from __future__ import annotations

import os
import sys
import threading
import typing
from collections.abc import Callable, Iterable, Iterator
from enum import EnumMeta
from functools import lru_cache, singledispatch
from types import CellType, FunctionType, ModuleType
from typing import Any

from enact_pool._mirror.caller.delivery import note_release
from enact_pool._mirror.caller.importable import by_value_modules, is_importable
from enact_pool._mirror.registry import (
    member_key,
    module_of,
    note_members,
    qualname_of,
    registry,
    unwrapped,
)

__all__ = ["CONTAINERS", "UNNAMED", "Definition", "LruCache", "Scope", "Scopes", "scopes"]

LruCache = type(lru_cache(len))
_DISPATCH_CODE: Any = singledispatch(len).__code__  # type: ignore[attr-defined]
_TypeAlias: Any = getattr(typing, "TypeAliasType", None)
_TypeVarTuple: Any = getattr(typing, "TypeVarTuple", None)

CONTAINERS = (list, dict, set)

# What kind of definition an object is, by its type; of classes and functions see `_kind`.
_KINDS: dict[type, str] = {
    LruCache: "cache",
    typing.NewType: "new_type",
    typing.TypeVar: "type_variable",
    typing.ParamSpec: "type_variable",
    CellType: "cell",
    **({} if _TypeAlias is None else {_TypeAlias: "alias"}),
    **({} if _TypeVarTuple is None else {_TypeVarTuple: "type_variable"}),
}

# What every module has: the copy of a module gets its own.
IMPLICIT = frozenset(
    (
        "__name__",
        "__builtins__",
        "__doc__",
        "__spec__",
        "__loader__",
        "__package__",
        "__cached__",
        "__file__",
        "__path__",
    )
)


# What results never refer to by its key.
UNNAMED = frozenset(("value", "container", "cell"))


class Definition:
    """An object of the caller that workers have a copy of.

    `kind` says how it is made there: a class, a function, a cell of a closure, the value of a
    global, and so on. `name` is the name of the global, if it is one.
    """

    __slots__ = (
        "can_be_sent",
        "functions",
        "is_made_anew",
        "key",
        "kind",
        "name",
        "record",
        "refers_to",
        "used",
        "value",
    )

    def __init__(self, key: str, kind: str, value: Any) -> None:
        self.key = key
        self.kind = kind
        self.value = value
        # Of a global: its name.
        self.name = ""
        # The number of the last sweep before it was referred to: see `sweeping`.
        self.used = 0
        # Of a class: the names of the functions that are made along with it.
        self.functions: frozenset[str] = frozenset()
        # Of a class: whether a library makes an attribute anew in a worker.
        self.is_made_anew: Callable[[str, Any], bool] | None = None
        # Of a value: those that it refers to by their keys, which must be made before it.
        self.refers_to: set[Definition] = set()
        # What was pickled of it: kept by `records`.
        self.record: Any = None
        # Of the value of a global: whether it was found that it can be pickled.
        self.can_be_sent = False

    def attributes(self) -> dict[str, Any]:
        """Return what a class has of its own, without what a library makes anew."""
        attributes = dict(self.value.__dict__)
        made_anew = self.is_made_anew
        if made_anew is None:
            return attributes
        return {name: v for name, v in attributes.items() if not made_anew(name, v)}

    def __repr__(self) -> str:
        return f"<Definition {self.key} {self.kind} {self.name}>"


class Scope:
    """A module that workers cannot import, and its globals."""

    def __init__(self, key: str, contents: dict[str, Any], module: ModuleType | None) -> None:
        self.key = key
        self.contents = contents
        self.module = module
        # The ids of the values, in the order of the names, and the names by these ids.
        self._ids: list[int] = []
        self._names: dict[int, str] = {}
        # How often it was seen to change.
        self.version = 0
        # What was sent of it, its globals and its other definitions: kept by `bindings`.
        self.item: Any = None
        self.bindings: dict[str, Any] = {}
        self.others: Any = None

    def look(self) -> bool:
        """See which globals have other values now; return whether any has."""
        # In C alone, so that no other thread can change the dict meanwhile.
        ids = list(map(id, self.contents.values()))
        if ids != self._ids:
            names = list(self.contents)
            if len(names) == len(ids):
                # The first name of an object is the one that counts.
                self._names = dict(zip(reversed(ids), reversed(names), strict=True))
                self._ids = ids
            self.version += 1
            return True
        return False

    def was_seen_with(self, contents: dict[str, Any]) -> bool:
        """Return whether the last look has seen these globals."""
        return list(map(id, contents.values())) == self._ids

    def names_in_modules(self) -> list[str]:
        """Return the names under which the module is found."""
        return [
            name
            for name in dict.fromkeys(("__main__", str(self.contents.get("__name__"))))
            if sys.modules.get(name) is self.module
        ]

    def is_implicit(self, value: Any) -> bool:
        """Return whether a value is what each module has."""
        return any(self.contents.get(name) is value for name in ("__builtins__", "__path__"))

    def name_of(self, value: Any) -> str | None:
        """Return the name of the global with this value; None if there is none."""
        name = self._names.get(id(value))
        if name is None or self.contents.get(name) is not value:
            return None
        return name


class Scopes:
    """All scopes and definitions of this process."""

    def __init__(self) -> None:
        self._by_namespace: dict[int, Scope] = {}
        self._definitions: dict[int, Definition] = {}
        # Functions in the dicts of classes: the class's definition, and the name.
        self._members: dict[int, tuple[Definition, str]] = {}
        # How many modules were found that workers cannot import.
        self.modules = 0
        # How many definitions were let go of, and how often that was tried.
        self.releases = 0
        self.sweeps = 0
        # Two threads may need the same new one.
        self._renew()
        os.register_at_fork(after_in_child=self._renew)
        # What the pickles of new definitions take, since then.
        self.new_bytes = 0

    def _renew(self) -> None:
        self._making = threading.RLock()

    # Scopes

    def scope_of(self, contents: dict[str, Any]) -> Scope | None:
        """Return the scope with these globals; None if a worker can import the module."""
        scope = self._by_namespace.get(id(contents))
        if scope is not None:
            return scope
        name = contents.get("__name__")
        module = sys.modules.get(name) if type(name) is str else None
        if not isinstance(module, ModuleType) or module.__dict__ is not contents:
            return None
        return self.scope_of_module(module)

    def scope_of_module(self, module: ModuleType) -> Scope | None:
        """Return the scope of this module; None if a worker can import it."""
        contents = module.__dict__
        scope = self._by_namespace.get(id(contents))
        if scope is None:
            name = contents.get("__name__")
            if type(name) is not str or self.is_importable(name, module):
                return None
            with self._making:
                scope = self._by_namespace.get(id(contents))
                if scope is None:
                    scope = self._new_scope(name, module)
        return scope

    def _new_scope(self, name: str, module: ModuleType) -> Scope:
        contents = module.__dict__
        key = registry.keys.get(id(contents)) or f"{registry.new_key()}:{name}"
        scope = Scope(key, contents, module)
        registry.namespaces[key] = contents
        registry.modules[key] = module
        scope.look()
        self._by_namespace[id(contents)] = scope
        self.modules += 1
        return scope

    def is_importable(self, name: str, module: ModuleType) -> bool:
        """Return whether a worker that imports this name gets this module."""
        if sys.modules.get(name) is not module or not is_importable(name):
            return False
        by_value = by_value_modules()
        if by_value:
            parts = name.split(".")
            return not any(".".join(parts[:end]) in by_value for end in range(1, len(parts) + 1))
        return True

    def look(self) -> bool:
        """See which globals have other values now; return whether any has."""
        looks = [scope.look() for scope in list(self._by_namespace.values())]
        return any(looks)

    def contents(self) -> dict[Scope, dict[str, Any]]:
        """Return copies of the globals of all scopes."""
        main = sys.modules.get("__main__")
        if isinstance(main, ModuleType):
            self.scope_of_module(main)
        return {scope: scope.contents.copy() for scope in list(self._by_namespace.values())}

    def __iter__(self) -> Iterator[Scope]:
        return iter(list(self._by_namespace.values()))

    # Definitions

    def known(self, value: Any) -> Definition | None:
        """Return the definition of an object that has a key."""
        found = self._definitions.get(id(value))
        return found if found is not None and found.value is value else None

    def member_of(self, function: Any) -> tuple[Definition, str] | None:
        """Return the class that has this function in its dict, and the name it has there."""
        found = self._members.get(id(function))
        if found is not None:
            definition, name = found
            if registry.objects.get(member_key(definition.key, name)) is function:
                return found
        return None

    def find_class(self, cls: type) -> Definition | None:
        """Return the definition of a class that workers cannot import; None for others."""
        found = self.known(cls)
        if found is not None:
            return found
        if not _is_heap(cls):
            return None
        module, qualname = module_of(cls), qualname_of(cls)
        owner = sys.modules.get(module)
        if not isinstance(owner, ModuleType):
            owner = None
        elif _at(owner.__dict__, qualname) is cls and self.is_importable(module, owner):
            return None
        return self.define(cls, "enum" if isinstance(cls, EnumMeta) else "class", owner)

    def find_function(self, function: FunctionType) -> Definition | tuple[Definition, str] | None:
        """Return the definition of a function, or its place in a class; None if it has neither."""
        found = self.known(function)
        if found is not None:
            return found
        place = self.member_of(function)
        if place is not None:
            return place
        scope = self.scope_of(function.__globals__)
        if scope is None:
            return None
        qualname = function.__qualname__
        if "<" not in qualname:
            if "." not in qualname:
                if scope.contents.get(qualname) is function:
                    return self.define(function, "function", scope.module)
            else:
                return self._find_member(scope, function, qualname)
        scope.look()
        if scope.name_of(function) is not None:
            return self.define(function, "function", scope.module)
        return None

    def _find_member(
        self, scope: Scope, function: FunctionType, qualname: str
    ) -> Definition | tuple[Definition, str] | None:
        holder = _at(scope.contents, qualname.rpartition(".")[0])
        if issubclass(type(holder), type):
            self.find_class(holder)
            place = self.member_of(function)
            if place is not None:
                return place
        if scope.name_of(function) is not None:
            return self.define(function, "function", scope.module)
        return None

    def find_other(self, value: Any) -> Definition | None:
        """Return the definition of an object that is neither a class nor a function."""
        found = self.known(value)
        if found is not None:
            return found
        kind = _KINDS.get(type(value))
        if kind is None or kind == "cell":
            return None
        module = getattr(value, "__module__", None)
        owner = sys.modules.get(module) if type(module) is str else None
        if not isinstance(owner, ModuleType):
            return None
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        scope = self.scope_of_module(owner)
        if scope is None:
            return None
        if scope.name_of(value) is None and _at(scope.contents, str(name)) is not value:
            return None
        return self.define(value, kind, owner)

    def define(self, value: Any, kind: str, owner: ModuleType | None = None) -> Definition:
        """Return the definition of an object, with a key that it keeps."""
        found = self.known(value)
        if found is not None:
            return found
        with self._making:
            return self.known(value) or self._define(value, kind, owner)

    def _define(self, value: Any, kind: str, owner: ModuleType | None) -> Definition:
        key = registry.key_of(value)
        if key is None or registry.objects.get(key) is not value:
            key = registry.new_key()
            registry.add(key, value)
        definition = Definition(key, kind, value)
        definition.used = self.sweeps
        scope = self.scope_of_module(owner) if owner is not None else None
        if scope is not None:
            definition.name = scope.name_of(value) or ""
        self._definitions[id(value)] = definition
        if issubclass(type(value), type):
            note_members(key, value)
            for name in list(value.__dict__):
                function = registry.objects.get(member_key(key, name))
                if function is not None:
                    self._members.setdefault(id(function), (definition, name))
        return definition

    def is_shared(self, container: Any) -> bool:
        """Return whether a list, dict or set has a key, or is a global of a scope."""
        return self.known(container) is not None or any(
            scope.name_of(container) is not None for scope in self._by_namespace.values()
        )

    def release(self, definition: Definition, scope: Scope, name: str) -> None:
        """Let go of the definition of a global, which has another value now.

        That is, of a redefined function or class. Another name, such as a loop's variable,
        says nothing of where else the object is.

        Results of tasks that run may name it: it is found as long as a snapshot keeps it.
        """
        value = definition.value
        if scope.name_of(value) is not None:
            return
        if definition.kind in ("value", "container") or (
            getattr(value, "__qualname__", None) == name
        ):
            self.let_go([definition])

    def let_go(self, definitions: Iterable[Definition]) -> None:
        """Forget definitions, here and in workers: one that is used again gets another key."""
        owners = set(definitions)
        for identity, (owner, _) in list(self._members.items()):
            if owner in owners:
                del self._members[identity]
        for definition in owners:
            self.releases += 1
            if self._definitions.get(id(definition.value)) is definition:
                del self._definitions[id(definition.value)]
            note_release(definition.key)
            if not registry.is_own(definition.key):
                continue
            if definition.kind in UNNAMED:
                registry.discard(definition.key)
            else:
                registry.release(definition.key)

    def __len__(self) -> int:
        """How many definitions there are."""
        return len(self._definitions)

    def definitions(self) -> list[Definition]:
        """Return all definitions."""
        return list(self._definitions.values())


def is_dispatcher(function: FunctionType) -> bool:
    """Return whether a function was made by `functools.singledispatch`."""
    return function.__code__ is _DISPATCH_CODE


def kind_of_global(value: Any) -> str | None:
    """Return the kind of definition that a global of this value is; None for a plain value."""
    if issubclass(type(value), FunctionType):
        return "dispatcher" if is_dispatcher(value) else "function"
    return _KINDS.get(type(value))


def _at(contents: Any, path: str) -> Any:
    """Return what is found under a qualified name, without running code of the user's."""
    for part in path.split("."):
        if issubclass(type(contents), type):
            contents = contents.__dict__
        if not hasattr(type(contents), "get"):
            return None
        contents = contents.get(part)
        if contents is None:
            return None
    return unwrapped(contents)


_HEAP_TYPE = 1 << 9


def _is_heap(cls: type) -> bool:
    """Return whether a class was made by Python code, or at run time by C code."""
    return bool(type.__dict__["__flags__"].__get__(cls) & _HEAP_TYPE)


scopes = Scopes()
