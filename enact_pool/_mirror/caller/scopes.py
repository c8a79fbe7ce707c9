"""The scopes: modules that workers cannot import, and the globals of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.fork_safe_lock import ForkSafeLock
from enact_pool._mirror.caller.importable import by_value_modules, is_importable
from enact_pool._mirror.registry import registry

__all__ = ["IMPLICIT", "Scope", "Scopes", "scopes"]

# The globals that every module has: the mirror of a module gets its own.
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


class Scope:
    """A module that workers cannot import, and its globals.

    Attributes:
        key: the name that pickles refer to it by, unique over all processes.
        contents: the module's `__dict__`.
        version: how many refreshes have found a change.
    """

    def __init__(self, key: str, contents: dict[str, Any], module: ModuleType | None) -> None:
        self.key = key
        self.contents = contents
        self.module = module
        self.version = 0
        # The ids of the values, in the order of the names, and the names by these ids.
        self._ids: list[int] = []
        self._names: dict[int, str] = {}
        # What was sent: the scope itself, its globals by name, and the names of its functions
        # and classes. `bindings` sets these.
        self.item: Any = None
        self.bindings: dict[str, Any] = {}
        self.others: Any = None

    def refresh(self) -> bool:
        """Note which object each global is bound to; return whether any binding has changed."""
        # In C alone, so that no other thread can change the dict during the iteration.
        ids = list(map(id, self.contents.values()))
        if ids != self._ids:
            names = list(self.contents)
            if len(names) == len(ids):
                # If an object has several names, the first one counts.
                self._names = dict(zip(reversed(ids), reversed(names), strict=True))
                self._ids = ids
            self.version += 1
            return True
        return False

    def matches(self, contents: dict[str, Any]) -> bool:
        """Return whether the last refresh saw these globals."""
        return list(map(id, contents.values())) == self._ids

    def names_in_modules(self) -> list[str]:
        """Return the names under which `sys.modules` has the module."""
        return [
            name
            for name in dict.fromkeys(("__main__", str(self.contents.get("__name__"))))
            if sys.modules.get(name) is self.module
        ]

    def is_implicit(self, value: Any) -> bool:
        """Return whether a value is a list or dict that the import system put into the module."""
        return any(self.contents.get(name) is value for name in ("__builtins__", "__path__"))

    def name_of(self, value: Any) -> str | None:
        """Return the name of the global with this value; None if there is none."""
        name = self._names.get(id(value))
        if name is None or self.contents.get(name) is not value:
            return None
        return name


class Scopes:
    """All scopes of this process. Any thread may call any method."""

    def __init__(self) -> None:
        self._by_namespace: dict[int, Scope] = {}
        # Two threads may need the same new scope.
        self._lock = ForkSafeLock()

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
            with self._lock:
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
        scope.refresh()
        self._by_namespace[id(contents)] = scope
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

    def refresh(self) -> bool:
        """Note which object each global is bound to; return whether any binding has changed."""
        changes = [scope.refresh() for scope in list(self._by_namespace.values())]
        return any(changes)

    def contents(self) -> dict[Scope, dict[str, Any]]:
        """Return copies of the globals of all scopes."""
        main = sys.modules.get("__main__")
        if isinstance(main, ModuleType):
            self.scope_of_module(main)
        return {scope: scope.contents.copy() for scope in list(self._by_namespace.values())}

    def has_global(self, value: Any) -> bool:
        """Return whether a global of any scope has this value."""
        return any(scope.name_of(value) is not None for scope in self._by_namespace.values())

    def __iter__(self) -> Iterator[Scope]:
        return iter(list(self._by_namespace.values()))

    def __len__(self) -> int:
        """Return how many scopes there are; scopes are never removed."""
        return len(self._by_namespace)


scopes = Scopes()
