"""The globals of scopes: the value of each at the last inspection, and the item that sends it."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from enum import Enum
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.changes import may_change
from enact_pool._mirror.caller.definition import CONTAINERS, Definition, kind_of
from enact_pool._mirror.caller.definition_pickler import dumps, unpicklable_path
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.items import Item
from enact_pool._mirror.caller.module_globals import module_globals
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.records import Inspection, current_record
from enact_pool._mirror.caller.scopes import IMPLICIT, Scope, scopes
from enact_pool._mirror.registry import module_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import SHAREABLE

__all__ = [
    "Binding",
    "current_binding",
    "deleted_binding",
    "functions_and_classes_of",
    "scope_item",
    "value_of",
]

# Stands for the value of a global that does not exist.
_ABSENT: Any = object()


def scope_item(scope: Scope) -> Item:
    """Return the item that makes the mirror of a scope."""
    names = scope.names_in_modules()
    item: Item | None = scope.item
    if item is None or item.arguments[1] != names:
        contents = scope.contents
        attributes = {
            name: contents[name]
            for name in ("__name__", "__file__", "__package__", "__doc__", "__path__")
            if isinstance(contents.get(name), (str, list))
        }
        arguments = scope.key, names, attributes
        item = scope.item = Item(("scope", scope.key), "scope", arguments)
    return item


def functions_and_classes_of(scope: Scope) -> Needs:
    """Return needs for the scope's own functions and classes: a task may look up their names."""
    known = scope.others
    if known is None or known[0] != scope.version:
        needs = Needs()
        module = scope.contents.get("__name__")
        for name, value in list(scope.contents.items()):
            if name in IMPLICIT:
                continue
            if issubclass(type(value), type):
                is_own = module_of(value) == module
            else:
                kind = kind_of(value)
                is_own = kind is not None and getattr(value, "__module__", None) == module
            if is_own:
                needs.names[scope, name] = None
        known = scope.others = scope.version, needs
    return known[1]  # type: ignore[no-any-return]


class Binding:
    """The value of a global at the last inspection, and the item and needs that send it."""

    __slots__ = ("definition", "item", "needs", "value")

    def __init__(
        self, value: Any, item: Item, needs: Needs, definition: Definition | None = None
    ) -> None:
        self.value = value
        self.item = item
        self.needs = needs
        self.definition = definition


def value_of(scope: Scope, name: str) -> Any:
    """Return the value that a global has now, or an object that stands for no value."""
    return scope.contents.get(name, _ABSENT)


def current_binding(scope: Scope, name: str, inspection: Inspection) -> Binding | None:
    """Return the binding of a global as it is now; None if no global ever had the name."""
    if name in IMPLICIT:
        return None
    value = inspection.globals_of(scope).get(name, _ABSENT)
    known: Binding | None = scope.bindings.get(name)
    if known is not None and _is_current(known, value, inspection):
        return known
    if value is _ABSENT:
        if known is None:
            return None
        binding = deleted_binding(scope, name)
    else:
        binding = _new_binding(scope, name, value, inspection)
        if known is not None:
            if known.item.kind == "absent" and known.item.arguments == binding.item.arguments:
                binding.item = known.item
            elif known.definition is not None and known.value is not value:
                definitions.release_replaced(known.definition, scope, name)
    scope.bindings[name] = binding
    return binding


def _is_current(known: Binding, value: Any, inspection: Inspection) -> bool:
    if known.value is not value:
        return False
    if known.item.kind == "absent":
        return inspection.patient  # if not patient, try again: its parts may have changed
    if known.definition is None:
        return not _is_sent_otherwise(value, known.needs)
    # Objects that can be sent only to a worker that is being started are never sent again.
    is_sent_once = module_of(type(value)).startswith("multiprocessing.")
    return is_sent_once or _can_be_sent(known.definition, inspection)


def _is_sent_otherwise(value: Any, needs: Needs) -> bool:
    """Return whether a value is a module that was importable, and has been edited since."""
    if type(value) is not ModuleType:
        return False
    scope = scopes.scope_of_module(value)
    return scope is not None and scope not in needs.scopes


def deleted_binding(scope: Scope, name: str) -> Binding:
    """Return the binding of a global that was deleted."""
    item = Item(("name", scope.key, name), "unbind", (scope.key, name))
    return Binding(_ABSENT, item, Needs())


def _can_be_sent(definition: Definition, inspection: Inspection) -> bool:
    try:
        current_record(definition, inspection)
    except BaseException as error:
        raise_interrupt(error)
        return False
    return True


def _new_binding(scope: Scope, name: str, value: Any, inspection: Inspection) -> Binding:
    slot = "name", scope.key, name
    needs = Needs()
    needs.scopes[scope] = None
    try:
        definition = _definition_of_global(scope, value)
        if definition is not None:
            current_record(definition, inspection)
            needs.definitions[definition] = None
            item = Item(slot, "bind", (scope.key, name, definition.key), pin=value)
            return Binding(value, item, needs, definition)
        content, buffers, more = dumps(value)
        needs.add(more)
        needed = [each.key for each in more.definitions]
        arguments = scope.key, name, needed
        item = Item(slot, "set", arguments, content, buffers, needed=needed)
        return Binding(value, item, needs)
    except BaseException as error:
        raise_interrupt(error)
        module = _module_with(name, value)
        if module is not None:
            item = Item(slot, "import", (scope.key, name, module, describe(error)[0]))
        else:
            reason = f"{unpicklable_path(name, value)}: {describe(error)[0]}"
            item = Item(slot, "absent", (scope.key, name, reason))
        return Binding(value, item, needs)


def _definition_of_global(scope: Scope, value: Any) -> Definition | None:
    """Return the definition of the value of a global; None for an immutable value."""
    value_type = type(value)
    if value_type in SHAREABLE or value_type is ModuleType or issubclass(value_type, Enum):
        return None
    if issubclass(value_type, type):
        return definitions.find_class(value)
    known = definitions.known(value)
    if known is not None:
        return known
    kind = kind_of(value)
    if kind == "function":
        found = definitions.find_function(value)
        return found if isinstance(found, Definition) else None
    if kind == "dispatcher":
        return definitions.define(value, "dispatcher", scope.module)
    if kind is not None:
        return definitions.find_other(value)
    if value_type in CONTAINERS:
        return definitions.define(value, "container", scope.module)
    if value_type is ContextVar:
        if module_globals.place_of(value) is not None:
            return None
        return definitions.define(value, "context_variable", scope.module)
    if value_type is not object and not may_change(value):
        return None
    return definitions.define(value, "value", scope.module)


def _module_with(name: str, value: Any) -> str | None:
    """Return the importable module that has this very object under this name; else None."""
    for module_name, module in sys.modules.copy().items():
        if (
            isinstance(module, ModuleType)
            and module.__dict__.get(name, _ABSENT) is value
            and scopes.is_importable(module_name, module)
        ):
            return module_name
    return None
