"""The operations of a frame of definitions, and their contents: see `copies` for the kinds."""

from __future__ import annotations

import io
import pickle

from enact_pool._mirror.registry import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._ipc.side_channel import SideChannelReader

    # A pickle, or a function that loads the pickle from a large value or with its buffers.
    Content = bytes | Callable[[], Any]
    # The kind, its arguments, its content, and whether the operation must be complete before
    # a callable runs.
    Operation = tuple[str, tuple[Any, ...], Content | None, bool]

__all__ = ["load_content", "received_operations"]


class _Unpickler(pickle.Unpickler):
    """Finds lists, dicts and sets that a pickle refers to by their keys."""

    def persistent_load(self, pid: str) -> Any:
        return resolve(pid)


def load_content(content: Content) -> Any:
    """Unpickle the content of an operation. Raises what the pickled objects raise."""
    if isinstance(content, bytes):
        return _Unpickler(io.BytesIO(content)).load()
    return content()


def received_operations(
    operations: Iterable[Any], side: SideChannelReader | None
) -> Iterator[Operation]:
    """Return the operations of a frame; large contents are received from the side channel."""
    for kind, arguments, content, now in operations:
        if type(content) is tuple:
            first, second = content
            if side is not None and type(first) is int:
                content = _LargeContent.receive(side, first, second)
            else:
                content = _InlineContent(first, second)
        yield kind, arguments, content, now


class _LargeContent:
    """The content of an operation in a large value."""

    def __init__(self, large_value: LargeValue) -> None:
        self._large_value = large_value

    @classmethod
    def receive(cls, side: SideChannelReader, tag: int, layout: bytes) -> _LargeContent:
        from enact_pool._ipc.large_value import LargeValue  # few workers need it

        return cls(LargeValue.receive(side, tag, layout))

    def __call__(self) -> Any:
        try:
            return self._large_value.rebuild(_load)
        finally:
            self._large_value.close()


class _InlineContent:
    """The content of an operation whose buffers are part of the frame."""

    def __init__(self, pickled: bytes, buffers: list[bytes]) -> None:
        self._pickled = pickled
        self._buffers = buffers

    def __call__(self) -> Any:
        # Writable memory, as the caller's is.
        return _load(self._pickled, list(map(bytearray, self._buffers)))


def _load(pickled: Any, buffers: Any) -> Any:
    return _Unpickler(io.BytesIO(pickled), buffers=buffers).load()
