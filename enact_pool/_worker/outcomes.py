"""Pickling of outcomes in a worker: returned values, and what callables raised."""

from __future__ import annotations

import pickle

from enact_pool._mirror.worker.received import Received
from enact_pool._python.reprs import display_text, has_plain_repr
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import LARGE_BYTES, Ending
from enact_pool._worker.fork_guard import ForkGuard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OutcomePickler", "pickle_description"]

# The ending of a value that travels as a large value.
_LARGE = {Ending.VALUE: Ending.LARGE_VALUE, Ending.SHOWN: Ending.LARGE_SHOWN}

# Bound here: a callable may clear or patch the module it comes from.
_dumps = pickle.dumps


class OutcomePickler:
    """Makes the payloads of outcomes, and sends large values.

    Attributes:
        shows_outputs: Whether the run asks for texts of returned values.
        sends_exceptions: Whether the run asks for exceptions, besides their descriptions.
    """

    def __init__(self, side: int, received: Received, guard: ForkGuard) -> None:
        self.shows_outputs = False
        self.sends_exceptions = False
        self._side = side
        self._received = received
        self._guard = guard

    def pickle_value(self, serial: int, value: Any) -> tuple[int, bytes]:
        """Return the kind of ending and the payload of a returned value.

        Raises what pickling raises.
        """
        ending, text = Ending.VALUE, None
        buffers: list[pickle.PickleBuffer] = []
        if has_plain_repr(value):
            payload = _dumps(value, pickle.HIGHEST_PROTOCOL)
        else:
            if self.shows_outputs:
                ending, text = Ending.SHOWN, display_text(value)
            payload = self._received.pickled(value, text, buffers)
        if buffers or len(payload) >= LARGE_BYTES:
            layout = self._send_large_value(serial, payload, buffers)
            if layout is not None:
                return _LARGE[ending], layout
            if buffers:
                payload = self._received.pickled(value, text, None)
        return ending, payload

    def pickle_error(self, error: BaseException, what: str) -> bytes:
        """Return the texts of what a callable raised, and the exception if the run asks for it."""
        self._received.explain(error)
        described = describe(error, what)
        if self.sends_exceptions:
            try:
                return _dumps((*described, self._received.pickled(error, None, None)))
            except BaseException:
                pass  # it cannot be pickled: the texts must do
        return _dumps(described)

    def _send_large_value(
        self, serial: int, pickled: bytes, buffers: list[pickle.PickleBuffer]
    ) -> bytes | None:
        """Send a large value, and return its layout; None if it is small or cannot be sent."""
        try:
            from enact_pool._ipc.large_value import large_value_of  # not for every worker
        except (ImportError, OSError):
            return None  # a callable has opened all descriptors, or cleared sys.path
        large = large_value_of(pickled, buffers)
        if large is None:
            return None
        self._guard.exit_if_forked()
        try:
            large.send(self._side, serial)
        except OSError:
            return None
        finally:
            large.close()
        return large.layout


def pickle_description(error: BaseException, what: str = "") -> bytes:
    """Return the texts of an exception, not the exception: many cannot be unpickled safely.

    `what` is put before its text.
    """
    return _dumps(describe(error, what))
