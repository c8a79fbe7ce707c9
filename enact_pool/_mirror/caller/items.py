"""Items: what workers are sent of definitions and globals, one thing each."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import count
from typing import Any

__all__ = ["Item", "Manifest"]

_numbers = count(1)


class Item:
    """One thing that a worker may have to be sent. It never changes.

    `slot` is what it is the latest state of. `kind` and `arguments` say what the worker does
    with it: see `copies`. `content` is a pickle, and `buffers` what that leaves out of band.
    """

    __slots__ = (
        "arguments",
        "base",
        "buffers",
        "content",
        "kind",
        "large",
        "needed",
        "number",
        "pin",
        "slot",
    )

    def __init__(
        self,
        slot: tuple[Any, ...],
        kind: str,
        arguments: tuple[Any, ...],
        content: bytes | None = None,
        buffers: Iterable[pickle.PickleBuffer] = (),
        pin: Any = None,
        needed: Iterable[str] = (),
    ) -> None:
        self.slot = slot
        self.number = next(_numbers)
        self.kind = kind
        self.arguments = arguments
        self.content = content
        self.buffers = buffers
        # Kept alive as long as a result may name it.
        self.pin = pin
        # The keys of what the content refers to: if another object takes the place of one, this
        # is sent again.
        self.needed = frozenset(needed)
        # Of a changed attribute: what it was at first, which nothing else says.
        self.base: Item | None = None
        # The file in memory that it travels in: see `delivery`.
        self.large: Any = None

    def as_kind(self, kind: str) -> Item:
        """Return the same thing, with which the worker does something else."""
        twin = Item(self.slot, kind, self.arguments, self.content, self.buffers, self.pin)
        twin.number = self.number
        return twin


# Items in the order in which they are sent, and whether the worker has to complete each
# before it runs anything.
Manifest = tuple[tuple[Item, bool], ...]
