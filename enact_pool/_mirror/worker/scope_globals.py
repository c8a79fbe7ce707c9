"""The globals of the caller's scopes, in the modules that mirror them.

A global that is bound to a definition is *unresolved* until it is needed: then its definition is
made, and assigned to it. A global with a plain value is *deferred*: setting it may take an import.
"""

from __future__ import annotations

import builtins
import sys

from enact_pool._mirror.registry import Mirror, MissingDefinition, registry, resolve
from enact_pool._mirror.worker.children import MainSpec
from enact_pool._mirror.worker.failures import Failures, error_text, exit_if_forked
from enact_pool._mirror.worker.operations import load_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

__all__ = ["DATA_KINDS", "ScopeGlobals"]

# The kinds of definitions that hold values only. Making one may call any function or class.
DATA_KINDS = frozenset(("container", "value"))

# Modules that mirrors have replaced. They are kept: their functions would lose their globals.
_replaced: list[Any] = []


class ScopeGlobals:
    """The mirrors of scopes in this process, and what their globals are bound to."""

    def __init__(self, kinds: dict[str, str], failures: Failures) -> None:
        """`kinds` are the kinds of definitions by key."""
        self._kinds = kinds
        self._failures = failures
        # By scope and name: the key of each unresolved global, and the step that sets each
        # deferred one.
        self._unresolved: dict[str, dict[str, str]] = {}
        self._deferred: dict[str, dict[str, Callable[[], object]]] = {}
        # The globals that are bound to a definition, by its key; and the other way round.
        self._places: dict[str, dict[tuple[str, str], None]] = {}
        self._keys: dict[tuple[str, str], str] = {}

    def places_of(self, key: str) -> Collection[tuple[str, str]]:
        """Return the scopes and names of the globals that are bound to a definition."""
        return self._places.get(key, ())

    # Operations: each returns the step that completes it, or None.

    def add_scope(self, arguments: tuple[Any, ...], content: None) -> None:
        """Make the mirror of a scope, or set more of its attributes and names."""
        key, names, attributes = arguments
        module = registry.modules.get(key)
        if module is None:
            module = Mirror(attributes["__name__"])
            contents = module.__dict__
            contents["__builtins__"] = builtins
            registry.modules[key] = module
            registry.namespaces[key] = contents
            registry.keys[id(contents)] = key
            self._unresolved[key] = {}
            self._deferred[key] = {}
        for name, value in attributes.items():
            module.__dict__[name] = value
        for name in names:
            if name == "__main__":
                _replaced.append(sys.modules.get(name))
                module.__dict__["__spec__"] = MainSpec(module, self.load_all)
            sys.modules[name] = module

    def bind(self, arguments: tuple[str, str, str], content: None) -> Callable[[], object]:
        """Bind a global to a definition."""
        scope, name, key = arguments
        if self._keys.get((scope, name)) != key:
            self._forget(scope, name)
            self._keys[scope, name] = key
            self._places.setdefault(key, {})[scope, name] = None
        self._unresolved[scope][name] = key
        self._failures.globals.pop((scope, name), None)
        registry.namespaces[scope].pop(name, None)

        def assign() -> None:
            if self._unresolved[scope].get(name) != key:
                return
            try:
                if self._kinds.get(key) in DATA_KINDS:
                    self.resolve(scope, name)
                else:
                    self._assign(scope, name)  # `Copies.apply` completes it after all others
            except MissingDefinition:
                return  # code that uses the global raises an error with the reason

        return assign

    def set_value(
        self, arguments: tuple[str, str, list[str]], content: Any
    ) -> Callable[[], object]:
        """Set a global to a plain value."""
        scope, name, _ = arguments
        self._forget(scope, name)

        def set_global() -> None:
            try:
                registry.namespaces[scope][name] = load_content(content)
                self._failures.globals.pop((scope, name), None)
            except BaseException as error:
                exit_if_forked()
                self._failures.globals[scope, name] = f"{name}: {error_text(error)}"
                self._failures.retries[f"{scope} {name}"] = set_global

        return set_global

    def import_from(
        self, arguments: tuple[str, str, str, str], content: None
    ) -> Callable[[], object]:
        """Set a global to the one that a module has under the same name."""
        scope, name, module, reason = arguments
        self._forget(scope, name)
        self._failures.imported[scope, name] = module, reason

        def import_global() -> None:
            try:
                __import__(module)
                registry.namespaces[scope][name] = sys.modules[module].__dict__[name]
            except BaseException as error:
                exit_if_forked()
                self._failures.globals[scope, name] = f"{name}: {error_text(error)}"

        return import_global

    def note_missing(self, arguments: tuple[str, str, str], content: None) -> None:
        """Delete a global that could not be sent, and note the reason."""
        scope, name, reason = arguments
        self.delete((scope, name), content)
        self._failures.globals[scope, name] = reason

    def delete(self, arguments: tuple[str, str], content: None) -> None:
        """Delete a global."""
        scope, name = arguments
        self._forget(scope, name)
        registry.namespaces[scope].pop(name, None)

    def _forget(self, scope: str, name: str) -> None:
        """Forget what a global was bound to: its definition may not be needed any more."""
        self._failures.globals.pop((scope, name), None)
        self._failures.imported.pop((scope, name), None)
        self._unresolved[scope].pop(name, None)
        self._deferred[scope].pop(name, None)
        key = self._keys.pop((scope, name), None)
        if key is not None:
            places = self._places[key]
            del places[scope, name]
            if not places:
                del self._places[key]

    # What is needed

    def defer(self, scope: str, name: str, step: Callable[[], object]) -> None:
        """Run the step that sets a global when the global is needed."""
        self._deferred[scope][name] = step

    def _assign(self, scope: str, name: str) -> Any:
        key = self._unresolved[scope][name]
        try:
            value = resolve(key)
        except MissingDefinition as error:
            self._failures.globals[scope, name] = str(error)
            raise
        registry.namespaces[scope][name] = value
        self._unresolved[scope].pop(name, None)
        self._failures.globals.pop((scope, name), None)
        return value

    def resolve(self, scope: str, name: str) -> Any:
        """Assign the complete definition to a global. Raises `MissingDefinition`."""
        key = self._unresolved[scope][name]
        # Before it is complete: it may refer to itself.
        value = self._assign(scope, name)
        registry.complete(key)
        return value

    def resolve_places(self, key: str) -> None:
        """Assign a definition to all globals that are bound to it."""
        try:
            for scope, name in list(self.places_of(key)):
                if self._unresolved[scope].get(name) == key:
                    self.resolve(scope, name)
        except MissingDefinition:
            return  # code that uses the global raises an error with the reason

    def unassign_places(self, key: str, *, only_assigned: bool) -> None:
        """Make the globals that are bound to a definition unresolved, all or the assigned ones."""
        for scope, name in self.places_of(key):
            assigned = registry.namespaces[scope].pop(name, None)
            if assigned is not None or not only_assigned:
                self._unresolved[scope][name] = key

    def load_all(self) -> None:
        """Set all globals."""
        for deferred in self._deferred.values():
            _set_all(deferred)
        for scope, names in self._unresolved.items():
            for name in list(names):
                try:
                    self.resolve(scope, name)
                except MissingDefinition:
                    continue  # code that uses the global raises an error with the reason

    def find(self, module: Mirror, name: str) -> Any:
        """Return a global that a mirror does not contain yet. Raises `AttributeError`."""
        scope = registry.keys.get(id(module.__dict__), "")
        deferred = self._deferred.get(scope)
        if deferred and (name in deferred or name in self._unresolved[scope]):
            # The global may be a function that refers to deferred ones.
            _set_all(deferred)
        if name in module.__dict__:
            return module.__dict__[name]
        if name in self._unresolved.get(scope, ()):
            return self.resolve(scope, name)
        text = f"module {module.__name__!r} has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=module)


def _set_all(deferred: dict[str, Callable[[], object]]) -> None:
    while deferred:
        deferred.popitem()[1]()
