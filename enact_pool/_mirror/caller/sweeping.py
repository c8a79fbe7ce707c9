"""Releasing definitions that the script no longer reaches.

Examples are a closure that was passed to one run, and the former contents of a dict of
functions. A definition keeps its object alive, so reference counts cannot show that the script
no longer uses it. From time to time, a sweep releases each definition that no global reaches and
that no pickle has referred to since the last sweep, in the caller and in the workers.
"""

from __future__ import annotations

from enact_pool._mirror.caller.bindings import deleted_binding
from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.scopes import scopes

__all__ = ["release_replaced", "sweep_if_due"]

_MOST_BYTES = 1 << 25
_MOST_DEFINITIONS = 256

# How many definitions the last sweep has kept.
_kept = 0


def release_replaced() -> None:
    """Release the former values of globals that are bound to another value now, or deleted."""
    for scope in scopes:
        contents = scope.contents
        for name, binding in list(scope.bindings.items()):
            definition = binding.definition
            if definition is not None and contents.get(name, scopes) is not binding.value:
                scope.bindings[name] = deleted_binding(scope, name)
                definitions.release_replaced(definition, scope, name)


def sweep_if_due() -> None:
    """Release the definitions that no global reaches, if many were made since the last sweep."""
    global _kept
    if definitions.new_bytes < _MOST_BYTES and len(definitions) < 2 * _kept + _MOST_DEFINITIONS:
        return
    kept: set[Definition] = set()
    waiting = [
        definition
        for scope in scopes
        for binding in scope.bindings.values()
        for definition in binding.needs.definitions
    ]
    every = definitions.all()
    waiting += [definition for definition in every if definition.used == definitions.sweeps]
    while waiting:
        definition = waiting.pop()
        if definition not in kept:
            kept.add(definition)
            if definition.record is not None:
                waiting += definition.record.needs.definitions
    definitions.sweeps += 1
    definitions.release(definition for definition in every if definition not in kept)
    definitions.new_bytes, _kept = 0, len(definitions)
