"""Releasing definitions that the script no longer reaches.

Examples are a closure that was passed to one run, and the former contents of a dict of
functions. A definition keeps its object alive, so reference counts cannot show that the script
has dropped it. A sweep, from time to time, forgets each definition that no global reaches and
that nothing has referred to since the last sweep, in the caller and in the workers.
"""

from __future__ import annotations

from enact_pool._mirror.caller.bindings import unbound
from enact_pool._mirror.caller.scopes import Definition, scopes

__all__ = ["let_go_of_rebound", "sweep_if_due"]

_MOST_BYTES = 1 << 25
_MOST_DEFINITIONS = 256

# How many definitions the last sweep has kept.
_kept = 0


def let_go_of_rebound() -> None:
    """Let go of the values of globals that have another value now, or none."""
    for scope in scopes:
        contents = scope.contents
        for name, binding in list(scope.bindings.items()):
            definition = binding.definition
            if definition is not None and contents.get(name, scopes) is not binding.value:
                scope.bindings[name] = unbound(scope, name)
                scopes.release(definition, scope, name)


def sweep_if_due() -> None:
    """Forget what no global leads to, if there is much that is new."""
    global _kept
    if scopes.new_bytes < _MOST_BYTES and len(scopes) < 2 * _kept + _MOST_DEFINITIONS:
        return
    kept: set[Definition] = set()
    waiting = [
        definition
        for scope in scopes
        for binding in scope.bindings.values()
        for definition in binding.needs.definitions
    ]
    every = scopes.definitions()
    waiting += [definition for definition in every if definition.used == scopes.sweeps]
    while waiting:
        definition = waiting.pop()
        if definition not in kept:
            kept.add(definition)
            if definition.record is not None:
                waiting += definition.record.needs.definitions
    scopes.sweeps += 1
    scopes.let_go(definition for definition in every if definition not in kept)
    scopes.new_bytes, _kept = 0, len(scopes)
