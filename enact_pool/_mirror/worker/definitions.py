"""The definitions that this worker has received: made and completed when they are needed."""

from __future__ import annotations

from enact_pool._mirror.rebuild.attributes import change_attribute
from enact_pool._mirror.registry import MissingDefinition, note_members, registry, resolve
from enact_pool._mirror.worker.failures import Failures, error_text, exit_if_forked
from enact_pool._mirror.worker.operations import load_content
from enact_pool._mirror.worker.scope_globals import DATA_KINDS, ScopeGlobals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["Definitions"]

# The kinds of definitions that results never refer to by key.
_UNNAMED_KINDS = DATA_KINDS | {"cell"}


class Definitions:
    """The caller's definitions in this process, by key."""

    def __init__(
        self, kinds: dict[str, str], scope_globals: ScopeGlobals, failures: Failures
    ) -> None:
        """`kinds` are the kinds of definitions by key; this object fills them in."""
        self._kinds = kinds
        self._globals = scope_globals
        self._failures = failures
        # What was received and is not loaded yet, by key.
        self._objects: dict[str, tuple[Any, str, list[str]]] = {}
        # What messages call the definitions.
        self._labels: dict[str, str] = {}
        self._states: dict[str, tuple[Any, list[str]]] = {}
        self._changes: dict[str, list[tuple[str, Any, list[str]]]] = {}
        # Values whose needs are being completed, and objects that are being made, in order.
        self._loading: set[str] = set()
        self._making: list[str] = []
        # Objects that could be made, but not completed.
        self._incomplete: dict[str, Any] = {}

    def key_of(self, value: Any) -> str | None:
        """Return the key of a definition that came from the caller; None for other objects.

        The caller's global may have another value by now: the values of globals have no key.
        """
        key = registry.keys.get(id(value))
        if key is None or self._kinds.get(key, "value") in _UNNAMED_KINDS:
            return None
        return key

    # Operations: each returns the step that completes it, or None.

    def add(
        self, arguments: tuple[str, str, str, list[str]], content: Any
    ) -> Callable[[], object] | None:
        """Receive how an object is made."""
        key, kind, label, needed = arguments
        self._failures.definitions.pop(key, None)
        self._kinds[key] = kind
        self._labels[key] = label
        self._objects[key] = content, kind, needed
        known = registry.objects.get(key)
        if known is None:
            return None
        # The value of a global that the caller has changed: it becomes another object.
        registry.discard(key)
        self._globals.unassign_places(key, only_assigned=False)
        return lambda: self._globals.resolve_places(key)

    def set_state(self, arguments: tuple[str, list[str]], content: Any) -> Callable[[], object]:
        """Receive what an object refers to."""
        key, needed = arguments
        self._revive(key)
        self._states[key] = content, needed
        # A callable may have bound the global to another object, which the caller has not.
        known = registry.objects.get(key)
        if known is not None:
            for scope, name in self._globals.places_of(key):
                registry.namespaces[scope][name] = known
        return lambda: self._try_to_complete(key)

    def change(self, arguments: tuple[str, str, list[str]], content: Any) -> Callable[[], object]:
        """Receive a change of an attribute."""
        key, name, needed = arguments
        self._failures.attributes.get(key, {}).pop(name, None)
        self._changes.setdefault(key, []).append((name, content, needed))
        return lambda: self._try_to_complete(key)

    def delete_unsendable(
        self, arguments: tuple[str, str, str], content: None
    ) -> Callable[[], object]:
        """Delete an attribute that could not be sent, and note the reason."""
        key, name, reason = arguments
        self._failures.attributes.setdefault(key, {})[name] = reason
        self._changes.setdefault(key, []).append((name, None, []))
        return lambda: self._try_to_complete(key)

    def note_broken(self, arguments: tuple[str, str], content: None) -> None:
        """Discard a definition that could not be sent, and note the reason."""
        key, reason = arguments
        registry.discard(key)
        self._failures.definitions[key] = reason

    def wake(self, arguments: tuple[str], content: None) -> Callable[[], object]:
        """Make and complete a definition that was received before, and is needed now."""
        key = arguments[0]
        return lambda: self._make_and_complete(key)

    def release(self, arguments: tuple[str], content: None) -> None:
        """Forget a definition that the caller does not need any more."""
        key = arguments[0]
        if self._kinds.get(key) not in _UNNAMED_KINDS:
            registry.release(key)
            return
        registry.discard(key)
        self._objects.pop(key, None)
        self._states.pop(key, None)
        self._changes.pop(key, None)
        self._kinds.pop(key, None)
        self._labels.pop(key, None)
        self._incomplete.pop(key, None)

    # What is needed

    def load(self, key: str) -> Any:
        """Make an object that was received. Raises `MissingDefinition`."""
        if key in self._failures.definitions:
            raise MissingDefinition(self._failures.definitions[key])
        if key in self._incomplete:
            self._revive(key)
            return registry.objects[key]
        if key in self._making:
            cycle = [*self._making[self._making.index(key) :], key]
            first, *others = (self._labels[each] for each in cycle)
            raise MissingDefinition(f"making {first} needs {', which needs '.join(others)}")
        if key not in self._objects:
            raise MissingDefinition(f"the definition {key} was not received")
        content, kind, needed = self._objects[key]
        try:
            if kind == "value" and key not in self._loading:
                # Making an instance takes a complete class, and completing the class may take
                # this very instance: as a class attribute.
                self._loading.add(key)
                try:
                    for each in needed:
                        self.complete(each)
                finally:
                    self._loading.discard(key)
                if key in registry.objects:
                    return registry.objects[key]
            self._objects.pop(key, None)
            self._making.append(key)
            try:
                maker, arguments = load_content(content)
                value = maker(*arguments)
            finally:
                self._making.remove(key)
            if issubclass(type(value), type):
                note_members(key, value)
        except BaseException as error:
            exit_if_forked()
            self._objects[key] = content, kind, needed
            self._fail(key, error)
        registry.add(key, value)
        return value

    def complete(self, key: str) -> None:
        """Set what an object refers to, as far as received. Raises `MissingDefinition`."""
        if key not in self._states and key not in self._changes:
            return
        value = resolve(key)
        try:
            state = self._states.pop(key, None)
            if state is not None:
                content, needed = state
                try:
                    for each in needed:
                        self.complete(each)
                    setter, contents = load_content(content)
                    setter(value, contents)
                except BaseException:
                    self._states[key] = state
                    raise
            for name, content, needed in self._changes.pop(key, ()):
                for each in needed:
                    self.complete(each)
                change_attribute(value, name, () if content is None else load_content(content))
        except BaseException as error:
            exit_if_forked()
            # No callable may use the object while it is incomplete.
            self._globals.unassign_places(key, only_assigned=True)
            self._incomplete[key] = value
            registry.discard(key)
            self._fail(key, error)

    def _try_to_complete(self, key: str) -> None:
        try:
            self.complete(key)
        except MissingDefinition:
            return  # code that uses the definition raises an error with the reason

    def _make_and_complete(self, key: str) -> None:
        self._globals.resolve_places(key)
        self._try_to_complete(key)

    def _fail(self, key: str, error: BaseException) -> NoReturn:
        """Note that an object could not be made or completed, and raise `MissingDefinition`."""
        places = self._globals.places_of(key)
        if isinstance(error, MissingDefinition):
            reason = str(error)
        else:
            names = ", ".join(name for _, name in places) or self._labels[key]
            reason = f"{names} cannot be rebuilt: {error_text(error)}"
        self._failures.definitions[key] = reason
        for place in places:
            self._failures.globals[place] = reason

        def try_again() -> None:
            self._revive(key)
            self._make_and_complete(key)

        self._failures.retries[key] = try_again
        raise MissingDefinition(reason) from error

    def _revive(self, key: str) -> None:
        """Register an object again that could not be completed, but may be completed now."""
        if key in self._incomplete:
            self._failures.definitions.pop(key, None)
            registry.add(key, self._incomplete.pop(key))
