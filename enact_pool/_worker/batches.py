"""The runner of batches in a worker: it runs each callable that has a permit, and answers."""

from __future__ import annotations

import os
import pickle
import resource
import sys
import time
from collections.abc import Coroutine

from enact_pool._core.timing import COLLECT_NS, QUICK_NS
from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._mirror.worker.received import Received
from enact_pool._python.reprs import type_name
from enact_pool._system.process_tree import own_bytes
from enact_pool._wire.frames import (
    LOST_PIPES,
    NONE,
    Answer,
    Ending,
    pack_answer,
    pack_ran,
    ran_parts,
)
from enact_pool._worker.commands import Permits, flush_output
from enact_pool._worker.fork_guard import ForkGuard
from enact_pool._worker.invokers import Invoker, run_coroutine, run_to_the_end
from enact_pool._worker.outcomes import OutcomePickler, pickle_description
from enact_pool._worker.process_state import ProcessState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Only for runs that ask for it.
    from enact_pool._worker.instrumentation import BatchHooks

__all__ = ["BatchRunner"]

# The stages in which a callable may fail, by the text that its error starts with.
_REBUILDING_INPUT = "the input cannot be rebuilt in the worker: "
_RUNNING = ""
_PICKLING = "the return value, of type {}, cannot be pickled: "

# The ids of types whose values are not coroutines. (A metaclass may make types unhashable.)
# Up to Python 3.11, asking a type for an attribute that it does not have takes longer than
# all other checks of a value.
_NEVER_AWAITED = frozenset(map(id, (bool, int, float, complex, str, bytes, tuple, list, dict, set)))

# Bound here: a callable may clear or patch the modules they come from.
_fstat = os.fstat
_write = os.write
_monotonic_ns = time.monotonic_ns
_dumps = pickle.dumps
_modules = sys.modules


