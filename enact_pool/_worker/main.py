"""What runs inside a worker process: read a batch, run it, answer for each callable.

A worker imports no more of the package than it needs (no attrs, no ids): every
start, and so every replacement after a crash, waits for these imports.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import mmap
import os
import pickle
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from functools import partial

from enact_pool._core.timing import COLLECT_NS, QUICK_NS
from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._mirror.worker.followed_state import FollowedState
from enact_pool._mirror.worker.received import Received
from enact_pool._python.loading import load
from enact_pool._python.texts import describe, shown, shows_itself, type_name
from enact_pool._system.descriptors import out_of_reach
from enact_pool._system.nesting import nesting
from enact_pool._system.process_tree import kill_descendants, own_bytes
from enact_pool._wire.frames import (
    LARGE_BYTES,
    LARGE_TAG_BITS,
    LOST_PIPES,
    NONE,
    Answer,
    Command,
    Ending,
    FrameError,
    pack_answer,
    pack_ran,
    ran_parts,
)
from enact_pool._wire.setup import RunSetup
from enact_pool._worker.commands import Permits, commands_from, flush_output
from enact_pool._worker.dirty_tracking import DirtyFlag
from enact_pool._worker.invokers import Invoker, invoker_of, run_coroutine, run_to_the_end
from enact_pool._worker.process_state import ProcessState, own_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # For those runs that ask for it.
    from enact_pool._worker.instrumentation import BatchHooks

__all__ = ["serve"]

# What goes wrong may go wrong in one of these stages, and is told with this text.
_REBUILDING_INPUT = "the input cannot be rebuilt in the worker: "
_RUNNING = ""
# What an ending becomes if the value travels in a parcel.
_LARGE = {Ending.VALUE: Ending.LARGE_VALUE, Ending.SHOWN: Ending.LARGE_SHOWN}

_PICKLING = "the return value, of type {}, cannot be pickled: "

# The ids of types (which may refuse to be hashed) whose values are no coroutines.
# To ask a type for an attribute that it has not takes longer than all else that is
# asked about a value, up to Python 3.11.
_NEVER_AWAITED = frozenset(map(id, (bool, int, float, complex, str, bytes, tuple, list, dict, set)))

# Of Linux, where Python has no name for it.
_MADV_WIPEONFORK = 18

# Bound here: a callable may clear or patch the modules they come from.
_getpid = os.getpid
_fstat = os.fstat
_write = os.write
_monotonic_ns = time.monotonic_ns
_dumps = pickle.dumps
_modules = sys.modules


def serve(
    commands: int,
    permits: int,
    answers: int,
    side: int,
    recording: int,
    lifeline: int,
    depth: int,
    cpus: int,
    spin: bool,
    idle_timeout: float | None,
    env: dict[str, str],
    defaults: dict[str, str],
    definitions: bytes,
    initializer: bytes,
) -> None:
    """Work until the parent closes its end, or has sent nothing for `idle_timeout` seconds.

    The first six are open descriptors that are this process's alone.
    """
    # A session of its own: what signals its process group, as a callable may, reaches
    # nobody else, and what it starts can be killed with it. Ctrl-C does not come here.
    os.setsid()
    # But it may be sent. Not SIG_IGN, which programs that callables start would
    # inherit. Signals with handlers were blocked while this process started.
    signal.signal(signal.SIGINT, _leave_to_parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # What is printed is not to be lost with a later callable's death.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    _die_with_parent(lifeline)
    commands, permits, answers, side, recording = map(
        out_of_reach, (commands, permits, answers, side, recording)
    )
    faulthandler.enable(recording, all_threads=False)
    # The crash of a child that a callable has forked is not this worker's.
    os.register_at_fork(after_in_child=faulthandler.disable)
    nesting.depth, nesting.cpus = depth, cpus
    recorder = FlightRecorder.of_worker(recording)
    received = Received(side, FollowedState(env, defaults))
    worker = _Worker(Permits(permits), answers, side, recorder, recording, received)
    try:
        if worker.initialize(definitions, initializer):
            worker.work(commands_from(commands, idle_timeout, spin, recorder))
        kill_descendants(but=own_workers())
        # What a callable has left behind may keep this process from ending. By
        # this the parent sees that it is no use any more.
        os.close(answers)
    except (OSError, FrameError):
        # A callable has closed, replaced or read a pipe. The parent, if it is alive, sees this
        # process end, and by the recording who was running.
        os._exit(LOST_PIPES)


def _leave_to_parent(_signal: int, _frame: object) -> None:
    """Take a signal, and do nothing."""


def _die_with_parent(lifeline: int) -> None:
    """Arrange for this process to be killed when its parent is gone.

    The parent alone holds the other end of the lifeline, and never writes.
    """
    if sys.platform == "linux" and os.path.exists("/proc/self/fd"):
        # A file description of our own: all workers inherit the same one, and
        # its signals would go to whichever of them came last.
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.close(lifeline)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        # SIGKILL, so that it ends a worker that is stuck in C code as well.
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([own], [], [], 0)[0]:
            # The parent was gone before the signal was armed.
            os._exit(LOST_PIPES)
    else:
        # No F_SETSIG here: a thread watches, which C code that holds the GIL delays.
        threading.Thread(target=_watch, args=(lifeline,), daemon=True, name="lifeline").start()


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGKILL)


class _Worker:
    """Runs batches and writes answers."""

    def __init__(
        self,
        permits: Permits,
        answers: int,
        side: int,
        recorder: FlightRecorder,
        recording: int,
        received: Received,
    ) -> None:
        self._permits = permits
        self._answers = answers
        self._side = side
        self._received = received
        # Why no batch can be run here, as a description; empty: it can.
        self._refusal = b""
        self._recorder = recorder
        self._recording = recording
        self._answers_inode = os.fstat(answers).st_ino
        self._journal = recorder.journal
        self._written_at = 0
        self._pid = os.getpid()
        self._is_original = _zero_in_children()
        self._shows_outputs = False
        self._gives_exceptions = False
        self._invoker = Invoker()
        # How many modules there were when the last callable had run.
        self._modules_known = 0
        self._changes = DirtyFlag()
        # What callables may not change. Made when the initializer has made its changes.
        self._surroundings: ProcessState
        # In bytes; 0: any.
        self._max_memory = 0
        # Whether a callable has left this process in a state that no other may find.
        self._is_spoilt = False
        # Listens to what callables print and log, if somebody wants to know.
        self._hooks: BatchHooks | None = None

    def initialize(self, definitions: bytes, initializer: bytes) -> bool:
        """Run the user's initializer, which these definitions are for.

        Gives whether this worker can be used.
        """
        try:
            self._received.apply(definitions)
            function, args = load(initializer)
            if function is not None:
                function(*args)
        except BaseException as error:
            self._end_if_forked()
            self._received.explain(error)
            self._write(pack_answer(Answer.START_FAILED, payload=_description(error)))
            return False
        self._end_if_forked()
        self._surroundings = ProcessState(self._changes, self._recording)
        self._write(pack_answer(Answer.READY))
        return True

    def work(self, frames: Iterator[tuple[tuple[int, ...], bytes]]) -> None:
        """Do what the frames say, to their end."""
        current_run = 0
        for (_, kind, run, first, count, _), payload in frames:
            if kind == Command.SETUP:
                current_run = run
                self._recorder.note_occupied(True)
                self._take_setup(run, payload)
                self._recorder.note_occupied(False)
            elif kind == Command.DEFINE:
                self._take_definitions(first + count - 1, payload)
            elif run == current_run:
                if self._hooks is None:
                    self._run_batch(first, first + count - 1, payload)
                else:
                    with self._hooks:
                        self._run_batch(first, first + count - 1, payload)
                if self._is_spoilt:
                    return
            else:
                raise FrameError("what this run has in common is lost")

    def _take_setup(self, run: int, encoded: bytes) -> None:
        self._invoker.close()
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None
        setup = RunSetup.decode(encoded)
        self._shows_outputs = setup.shows_outputs
        self._gives_exceptions = setup.gives_exceptions
        self._max_memory = setup.max_memory or 0
        large = None
        if setup.is_large:
            from enact_pool._ipc.large_value import LargeValue  # not for every worker

            tag = run << LARGE_TAG_BITS
            large = LargeValue.receive(self._received.side, tag, setup.payload)
        self._invoker = invoker_of(setup, large)
        if setup.captures_output or setup.log_levels is not None:
            from enact_pool._worker.instrumentation import BatchHooks  # nor this

            self._hooks = BatchHooks(self._side, self._recorder, run, setup)

    def _take_definitions(self, last: int, payload: bytes) -> None:
        """Take what the next batch, which ends with this number, refers to."""
        self._recorder.note_loading(last, _monotonic_ns())
        try:
            if self._received.apply(payload):
                self._surroundings.follow()
            else:
                self._surroundings.accept()
        except BaseException as error:
            self._end_if_forked()
            # No callable may run here, where it would see something else than its caller.
            self._refusal = _description(error)
        self._recorder.note_loading(0, _monotonic_ns())

    def _run_batch(self, first: int, last: int, payload: bytes) -> None:
        """Run those callables of the batch `first` to `last` that have a permit."""
        permits = self._permits.of(first, last)
        serial = next(permits, 0)
        if not serial:
            # All of it was given to others, and is not even unpickled.
            self._write(pack_answer(Answer.SKIPPED, last))
            return
        if self._refusal:
            # Another worker may be able to.
            self._write(pack_answer(Answer.UNLOADABLE, last, self._refusal))
            self._is_spoilt = True
            return
        self._recorder.note_loading(last, _monotonic_ns())
        try:
            batch = self._invoker.items(payload)
        except BaseException as error:
            self._end_if_forked()
            self._write(pack_answer(Answer.UNLOADABLE, last, _description(error)))
            return
        finally:
            self._recorder.note_loading(0, _monotonic_ns())
        self._end_if_forked()
        done, self._written_at = serial - 1, _monotonic_ns()
        self._surroundings.begin(self._written_at)
        while serial:
            if serial != done + 1:
                # Some were given to others. The journal takes consecutive ones.
                self._write_journal()
            self._run(serial, batch, serial - first)
            self._modules_known = len(_modules)
            if __name__ not in sys.modules:
                # It has cleared them: nothing can be unpickled here any more.
                os._exit(LOST_PIPES)
            if self._surroundings.is_lost:
                self._is_spoilt = True
            if self._is_spoilt:
                # The parent finds out what else it had been sent.
                self._write_journal()
                return
            done, serial = serial, next(permits, 0)
        self._write_journal()
        # Nobody has to wait for the rest.
        self._surroundings.restore_unnoted()
        self._is_spoilt = self._surroundings.is_lost
        self._look_at_memory()
        if done != last:
            self._write(pack_answer(Answer.SKIPPED, last))

    def _run(self, serial: int, batch: list[Any], index: int) -> None:
        """Run one callable of a batch, and answer for it."""
        # What a quick callable costs is spent here: few calls, few lookups.
        ending, payload, value, invoker = Ending.VALUE, NONE, None, self._invoker
        doing = _REBUILDING_INPUT
        begun_at = _monotonic_ns()
        try:
            # Out of the batch: its memory is to be free before the next one runs.
            item, batch[index] = batch[index], None
            if invoker.has_to_load(item):
                # Not its own time: it may import modules.
                self._recorder.note_loading(serial, begun_at)
                try:
                    given = invoker.given(item)
                finally:
                    begun_at = _monotonic_ns()
                    self._recorder.note_loading(0, begun_at)
            else:
                given = invoker.given(item)
            self._recorder.note_begun(serial, begun_at)
            doing = invoker.rebuilding
            run = invoker.called(item)
            if len(_modules) != self._modules_known:
                self._surroundings.accept()
            doing = _RUNNING
            context = self._received.context
            value = (
                run(given) if context is None else context.copy().run(run_to_the_end, run, given)
            )
            if value is not None:
                if (
                    id(type(value)) not in _NEVER_AWAITED
                    and hasattr(type(value), "__await__")
                    and isinstance(value, Coroutine)
                ):
                    value = run_coroutine(value)
                doing = _PICKLING
                ending, payload = self._pickled(serial, value)
        except BaseException as error:
            if doing is _REBUILDING_INPUT:
                self._recorder.note_begun(serial, begun_at)
            what = doing.format(type_name(type(value)))
            ending, payload = Ending.ERROR, self._pickled_error(error, what)
        # Freed before it is answered for: if that ends the process, it is to blame.
        item = given = run = value = None
        ended_at = _monotonic_ns()
        ran_ns = ended_at - begun_at
        if not self._is_original[0]:
            self._end_if_forked()
        # After a quick one several permits are taken at once.
        self._permits.several = quick = ran_ns < QUICK_NS
        hooks = self._hooks
        try:
            if self._received.is_relayed and hooks is None:
                # It is shown before the result is, also what is not a whole line.
                flush_output()
            # Not in a method of its own: there may be no depth of calls left for that.
            left = self._surroundings.restore(ran_ns, ended_at)
            told = None if left is None else _dumps(left)
        except BaseException:
            # It has left a thread whose name raises, say, or patched what this takes, or left
            # a stream that exits when it is flushed. It has its answer, but is the last one here.
            told, self._is_spoilt = None, True
        if told is not None:
            # To write it may take long, and is not the callable's time.
            self._recorder.note_resting()
            self._write(pack_answer(Answer.LEFT_BEHIND, serial, told))
        if hooks is not None:
            hooks.restore()
            self._tell_printed(hooks, serial)
        journal = self._journal
        if not journal.add(serial, ending, begun_at, ran_ns, payload):
            # Larger than what travels in a parcel as a rule. Writing it is not the callable's time.
            self._recorder.note_resting()
            self._write_journal()
            self._write(pack_ran(serial, 1, ran_parts(begun_at, ran_ns, ending, payload)))
        elif (
            journal.is_full
            or ended_at - self._written_at >= COLLECT_NS
            # The parent takes what is logged behind a parcel when it has the answer.
            or (hooks is not None and ending > Ending.ERROR)
        ):
            self._write_journal()
            self._written_at = ended_at
        if not quick:
            self._look_at_memory()

    def _tell_printed(self, hooks: BatchHooks, serial: int) -> None:
        """Tell what a callable has printed, before it is answered for."""
        try:
            printed = hooks.printed()
        except OSError:
            # It has closed the files, and has its answer, but is the last one here.
            self._is_spoilt = True
            return
        if printed is not None:
            # Nor is this its time.
            self._recorder.note_resting()
            self._write(pack_answer(Answer.OUTPUT, serial, printed))
            # Not before: if this process dies meanwhile, it is found where it was.
            hooks.forget_printed()

    def _look_at_memory(self) -> None:
        """If it is too much, let no other callable be killed for it."""
        most = self._max_memory
        # A peak may be past, that of a large parent counts as its child's, and what is
        # shared is among it.
        if most and (_peak_bytes() > most or self._surroundings.has_company):
            self._is_spoilt |= own_bytes(self._pid, most) > most

    def _pickled(self, serial: int, value: Any) -> tuple[int, bytes]:
        """A returned value, and the kind of ending; raises whatever pickling it raises."""
        ending, text = Ending.VALUE, None
        buffers: list[pickle.PickleBuffer] = []
        if shows_itself(value):
            payload = _dumps(value, pickle.HIGHEST_PROTOCOL)
        else:
            if self._shows_outputs:
                ending, text = Ending.SHOWN, shown(value)
            payload = self._received.pickled(value, text, buffers)
        if buffers or len(payload) >= LARGE_BYTES:
            parcel = self._send_parcel(serial, payload, buffers)
            if parcel is not None:
                return _LARGE[ending], parcel
            if buffers:
                payload = self._received.pickled(value, text, None)
        return ending, payload

    def _pickled_error(self, error: BaseException, what: str) -> bytes:
        """What a callable raised, as texts, and as itself if somebody wants that."""
        self._received.explain(error)
        described = describe(error, what)
        if self._gives_exceptions:
            try:
                return _dumps((*described, self._received.pickled(error, None, None)))
            except BaseException:
                pass  # whatever it raises, the texts have to do
        return _dumps(described)

    def _send_parcel(
        self, serial: int, pickled: bytes, buffers: list[pickle.PickleBuffer]
    ) -> bytes | None:
        """Send a value as a parcel; gives its layout, or None if it is small or that cannot be."""
        try:
            from enact_pool._ipc.large_value import large_value_of  # not for every worker
        except (ImportError, OSError):
            return None  # a callable has taken all descriptors, or cleared sys.path
        parcel = large_value_of(pickled, buffers)
        if parcel is None:
            return None
        self._end_if_forked()
        try:
            parcel.send(self._side, serial)
        except OSError:
            return None
        finally:
            parcel.close()
        return parcel.layout

    def _end_if_forked(self) -> None:
        """End here if this is a child that the user's code has forked and let return.

        It must neither answer for its parent, nor run what its parent will run.
        """
        if _getpid() != self._pid:
            os._exit(0)

    def _write_journal(self) -> None:
        """Write the answers that have been collected."""
        self._write(self._journal.frame())
        self._journal.clear()

    def _write(self, frame: bytes) -> None:
        if _fstat(self._answers).st_ino != self._answers_inode:
            # A callable has closed it, and its number is another file's now.
            os._exit(LOST_PIPES)
        rest = memoryview(frame)
        while rest:
            rest = rest[_write(self._answers, rest) :]


def _zero_in_children() -> mmap.mmap | bytes:
    """Memory that is zero in a child, however that was forked, and not in this process.

    To look there takes a fifth of the time that it takes to ask for the process's id.
    Where it cannot be had it is zero here as well: then that has to be asked for.
    """
    if sys.platform != "linux":
        return b"\0"
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_MADV_WIPEONFORK)
    except OSError:
        return b"\0"  # an older kernel than 4.14
    page[0] = 1
    # An emulator may take the advice and not keep to it.
    os.register_at_fork(after_in_child=partial(page.__setitem__, 0, 0))
    return page


def _peak_bytes() -> int:
    """The most memory that this process had resident so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _description(error: BaseException, what: str = "") -> bytes:
    # Texts, not the exception: many fail to be unpickled, or do harm then.
    return _dumps(describe(error, what))
