"""All definitions and globals of a worker's main module, for a process that the worker starts.

A worker imports this module, and through it the caller's side, only when it starts a process. So
the module has no other content.
"""

from __future__ import annotations

from types import ModuleType

from enact_pool._mirror.caller.delivery import Deliveries, packed
from enact_pool._mirror.caller.needs import EVERY_NAME, Needs
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.caller.snapshot import Snapshot

__all__ = ["packed_definitions"]


def packed_definitions(module: ModuleType) -> bytes:
    """Return the payload of a frame that makes a mirror of the module as it is now.

    Raises:
        RuntimeError: if workers can import the module.
    """
    scope = scopes.scope_of_module(module)
    if scope is None:
        raise RuntimeError(f"{module.__name__} can be imported, so it is not sent by value")
    needs = Needs()
    needs.scopes[scope] = None
    needs.names[scope, EVERY_NAME] = None
    manifest = Snapshot().manifest(needs)
    return packed(Deliveries(None).operations([manifest]))
