"""How items reach a worker: each once, in a frame before the batch that needs them."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from enact_pool._mirror.caller.items import Item, Manifest
from enact_pool._wire.frames import LARGE_BYTES

if TYPE_CHECKING:
    from enact_pool._ipc.large_value import LargeValue

__all__ = ["Deliveries", "note_release", "packed"]

# For these, what the worker has of them is to be completed when it is needed.
_COMPLETED = frozenset(("object", "state", "change"))

# What the slots of a definition begin with, which its key follows.
_OF_DEFINITIONS = frozenset(("object", "state", "attribute"))

_MOST_REMEMBERED = 64

# All deliveries: replaced as a whole. Of two threads that add one at the same time, one may
# get lost; its worker then keeps what the caller lets go of.
_all: tuple[ref[Deliveries], ...] = ()


def note_release(key: str) -> None:
    """Have all workers let go of a definition.

    They never do so by themselves: the caller has to know what they have.
    """
    for reference in _all:
        deliveries = reference()
        if deliveries is not None:
            deliveries.released.append(key)


class _Sent(NamedTuple):
    """What is remembered of an item: not its content."""

    number: int
    now: bool
    needed: frozenset[str]
    base: Item | None


class Deliveries:
    """What one worker has been sent.

    `send` passes the descriptor of a large value to it, and returns the number by which the
    worker finds that, or raises `OSError`. Without it, large values are part of the frame.
    `send_streams` does the same with the descriptors of stdout and stderr, or of the relay
    that it is called with.
    """

    def __init__(
        self,
        send: Callable[[LargeValue], int] | None,
        send_streams: Callable[[Any], int] | None = None,
    ) -> None:
        self._send = send
        self._send_streams = send_streams
        # By slot: what was sent.
        self._sent: dict[tuple[Any, ...], _Sent] = {}
        # Whether it was sent attributes that were changed.
        self._has_changes = False
        # Manifests that are complete there, by their ids. With `released` empty, a worker that has
        # all of a batch's needs nothing.
        self.complete: dict[int, Manifest] = {}
        # What is about to be sent.
        self._new: dict[tuple[Any, ...], _Sent] = {}
        # The keys of what the caller has let go of since.
        self.released: deque[str] = deque()
        global _all
        _all = *(each for each in _all if each() is not None), ref(self)

    def operations(self, manifests: Iterable[Manifest]) -> list[Any]:
        """Return what the worker has to be told. When it is on its way, call `sent`.

        Raises `OSError` if a descriptor cannot be sent.
        """
        operations = self._releases() if self.released else []
        self._new = {}
        entries = [entry for each in manifests if id(each) not in self.complete for entry in each]
        if self._drop_outdated(entries):
            entries = [entry for manifest in manifests for entry in manifest]
        for item, now in [*entries, *self._bases(entries)]:
            before = self._new.get(item.slot) or self._sent.get(item.slot)
            if before is None or before.number != item.number:
                content, arguments = self._content(item), self._arguments(item)
                operations.append((item.kind, arguments, content, now))
            elif not now or before.now:
                continue
            elif item.kind in _COMPLETED:
                operations.append(("wake", item.arguments[:1], None, now))
            elif item.slot[0] == "name":
                operations.append((item.kind, item.arguments, self._content(item), now))
            self._new[item.slot] = _Sent(item.number, now, item.needed, item.base)
        return operations

    def _drop_outdated(self, entries: list[tuple[Item, bool]]) -> bool:
        """Have what refers to a value sent again, if another object takes the place of it."""
        waiting = [
            item.slot[1]
            for item, _ in entries
            if item.kind == "object"
            and item.slot in self._sent
            and self._sent[item.slot].number != item.number
        ]
        if not waiting:
            return False
        while waiting:
            key = waiting.pop()
            outdated = [slot for slot, known in self._sent.items() if key in known.needed]
            for slot in outdated:
                del self._sent[slot]
                if slot[0] == "object":
                    waiting.append(slot[1])
        self.complete.clear()
        return True

    def _bases(self, entries: list[tuple[Item, bool]]) -> Iterator[tuple[Item, bool]]:
        """What attributes were at first that others have changed since a snapshot."""
        if not self._has_changes:
            return
        slots = {item.slot for item, _ in entries}
        for slot, known in list(self._sent.items()):
            # Of what was changed in place, nobody knows what it was.
            if known.base is not None and slot not in slots and ("object", slot[1]) in slots:
                yield known.base, True

    def _releases(self) -> list[Any]:
        keys = {self.released.popleft() for _ in range(len(self.released))}
        keys = {key for key in keys if ("object", key) in self._sent}
        if keys:
            self.complete.clear()
            self._sent = {
                slot: known
                for slot, known in self._sent.items()
                if slot[0] not in _OF_DEFINITIONS or slot[1] not in keys
            }
        return [("release", (key,), None, False) for key in keys]

    def sent(self, manifests: Iterable[Manifest]) -> None:
        """The operations for these are on their way."""
        has_changes = any(slot[0] == "attribute" for slot in self._new)
        if (
            has_changes
            or self._new.keys() & self._sent.keys()
            or len(self.complete) >= _MOST_REMEMBERED
        ):
            self.complete.clear()
        self._has_changes |= has_changes
        self._sent.update(self._new)
        self.complete.update((id(manifest), manifest) for manifest in manifests)
        self._new = {}

    def _arguments(self, item: Item) -> tuple[Any, ...]:
        if item.kind == "process" and item.arguments == ("streams",) and self._send_streams:
            return "streams", self._send_streams(item.pin)
        return item.arguments

    def _content(self, item: Item) -> Any:
        content = item.content
        if content is None:
            return None
        buffers = list(item.buffers)
        if self._send is not None and (buffers or len(content) >= LARGE_BYTES):
            if item.large is None:
                from enact_pool._ipc.large_value import large_value_of  # for those who need it

                item.large = large_value_of(content, buffers)
            if item.large is not None:
                return self._send(item.large), item.large.layout
        return _inline(content, buffers)


def _inline(content: bytes, buffers: list[pickle.PickleBuffer]) -> Any:
    return (content, [buffer.raw().tobytes() for buffer in buffers]) if buffers else content


def packed(operations: list[Any]) -> bytes:
    """Return the payload of a frame with these operations."""
    return pickle.dumps(operations, pickle.HIGHEST_PROTOCOL)
