"""What each worker has received. Each item is sent once, in a frame before its first batch."""

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

# The kinds that a worker may have received without applying them: see `Manifest`.
_COMPLETED = frozenset(("object", "state", "change"))

# How the slots of definitions begin. The key of the definition follows.
_OF_DEFINITIONS = frozenset(("object", "state", "attribute"))

_MOST_REMEMBERED = 64

# All deliveries. The tuple is replaced as a whole, without a lock. If two threads add one at the
# same time, one may get lost; its worker then keeps the definitions that the caller releases.
_all: tuple[ref[Deliveries], ...] = ()


def note_release(key: str) -> None:
    """Make all workers release a definition.

    Workers never release definitions on their own, since the caller must know which ones they have.
    """
    for reference in _all:
        deliveries = reference()
        if deliveries is not None:
            deliveries.released.append(key)


class _Sent(NamedTuple):
    """What is kept about an item that was sent: not its content."""

    number: int
    now: bool
    needed: frozenset[str]
    base: Item | None


class Deliveries:
    """What one worker has received.

    Args:
        send: Pass the descriptor of a large value to the worker, and return the number by which
            the worker finds it, or raise `OSError`. If None, large values are part of the frame.
        send_streams: Do the same for the descriptors of stdout and stderr, or for those of the
            relay that is its argument.

    Attributes:
        complete: by id, the manifests whose items the worker has all received. If `released` is
            empty, a batch with only these manifests needs no operations.
        released: the keys of definitions that the caller has released and the worker has not.
    """

    def __init__(
        self,
        send: Callable[[LargeValue], int] | None,
        send_streams: Callable[[Any], int] | None = None,
    ) -> None:
        self._send = send
        self._send_streams = send_streams
        # By slot: the last item that was sent.
        self._sent: dict[tuple[Any, ...], _Sent] = {}
        # Whether the worker has received changed attributes.
        self._has_changes = False
        self.complete: dict[int, Manifest] = {}
        # By slot: the items in the operations that were returned last.
        self._new: dict[tuple[Any, ...], _Sent] = {}
        self.released: deque[str] = deque()
        global _all
        _all = *(each for each in _all if each() is not None), ref(self)

    def operations(self, manifests: Iterable[Manifest]) -> list[Any]:
        """Return the operations that the worker must apply. Call `sent` when they are sent.

        Raises:
            OSError: if a descriptor cannot be sent.
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
        """Forget the items that refer to a replaced value, so that they are sent again."""
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
        """Yield the original values of attributes that a newer snapshot has sent changes of."""
        if not self._has_changes:
            return
        slots = {item.slot for item, _ in entries}
        for slot, known in list(self._sent.items()):
            # For an attribute that was changed in place, the original value is lost: no base.
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
        """Note that the operations for these manifests were sent."""
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
                from enact_pool._ipc.large_value import large_value_of  # most callers need none

                item.large = large_value_of(content, buffers)
            if item.large is not None:
                return self._send(item.large), item.large.layout
        return _inline(content, buffers)


def _inline(content: bytes, buffers: list[pickle.PickleBuffer]) -> Any:
    return (content, [buffer.raw().tobytes() for buffer in buffers]) if buffers else content


def packed(operations: list[Any]) -> bytes:
    """Return the payload of a frame with these operations."""
    return pickle.dumps(operations, pickle.HIGHEST_PROTOCOL)
