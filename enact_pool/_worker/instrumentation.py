"""The hooks around the batches of a worker: they capture output, and forward log records.

Only workers of runs that ask for output or log records import this.
"""

from __future__ import annotations

import pickle

from enact_pool._ipc.flight_recorder import FlightRecorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enact_pool._wire.setup import RunSetup
    from enact_pool._worker.log_forwarding import LogForwarder
    from enact_pool._worker.output_capture import OutputCapture

__all__ = ["BatchHooks"]


class BatchHooks:
    """Context manager that captures output and logs while a batch runs. One per run."""

    def __init__(self, side: int, recorder: FlightRecorder, run: int, setup: RunSetup) -> None:
        """Send over the side channel what the setup asks for. Raises `OSError`."""
        self._recorder = recorder
        self._capture: OutputCapture | None = None
        self._forwarder: LogForwarder | None = None
        if setup.captures_output:
            from enact_pool._worker.output_capture import OutputCapture

            self._capture = OutputCapture(side, recorder, run)
        if setup.log_levels is not None:
            from enact_pool._worker.log_forwarding import LogForwarder

            self._forwarder = LogForwarder(side, recorder, setup.log_levels)
            self._forwarder.install()

    def __enter__(self) -> None:
        if self._capture is not None:
            # Flushing never ends if earlier output is not read: see `Waiter._replace_starved`.
            self._recorder.record_flushing(True)
            self._capture.begin()
            self._recorder.record_flushing(False)
        if self._forwarder is not None:
            self._forwarder.is_on = True

    def __exit__(self, *_: object) -> None:
        if self._forwarder is not None:
            self._forwarder.is_on = False
        if self._capture is not None:
            self._capture.end()

    def read_output(self) -> bytes | None:
        """Return the payload of OUTPUT for the callable that has ended; None without any output.

        Raises `OSError`.
        """
        output = None if self._capture is None else self._capture.read()
        return None if output is None else pickle.dumps(output)

    def forget_output(self) -> None:
        """Forget the output, which was reported. Raises `OSError`."""
        if self._capture is not None:
            self._capture.forget()

    def restore(self) -> None:
        """Undo what the callable did that would silence the logs of later callables."""
        if self._forwarder is not None:
            self._forwarder.restore()

    def close(self) -> None:
        """Undo everything: the run is over."""
        if self._capture is not None:
            self._capture.close()
        if self._forwarder is not None:
            self._forwarder.remove()
