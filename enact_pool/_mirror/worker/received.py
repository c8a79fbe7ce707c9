"""What a worker has received of its caller: the state of its process, and its definitions.

Many workers are sent no definitions. They do not import what takes them.
"""

from __future__ import annotations

import pickle

from enact_pool._mirror.worker.followed_state import FollowedState
from enact_pool._mirror.worker.result_pickling import pickle_output
from enact_pool._python.loading import loading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context
    from typing import Any

    from enact_pool._ipc.side_channel import SideChannelReader
    from enact_pool._mirror.worker.copies import Copies

__all__ = ["Received"]

# Bound here: a callable may clear or patch the module it comes from.
_dumps, _loads = pickle.dumps, pickle.loads
_PROTOCOL = pickle.HIGHEST_PROTOCOL


class Received:
    """Takes what the caller sends, and pickles what goes back to it."""

    def __init__(self, side: int, followed: FollowedState) -> None:
        """`side` is this end of the side channel."""
        self._side = side
        self._followed = followed
        self._copies: Copies | None = None
        self._own_side: SideChannelReader | None = None

    @property
    def context(self) -> Context | None:
        """The caller's context variables, for callables to run in; None if it has set none."""
        return None if self._copies is None else self._copies.context

    @property
    def is_relayed(self) -> bool:
        """Whether what is printed goes to an object of the caller's: see `relay`."""
        return self._followed.is_relayed

    @property
    def side(self) -> SideChannelReader:
        """What has come beside the commands."""
        if self._own_side is None:
            from enact_pool._ipc.side_channel import SideChannelReader

            self._own_side = SideChannelReader(self._side)
        return self._own_side

    def take(self, payload: bytes) -> bool:
        """Take a frame; return whether it changed the state of the process.

        Raises what `FollowedState.apply` raises, and `OSError` if a descriptor is lost.
        """
        operations: list[Any] = []
        follows = False
        for operation in _loads(payload):
            kind, arguments, content, _ = operation
            if kind == "process":
                follows = True
                name, *tags = arguments
                descriptors = [each for tag in tags for each in self.side.descriptors(tag)]
                self._followed.apply(name, _loads(content), descriptors)
            elif kind == "assume":
                self._followed.assume(arguments[0], _loads(content))
            else:
                operations.append(operation)
        if operations:
            from enact_pool._mirror.worker.arrival import opened

            loading(self._get_copies().apply, opened(operations, self.side))
        return follows

    def _get_copies(self) -> Copies:
        if self._copies is None:
            from enact_pool._mirror.worker.copies import Copies

            self._copies = Copies()
        return self._copies

    def explain(self, error: BaseException) -> None:
        """Say in the text of an error why something that it misses is not here."""
        if self._copies is not None:
            self._copies.explain(error)

    def pickled(
        self, value: object, text: str | None, buffers: list[pickle.PickleBuffer] | None
    ) -> bytes:
        """Return a pickle of what a callable returned: see `results.pickle_output`."""
        copies = self._copies
        key_of = None if copies is None or copies.is_empty else copies.key_of
        return pickle_output(value, text, buffers, key_of)
