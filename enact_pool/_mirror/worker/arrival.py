"""How a worker takes what its parent sends it of definitions: see `delivery`."""

from __future__ import annotations

import io
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._ipc.side_channel import SideChannelReader
    from enact_pool._mirror.worker.copies import Operation

__all__ = ["opened"]


def opened(operations: Iterable[Any], side: SideChannelReader | None) -> Iterator[Operation]:
    """Return the operations of a frame; large contents are taken from the side channel."""
    for kind, arguments, content, now in operations:
        if type(content) is tuple:
            first, second = content
            content = (
                _Large.receive(side, first, second) if side and type(first) is int else content
            )
            if type(content) is tuple:
                content = _Inline(first, second)
        yield kind, arguments, content, now


class _Large:
    """A large value, in the file that it travelled in."""

    def __init__(self, parcel: LargeValue) -> None:
        self._parcel = parcel

    @classmethod
    def receive(cls, side: SideChannelReader, tag: int, layout: bytes) -> _Large:
        from enact_pool._ipc.large_value import LargeValue  # not for every worker

        return cls(LargeValue.receive(side, tag, layout))

    def __call__(self, unpickler: type[pickle.Unpickler]) -> Any:
        try:
            return self._parcel.rebuild(lambda p, b: unpickler(_file(p), buffers=b).load())
        finally:
            self._parcel.close()


class _Inline:
    """A value whose buffers came in the frame."""

    def __init__(self, pickled: bytes, buffers: list[bytes]) -> None:
        self._pickled = pickled
        self._buffers = buffers

    def __call__(self, unpickler: type[pickle.Unpickler]) -> Any:
        # Memory that can be written to, as the caller's.
        buffers = list(map(bytearray, self._buffers))
        return unpickler(_file(self._pickled), buffers=buffers).load()


def _file(pickled: Any) -> io.BytesIO:
    return io.BytesIO(pickled)