class BatchRunner:
    """Runs batches and writes answers.

    Attributes:
        guard: Detects forked children.
        outcomes: Makes the payloads of answers.
        invoker: Calls the items of the run's batches.
        hooks: Captures what callables print and log; None if the run does not ask for it.
        max_memory: The memory limit in bytes; 0 for none.
        process_state: What callables cannot change for good. It is set after the initializer ran.
        refusal: Why no batch can run here, as a pickled description; empty if batches can run.
        must_exit: Whether a callable has left this process in a state in which no other may run.
    """

    process_state: ProcessState

    def __init__(
        self,
        permits: Permits,
        answers: int,
        recorder: FlightRecorder,
        received: Received,
        outcomes: OutcomePickler,
        guard: ForkGuard,
    ) -> None:
        """Write answers to the descriptor `answers`."""
        self.guard = guard
        self.outcomes = outcomes
        self.invoker = Invoker()
        self.hooks: BatchHooks | None = None
        self.max_memory = 0
        self.refusal = b""
        self.must_exit = False
        self._permits = permits
        self._answers = answers
        self._answers_inode = os.fstat(answers).st_ino
        self._recorder = recorder
        self._journal = recorder.journal
        self._received = received
        self._pickle_value = outcomes.pickle_value
        self._is_original = guard.is_original
        self._written_at = 0
        # How many modules there were when the last callable had run.
        self._modules_known = 0

    def run(self, first: int, last: int, payload: bytes) -> None:
        """Run those callables of the batch `first` to `last` that have a permit."""
        permits = self._permits.take(first, last)
        serial = next(permits, 0)
        if not serial:
            # All permits were revoked: do not even unpickle the batch.
            self.write(pack_answer(Answer.SKIPPED, last))
            return
        if self.refusal:
            # Another worker may be able to run it.
            self.write(pack_answer(Answer.UNLOADABLE, last, self.refusal))
            self.must_exit = True
            return
        self._recorder.record_loading(last, _monotonic_ns())
        try:
            batch = self.invoker.items(payload)
        except BaseException as error:
            self.guard.exit_if_forked()
            self.write(pack_answer(Answer.UNLOADABLE, last, pickle_description(error)))
            return
        finally:
            self._recorder.record_loading(0, _monotonic_ns())
        self.guard.exit_if_forked()
        done, self._written_at = serial - 1, _monotonic_ns()
        self.process_state.begin(self._written_at)
        while serial:
            if serial != done + 1:
                # Some permits were revoked. The journal accepts consecutive numbers only.
                self._write_journal()
            self._run_one(serial, batch, serial - first)
            self._modules_known = len(_modules)
            if __name__ not in sys.modules:
                # The callable has cleared them: nothing can be unpickled here any more.
                os._exit(LOST_PIPES)
            if self.process_state.is_lost:
                self.must_exit = True
            if self.must_exit:
                # The parent finds out which tasks this worker does not run.
                self._write_journal()
                return
            done, serial = serial, next(permits, 0)
        self._write_journal()
        # No answer waits for what follows.
        self.process_state.restore_untracked()
        self.must_exit = self.process_state.is_lost
        self._check_memory()
        if done != last:
            self.write(pack_answer(Answer.SKIPPED, last))

    def _run_one(self, serial: int, batch: list[Any], index: int) -> None:
        """Run one callable of a batch, and answer for it."""
        # The cost of a quick callable is spent here: few calls, few lookups.
        ending, payload, value, invoker = Ending.VALUE, NONE, None, self.invoker
        stage = _REBUILDING_INPUT
        begun_at = _monotonic_ns()
        try:
            # Remove it from the batch, so that its memory is free before the next one runs.
            item, batch[index] = batch[index], None
            if invoker.must_load(item):
                # This is not the callable's own time: loading may import modules.
                self._recorder.record_loading(serial, begun_at)
                try:
                    argument = invoker.argument_of(item)
                finally:
                    begun_at = _monotonic_ns()
                    self._recorder.record_loading(0, begun_at)
            else:
                argument = invoker.argument_of(item)
            self._recorder.record_begun(serial, begun_at)
            stage = invoker.stage
            run = invoker.callable_of(item)
            if len(_modules) != self._modules_known:
                self.process_state.accept()
            stage = _RUNNING
            context = self._received.context
            value = (
                run(argument)
                if context is None
                else context.copy().run(run_to_the_end, run, argument)
            )
            if value is not None:
                if (
                    id(type(value)) not in _NEVER_AWAITED
                    and hasattr(type(value), "__await__")
                    and isinstance(value, Coroutine)
                ):
                    value = run_coroutine(value)
                stage = _PICKLING
                ending, payload = self._pickle_value(serial, value)
        except BaseException as error:
            if stage is _REBUILDING_INPUT:
                self._recorder.record_begun(serial, begun_at)
            what = stage.format(type_name(type(value)))
            ending, payload = Ending.ERROR, self.outcomes.pickle_error(error, what)
        # Free these before the answer: if that ends the process, this callable is to blame.
        item = argument = run = value = None
        ended_at = _monotonic_ns()
        ran_ns = ended_at - begun_at
        if not self._is_original[0]:
            self.guard.exit_if_forked()
        # After a quick callable, several permits are taken at once.
        self._permits.several = quick = ran_ns < QUICK_NS
        hooks = self.hooks
        try:
            if self._received.is_relayed and hooks is None:
                # Show the output before the result, including a part of a line.
                flush_output()
            # Not in a method of its own: the callable may have left no depth of calls for one.
            left = self.process_state.restore(ran_ns, ended_at)
            report = None if left is None else _dumps(left)
        except BaseException:
            # The callable has left a thread whose name raises, say, or patched a function that
            # this calls, or left a stream that exits when it is flushed. The callable has its
            # answer, but is the last one that runs here.
            report, self.must_exit = None, True
        if report is not None:
            # Writing may take long, and is not the callable's time.
            self._recorder.record_resting()
            self.write(pack_answer(Answer.LEFT_BEHIND, serial, report))
        if hooks is not None:
            hooks.restore()
            self._report_output(hooks, serial)
        journal = self._journal
        if not journal.add(serial, ending, begun_at, ran_ns, payload):
            # It has more bytes than most large values. Writing it is not the callable's time.
            self._recorder.record_resting()
            self._write_journal()
            self.write(pack_ran(serial, 1, ran_parts(begun_at, ran_ns, ending, payload)))
        elif (
            journal.is_full
            or ended_at - self._written_at >= COLLECT_NS
            # The parent reads log records behind a large value only after its answer.
            or (hooks is not None and ending > Ending.ERROR)
        ):
            self._write_journal()
            self._written_at = ended_at
        if not quick:
            self._check_memory()

    def _report_output(self, hooks: BatchHooks, serial: int) -> None:
        """Report what a callable has printed, before its answer."""
        try:
            output = hooks.read_output()
        except OSError:
            # The callable has closed the files. It has its answer, but is the last one here.
            self.must_exit = True
            return
        if output is not None:
            # Writing this is not the callable's time, either.
            self._recorder.record_resting()
            self.write(pack_answer(Answer.OUTPUT, serial, output))
            # Not earlier: if this process dies meanwhile, the output is still in the files.
            hooks.forget_output()

    def _check_memory(self) -> None:
        """Retire this worker if it is over its memory limit: the next callable is not blamed."""
        most = self.max_memory
        # The peak may be past, includes that of a large parent, and includes shared memory.
        if most and (_peak_bytes() > most or self.process_state.has_children):
            self.must_exit |= own_bytes(self.guard.pid, most) > most

    def _write_journal(self) -> None:
        """Write the answers that have been collected."""
        self.write(self._journal.frame())
        self._journal.clear()

    def write(self, frame: bytes) -> None:
        """Write a frame to the parent; exit if the pipe is gone."""
        if _fstat(self._answers).st_ino != self._answers_inode:
            # A callable has closed the pipe, and its number is another file's now.
            os._exit(LOST_PIPES)
        rest = memoryview(frame)
        while rest:
            rest = rest[_write(self._answers, rest) :]


def _peak_bytes() -> int:
    """Return the most memory that this process had resident so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
