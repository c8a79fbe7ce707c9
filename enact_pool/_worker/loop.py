"""The loop of a worker: it carries out the commands of its parent.

What the worker is doing is one of the statuses in `flight_recorder`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._mirror.worker.received import Received
from enact_pool._python.loading import load
from enact_pool._wire.frames import LARGE_TAG_BITS, Answer, Command, FrameError, pack_answer
from enact_pool._wire.setup import RunSetup
from enact_pool._worker.batches import BatchRunner
from enact_pool._worker.dirty_tracking import DirtyFlag
from enact_pool._worker.invokers import invoker_of
from enact_pool._worker.outcomes import pickle_description
from enact_pool._worker.process_state import ProcessState

__all__ = ["WorkerLoop"]

# Bound here: a callable may patch the module it comes from.
_monotonic_ns = time.monotonic_ns


class WorkerLoop:
    """Prepares the worker for runs and batches; a `BatchRunner` runs the batches."""

    def __init__(
        self,
        batches: BatchRunner,
        recorder: FlightRecorder,
        received: Received,
        side: int,
        recording: int,
    ) -> None:
        """Use these descriptors of the side channel and of the flight recorder's file."""
        self._batches = batches
        self._recorder = recorder
        self._received = received
        self._side = side
        self._recording = recording
        self._dirty = DirtyFlag()

    def initialize(self, definitions: bytes, initializer: bytes) -> bool:
        """Run the user's initializer, which needs these definitions.

        Return whether this worker can be used.
        """
        what = "the initializer cannot be rebuilt in the worker: "
        try:
            self._received.apply(definitions)
            function, args = load(initializer)
            what = "the initializer raised "
            if function is not None:
                function(*args)
        except BaseException as error:
            self._batches.guard.exit_if_forked()
            self._received.explain(error)
            description = pickle_description(error, what)
            self._batches.write(pack_answer(Answer.START_FAILED, payload=description))
            return False
        self._batches.guard.exit_if_forked()
        self._batches.process_state = ProcessState(self._dirty, self._recording)
        self._batches.write(pack_answer(Answer.READY))
        return True

    def run(self, commands: Iterator[tuple[tuple[int, ...], bytes]]) -> None:
        """Carry out all commands, or stop when no other callable may run in this process."""
        batches = self._batches
        current_run = 0
        for (_, kind, run, first, count, _), payload in commands:
            if kind == Command.SETUP:
                current_run = run
                self._recorder.record_preparing(True)
                self._take_setup(run, payload)
                self._recorder.record_preparing(False)
            elif kind == Command.DEFINE:
                self._take_definitions(first + count - 1, payload)
            elif run == current_run:
                if batches.hooks is None:
                    batches.run(first, first + count - 1, payload)
                else:
                    with batches.hooks:
                        batches.run(first, first + count - 1, payload)
                if batches.must_exit:
                    return
            else:
                raise FrameError("the setup of this run is lost")

    def _take_setup(self, run: int, encoded: bytes) -> None:
        batches = self._batches
        batches.invoker.close()
        if batches.hooks is not None:
            batches.hooks.close()
            batches.hooks = None
        setup = RunSetup.decode(encoded)
        batches.outcomes.shows_outputs = setup.shows_outputs
        batches.outcomes.sends_exceptions = setup.sends_exceptions
        batches.max_memory = setup.max_memory or 0
        large = None
        if setup.is_large:
            from enact_pool._ipc.large_value import LargeValue  # not for every worker

            tag = run << LARGE_TAG_BITS
            large = LargeValue.receive(self._received.side, tag, setup.payload)
        batches.invoker = invoker_of(setup, large)
        if setup.captures_output or setup.log_levels is not None:
            from enact_pool._worker.instrumentation import BatchHooks  # not for every worker

            batches.hooks = BatchHooks(self._side, self._recorder, run, setup)

    def _take_definitions(self, last: int, payload: bytes) -> None:
        """Apply the definitions that the next batch, which ends with this number, refers to."""
        self._recorder.record_loading(last, _monotonic_ns())
        try:
            if self._received.apply(payload):
                self._batches.process_state.follow()
            else:
                self._batches.process_state.accept()
        except BaseException as error:
            self._batches.guard.exit_if_forked()
            # No callable may run here: its globals would differ from its caller's.
            self._batches.refusal = pickle_description(error)
        self._recorder.record_loading(0, _monotonic_ns())
