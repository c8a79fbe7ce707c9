"""Items: the units that workers are sent of definitions, globals and process state."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import count
from typing import Any

__all__ = ["Item", "Manifest"]

_numbers = count(1)


class Item:
    """One unit that a worker may need. Its content never changes.

    Args:
        slot: the place whose latest state the item is: a newer item of the same slot replaces it.
        kind: what the worker does with the item: see `copies`.
        arguments: the plain arguments of that operation.
        content: a pickle, or None.
        buffers: the buffers that the pickle leaves out of band.
        pin: an object that the item keeps alive, since a result may refer to it.
        needed: the keys of the definitions that the content refers to. If another object takes
            the place of one of them, the item is sent again.
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
        self.pin = pin
        self.needed = frozenset(needed)
        # For a changed attribute: its original value, which no other item contains.
        self.base: Item | None = None
        # The large value with the content, once a worker was sent it: see `delivery`.
        self.large: Any = None

    def as_kind(self, kind: str) -> Item:
        """Return an item with the same number, with which the worker does something else."""
        twin = Item(self.slot, kind, self.arguments, self.content, self.buffers, self.pin)
        twin.number = self.number
        return twin


# Items in the order in which they are sent. The flag of each says whether the worker must apply
# it before it runs anything; otherwise it may wait until something needs it.
Manifest = tuple[tuple[Item, bool], ...]
