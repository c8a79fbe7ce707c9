"""When the caller lets go of definitions that a script does not lead to any more.

A closure that was passed to a run, say, or what a dict of functions had before. Nobody tells
when these are gone: a definition keeps its object alive. So, from time to time, what no global
leads to and what was not referred to since the last time is forgotten, here and in workers.
"""

from __future__ import annotations

from enact_pool.mirror.bindings import unbound
from enact_pool.mirror.scopes import Definition, scopes

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
