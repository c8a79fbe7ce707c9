"""The globals of scopes: what each was when it was looked at last, and is sent as."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from enum import Enum
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.changes import may_change
from enact_pool._mirror.caller.definition_pickler import culprit, dumps
from enact_pool._mirror.caller.items import Item
from enact_pool._mirror.caller.pickler import Needs
from enact_pool._mirror.caller.records import Look, current
from enact_pool._mirror.caller.scopes import (
    CONTAINERS,
    IMPLICIT,
    Definition,
    Scope,
    kind_of_global,
    scopes,
)
from enact_pool._mirror.registry import module_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import SHAREABLE

__all__ = ["Binding", "bound", "others_of", "scope_item", "unbound", "value_of"]

_ABSENT: Any = object()


def scope_item(scope: Scope) -> Item:
    """Return what makes the mirror of a scope."""
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


def others_of(scope: Scope) -> Needs:
    """The functions and classes of a scope: a task may look them up by name at run time."""
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
                special = kind_of_global(value)
                is_own = special is not None and getattr(value, "__module__", None) == module
            if is_own:
                needs.names[scope, name] = None
        known = scope.others = scope.version, needs
    return known[1]  # type: ignore[no-any-return]


class Binding:
    """What a global was when it was looked at last."""

    __slots__ = ("definition", "item", "needs", "value")

    def __init__(
        self, value: Any, item: Item, needs: Needs, definition: Definition | None = None
    ) -> None:
        self.value = value
        self.item = item
        self.needs = needs
        self.definition = definition


def value_of(scope: Scope, name: str) -> Any:
    """Return what a global is bound to now, or an object that stands for nothing."""
    return scope.contents.get(name, _ABSENT)


def bound(scope: Scope, name: str, look: Look) -> Binding | None:
    """Return what a global is now; None if there is none of that name, nor ever was."""
    if name in IMPLICIT:
        return None
    value = look.globals_of(scope).get(name, _ABSENT)
    known: Binding | None = scope.bindings.get(name)
    if known is not None and _is_current(known, value, look):
        return known
    if value is _ABSENT:
        if known is None:
            return None
        binding = unbound(scope, name)
    else:
        binding = _new_binding(scope, name, value, look)
        if known is not None:
            if known.item.kind == "absent" and known.item.arguments == binding.item.arguments:
                binding.item = known.item
            elif known.definition is not None and known.value is not value:
                scopes.release(known.definition, scope, name)
    scope.bindings[name] = binding
    return binding


def _is_current(known: Binding, value: Any, look: Look) -> bool:
    if known.value is not value:
        return False
    if known.item.kind == "absent":
        return look.patient  # it may be whole by now
    if known.definition is None:
        return not _is_sent_otherwise(value, known.needs)
    # What is sent to workers that are started is never sent again.
    is_sent_once = module_of(type(value)).startswith("multiprocessing.")
    return is_sent_once or _can_be_sent(known.definition, look)


def _is_sent_otherwise(value: Any, needs: Needs) -> bool:
    """Return whether a module was importable, and has been edited since."""
    if type(value) is not ModuleType:
        return False
    scope = scopes.scope_of_module(value)
    return scope is not None and scope not in needs.scopes


def unbound(scope: Scope, name: str) -> Binding:
    """Return the binding of a global that is gone."""
    item = Item(("name", scope.key, name), "unbind", (scope.key, name))
    return Binding(_ABSENT, item, Needs())


def _can_be_sent(definition: Definition, look: Look) -> bool:
    try:
        current(definition, look)
    except BaseException as error:
        raise_interrupt(error)
        return False
    return True


def _new_binding(scope: Scope, name: str, value: Any, look: Look) -> Binding:
    slot = "name", scope.key, name
    needs = Needs()
    needs.scopes[scope] = None
    try:
        definition = _definition_of_global(scope, value)
        if definition is not None:
            current(definition, look)
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
            reason = f"{culprit(name, value)}: {describe(error)[0]}"
            item = Item(slot, "absent", (scope.key, name, reason))
        return Binding(value, item, needs)


def _definition_of_global(scope: Scope, value: Any) -> Definition | None:
    """Return the definition of the value of a global; None for a plain value."""
    kind = type(value)
    if kind in SHAREABLE or kind is ModuleType or issubclass(type(value), Enum):
        return None
    if issubclass(type(value), type):
        return scopes.find_class(value)
    known = scopes.known(value)
    if known is not None:
        return known
    special = kind_of_global(value)
    if special == "function":
        found = scopes.find_function(value)
        return found if isinstance(found, Definition) else None
    if special == "dispatcher":
        return scopes.define(value, "dispatcher", scope.module)
    if special is not None:
        return scopes.find_other(value)
    if kind in CONTAINERS:
        return scopes.define(value, "container", scope.module)
    if kind is ContextVar:
        return scopes.define(value, "context_variable", scope.module)
    if kind is not object and not may_change(value):
        return None
    return scopes.define(value, "value", scope.module)


def _module_with(name: str, value: Any) -> str | None:
    """Return the module that has this very object under this name, and can be imported."""
    for module_name, module in list(sys.modules.items()):
        if (
            isinstance(module, ModuleType)
            and module.__dict__.get(name, _ABSENT) is value
            and scopes.is_importable(module_name, module)
        ):
            return module_name
    return None
