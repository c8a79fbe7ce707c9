"""The needs of a pickle: what a worker must have before it can load it."""

from __future__ import annotations

from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.scopes import Scope

__all__ = ["EVERY_NAME", "Needs"]

# Stands for all names of a scope: code that computes names may ask for any of them.
EVERY_NAME = ""


class Needs:
    """What a worker must have before it can load a pickle, or call what the pickle contains.

    Attributes:
        definitions: the definitions that the pickle refers to by key.
        names: the globals that its code refers to.
        scopes: the modules that its functions belong to.
    """

    # The attributes are dicts as ordered sets: the order is that of the pickle.
    __slots__ = ("definitions", "names", "scopes")

    def __init__(self) -> None:
        self.definitions: dict[Definition, None] = {}
        self.names: dict[tuple[Scope, str], None] = {}
        self.scopes: dict[Scope, None] = {}

    def __bool__(self) -> bool:
        return bool(self.definitions or self.names or self.scopes)

    def key(self) -> tuple[Any, ...]:
        """Return a hashable value that is equal for equal needs."""
        return tuple(self.definitions), tuple(self.names), tuple(self.scopes)

    def add(self, other: Needs) -> None:
        """Add the needs of another pickle."""
        self.definitions.update(other.definitions)
        self.names.update(other.names)
        self.scopes.update(other.scopes)
