"""What is told of callables beside their outcomes, in their worker: what they print and log.

Only runs that ask for it have a witness in their workers.
"""

from __future__ import annotations

import pickle

from enact_pool._ipc.flight_recorder import FlightRecorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enact_pool._wire.setup import RunSetup
    from enact_pool._worker.log_forwarding import Forwarder
    from enact_pool._worker.output_capture import Capture

__all__ = ["BatchHooks"]


class BatchHooks:
    """Listens within batches: a context manager. Is of one run."""

    def __init__(
        self,
        side: int,
        recorder: FlightRecorder,
        run: int,
        setup: RunSetup,
    ) -> None:
        """Send over the side channel what the setup asks for. Raises `OSError`."""
        self._recorder = recorder
        self._capture: Capture | None = None
        self._forwarder: Forwarder | None = None
        if setup.captures_output:
            from enact_pool._worker.output_capture import Capture

            self._capture = Capture(side, recorder, run)
        if setup.log_levels is not None:
            from enact_pool._worker.log_forwarding import Forwarder

            self._forwarder = Forwarder(side, recorder, setup.log_levels)
            self._forwarder.install()

    def __enter__(self) -> None:
        if self._capture is not None:
            # It lasts for ever if nobody reads what was printed: see `AnswerReader.look_around`.
            self._recorder.note_flushing(True)
            self._capture.begin()
            self._recorder.note_flushing(False)
        if self._forwarder is not None:
            self._forwarder.is_on = True

    def __exit__(self, *_: object) -> None:
        if self._forwarder is not None:
            self._forwarder.is_on = False
        if self._capture is not None:
            self._capture.end()

    def printed(self) -> bytes | None:
        """What the callable that has ended has printed: the payload of PRINTED; None if nothing.

        Raises `OSError`.
        """
        printed = None if self._capture is None else self._capture.printed()
        return None if printed is None else pickle.dumps(printed)

    def forget_printed(self) -> None:
        """It is told. Raises `OSError`."""
        if self._capture is not None:
            self._capture.forget()

    def restore(self) -> None:
        """A callable has ended: the next one is to be told of as well."""
        if self._forwarder is not None:
            self._forwarder.restore()

    def close(self) -> None:
        """The run is over."""
        if self._capture is not None:
            self._capture.close()
        if self._forwarder is not None:
            self._forwarder.remove()
