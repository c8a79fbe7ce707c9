"""How a worker takes what its parent sends it of definitions: see `delivery`."""

from __future__ import annotations

import io
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from enact_pool._ipc.large_value import Parcel
    from enact_pool._ipc.side_channel import Mail
    from enact_pool._mirror.worker.copies import Operation

__all__ = ["opened"]


def opened(operations: Iterable[Any], mail: Mail | None) -> Iterator[Operation]:
    """Return the operations of a frame; large contents are taken from the side channel."""
    for kind, arguments, content, now in operations:
        if type(content) is tuple:
            first, second = content
            content = (
                _Large.receive(mail, first, second) if mail and type(first) is int else content
            )
            if type(content) is tuple:
                content = _Inline(first, second)
        yield kind, arguments, content, now


class _Large:
    """A large value, in the file that it travelled in."""

    def __init__(self, parcel: Parcel) -> None:
        self._parcel = parcel

    @classmethod
    def receive(cls, mail: Mail, tag: int, layout: bytes) -> _Large:
        from enact_pool._ipc.large_value import Parcel  # not for every worker

        return cls(Parcel.receive(mail, tag, layout))

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
