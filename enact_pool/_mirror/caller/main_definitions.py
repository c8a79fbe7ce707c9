"""All definitions and globals of a worker's main module, for a process that it starts."""

from __future__ import annotations

from types import ModuleType

from enact_pool._mirror.caller.delivery import Deliveries, packed
from enact_pool._mirror.caller.pickler import EVERY_NAME, Needs
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.caller.snapshot import Snapshot

__all__ = ["packed_definitions"]


def packed_definitions(module: ModuleType) -> bytes:
    """Return the payload of a frame that makes a mirror of the module as it is now."""
    scope = scopes.scope_of_module(module)
    if scope is None:
        raise RuntimeError(f"{module.__name__} is not a module that is sent by value")
    needs = Needs()
    needs.scopes[scope] = None
    needs.names[scope, EVERY_NAME] = None
    manifest = Snapshot().manifest(needs)
    return packed(Deliveries(None).operations([manifest]))
