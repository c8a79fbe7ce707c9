"""What a worker has received of its caller: the state of its process, and its definitions.

Many workers receive no definitions. They do not import the modules for definitions.
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

# Bound here: a callable may clear or patch the module that they come from.
_loads = pickle.loads


class Received:
    """Applies the frames of definitions, and pickles the values that are sent back."""

    def __init__(self, side: int, followed: FollowedState) -> None:
        """`side` is the descriptor of the worker's end of the side channel."""
        self._side = side
        self._followed = followed
        self._copies: Copies | None = None
        self._side_reader: SideChannelReader | None = None

    @property
    def context(self) -> Context | None:
        """The caller's context variables, for callables to run in; None if it has set none."""
        return None if self._copies is None else self._copies.context

    @property
    def is_relayed(self) -> bool:
        """Whether stdout or stderr goes to an object of the caller's: see `output_relay`."""
        return self._followed.is_relayed

    @property
    def side(self) -> SideChannelReader:
        """The reader of the side channel."""
        if self._side_reader is None:
            from enact_pool._ipc.side_channel import SideChannelReader

            self._side_reader = SideChannelReader(self._side)
        return self._side_reader

    def apply(self, payload: bytes) -> bool:
        """Apply a frame; return whether it changed the state of the process.

        Raises:
            OSError: a descriptor was lost.
            Exception: see `FollowedState.apply`.
        """
        operations: list[Any] = []
        follows = False
        for operation in _loads(payload):
            kind, arguments = operation[:2]
            if kind == "process":
                follows = True
                name, *tags = arguments
                descriptors = [each for tag in tags for each in self.side.descriptors(tag)]
                self._followed.apply(name, self._value(operation), descriptors)
            elif kind == "assume":
                self._followed.assume(arguments[0], self._value(operation))
            else:
                operations.append(operation)
        if operations:
            from enact_pool._mirror.worker.operations import received_operations

            loading(self._get_copies().apply, received_operations(operations, self.side))
        return follows

    def _value(self, operation: Any) -> Any:
        content = operation[2]
        if isinstance(content, bytes):
            return _loads(content)
        # A long `sys.path`, or a large environment, say.
        from enact_pool._mirror.worker.operations import load_content, received_operations

        received: Any = next(received_operations([operation], self.side))
        return load_content(received[2])

    def _get_copies(self) -> Copies:
        if self._copies is None:
            from enact_pool._mirror.worker.copies import Copies

            self._copies = Copies()
        return self._copies

    def explain(self, error: BaseException) -> None:
        """Add to the text of an error why a name or attribute that it reports is missing."""
        if self._copies is not None:
            self._copies.explain(error)

    def pickled(
        self, value: object, text: str | None, buffers: list[pickle.PickleBuffer] | None
    ) -> bytes:
        """Return a pickle of what a callable returned or raised: see `pickle_output`."""
        copies = self._copies
        key_of = None if copies is None or copies.is_empty else copies.key_of
        return pickle_output(value, text, buffers, key_of)
