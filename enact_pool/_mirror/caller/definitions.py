"""The table of definitions: the caller's objects that have keys.

Nothing is pickled here: `records` does that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import EnumMeta
from types import FunctionType, ModuleType
from typing import Any

from enact_pool._mirror.caller.definition import UNNAMED, Definition, kind_of
from enact_pool._mirror.caller.delivery import note_release
from enact_pool._mirror.caller.fork_safe_lock import ForkSafeLock
from enact_pool._mirror.caller.instances import is_heap
from enact_pool._mirror.caller.module_globals import (
    imported_place,
    module_globals,
    provides,
    value_at,
)
from enact_pool._mirror.caller.scopes import Scope, scopes
from enact_pool._mirror.registry import (
    member_key,
    module_of,
    note_members,
    qualname_of,
    registry,
)

__all__ = ["Definitions", "definitions"]


class Definitions:
    """All definitions of this process.

    Any thread may find and make definitions. Only a thread that holds the lock of `snapshot` may
    release them.

    Attributes:
        releases: how many definitions were released.
        sweeps: how many sweeps there were: see `sweeping`.
        new_bytes: the size of the pickles of definitions that were made since the last sweep.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Definition] = {}
        # For functions in the dicts of classes: the class's definition, and the name.
        self._members: dict[int, tuple[Definition, str]] = {}
        self.releases = 0
        self.sweeps = 0
        self.new_bytes = 0
        # Two threads may need the same new definition. A thread that holds this lock may acquire
        # the lock of `scopes`, but never the other way round.
        self._lock = ForkSafeLock()

    def known(self, value: Any) -> Definition | None:
        """Return the definition of an object that has one; None for others."""
        found = self._by_id.get(id(value))
        return found if found is not None and found.value is value else None

    def member_of(self, function: Any) -> tuple[Definition, str] | None:
        """Return the class that has this function in its dict, and the name that it has there."""
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
        if not is_heap(cls):
            return None
        module, qualname = module_of(cls), qualname_of(cls)
        owner = sys.modules.get(module)
        if not isinstance(owner, ModuleType):
            owner = None
        elif scopes.is_importable(module, owner) and provides(owner, qualname, cls):
            return None
        if (
            "<" not in qualname
            and (owner is None or scopes.scope_of_module(owner) is None)
            and module_globals.place_of_class(cls) is not None
        ):
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
        scope = scopes.scope_of(function.__globals__)
        if scope is None:
            return self._find_decorated(function)
        qualname = function.__qualname__
        if "<" not in qualname:
            if "." not in qualname:
                if scope.contents.get(qualname) is function:
                    return self.define(function, "function", scope.module)
            else:
                return self._find_member(scope, function, qualname)
        scope.refresh()
        if scope.name_of(function) is not None:
            return self.define(function, "function", scope.module)
        return None

    def _find_decorated(self, function: FunctionType) -> Definition | None:
        """Return the definition of a global whose code belongs to a decorator of a library."""
        module = function.__module__
        owner = sys.modules.get(module) if type(module) is str else None
        if (
            isinstance(owner, ModuleType)
            and scopes.is_importable(module, owner)
            and provides(owner, function.__qualname__, function)
        ):
            return None
        for scope in scopes:
            scope.refresh()
            if scope.name_of(function) is not None:
                return self.define(function, "function", scope.module)
        return None

    def _find_member(
        self, scope: Scope, function: FunctionType, qualname: str
    ) -> Definition | tuple[Definition, str] | None:
        holder = value_at(scope.contents, qualname.rpartition(".")[0])
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
        kind = kind_of(value)
        if kind is None or kind == "cell":
            return None
        module = getattr(value, "__module__", None)
        owner = sys.modules.get(module) if type(module) is str else None
        if not isinstance(owner, ModuleType):
            return None
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        scope = scopes.scope_of_module(owner)
        if scope is None:
            return None
        if scope.name_of(value) is None and value_at(scope.contents, str(name)) is not value:
            return None
        return self.define(value, kind, owner)

    def define(self, value: Any, kind: str, owner: ModuleType | None = None) -> Definition:
        """Return the definition of an object; make it, with a new key, if there is none."""
        found = self.known(value)
        if found is not None:
            return found
        with self._lock:
            return self.known(value) or self._define(value, kind, owner)

    def _define(self, value: Any, kind: str, owner: ModuleType | None) -> Definition:
        key = registry.key_of(value)
        if key is None or registry.objects.get(key) is not value:
            key = registry.new_key()
            registry.add(key, value)
        definition = Definition(key, kind, value)
        definition.used = self.sweeps
        if kind in ("container", "value"):
            definition.place = imported_place(value)
        scope = scopes.scope_of_module(owner) if owner is not None else None
        if scope is not None:
            definition.name = scope.name_of(value) or ""
        self._by_id[id(value)] = definition
        if issubclass(type(value), type):
            note_members(key, value)
            for name in list(value.__dict__):
                function = registry.objects.get(member_key(key, name))
                # (One of an importable module, such as `Enum.__new__`, may be in many classes.)
                if function is not None and _is_of_class(function):
                    self._members.setdefault(id(function), (definition, name))
        return definition

    def is_shared(self, container: Any) -> bool:
        """Return whether a list, dict or set has a key, or is a global of a scope."""
        return self.known(container) is not None or scopes.has_global(container)

    def release_replaced(self, definition: Definition, scope: Scope, name: str) -> None:
        """Release the definition of a global that has another value now, if that is safe.

        It is safe for a function or class that the script has defined again under its own name.
        Another name, such as a loop's variable, does not show where else the object is used.

        Results of running tasks may still refer to it: it is found while a snapshot keeps it.
        """
        value = definition.value
        if scope.name_of(value) is not None:
            return
        if definition.kind in ("value", "container") or (
            getattr(value, "__qualname__", None) == name
        ):
            self.release([definition])

    def release(self, released: Iterable[Definition]) -> None:
        """Forget definitions, here and in workers. An object that is used again gets a new key."""
        owners = set(released)
        for identity, (owner, _) in list(self._members.items()):
            if owner in owners:
                del self._members[identity]
        for definition in owners:
            self.releases += 1
            if self._by_id.get(id(definition.value)) is definition:
                del self._by_id[id(definition.value)]
            note_release(definition.key)
            if not registry.is_own(definition.key):
                continue
            if definition.kind in UNNAMED:
                registry.discard(definition.key)
            else:
                registry.release(definition.key)

    def __len__(self) -> int:
        """Return how many definitions there are."""
        return len(self._by_id)

    def all(self) -> list[Definition]:
        """Return all definitions."""
        return list(self._by_id.values())


def _is_of_class(function: FunctionType) -> bool:
    """Return whether a function of a scope is no global under its own name: a class has it."""
    scope = scopes.scope_of(function.__globals__)
    return scope is not None and scope.contents.get(function.__qualname__) is not function


definitions = Definitions()
