"""A lane: one worker process, the three pipes to it, and its flight recorder.

    parent                                   worker
    ------                                   ------
    flush         ==== commands pipe ====>   _worker.commands
    queue_batch   ==== permits pipe ==+==>   _worker.commands
    revoke        <===================+
    receive       <=== answers pipe ======   _worker.batches
    side          <=== side channel =====>   large values, log records, output files
    notes         <--- flight recorder ---   (shared memory)
                  --- lifeline ---------->   (one for all lanes; closes with the parent)

`spawn` starts the process.
"""

from __future__ import annotations

import fcntl
import os
import select
import termios
import time

# Those of `signal` take ten times as long, to make enums of numbers.
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_IGN,
    SIG_SETMASK,
    SIGPIPE,
    getsignal,
    pthread_sigmask,
    sigpending,
    sigwait,
)
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from enact_pool._core.postmortem import ExitReport
from enact_pool._core.states import IllegalTransition
from enact_pool._ipc.flight_recorder import FlightRecorder, create_recorder_file
from enact_pool._ipc.side_channel import Kind, SideChannelReader, pair, send_descriptors
from enact_pool._lanes.base import StartError
from enact_pool._lanes.death import Death
from enact_pool._lanes.death_pipe import lifeline
from enact_pool._lanes.process import WorkerProcess
from enact_pool._lanes.spawn import WorkerSpec, undisturbed
from enact_pool._lanes.worker_command import NEEDS_SUPPORT, is_frozen
from enact_pool._mirror.caller.delivery import Deliveries, packed
from enact_pool._mirror.caller.manifests import starting_manifest
from enact_pool._mirror.caller.process_state import stream_descriptors
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._wire.frames import (
    ANSWER,
    COMMAND,
    LARGE_TAG_BITS,
    MAGIC,
    Command,
    FrameError,
    FrameReader,
)
from enact_pool._wire.permits import PERMIT_BYTES, pack_permits, unpack_permits

if TYPE_CHECKING:  # they take long to import, and are not always needed
    from enact_pool._ipc.flight_recorder import Activity
    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._lanes.output_relay import Relay
    from enact_pool._mirror.caller.items import Manifest
    from enact_pool._model.limits import LimitViolation

__all__ = ["LocalLane"]

_READ_BYTES = 1 << 16
# The least number of buffers that every POSIX system takes in one write.
_BUFFERS = 16
# What a pipe takes in one piece, as a multiple of the size of a permit.
_PIPE_BUF = select.PIPE_BUF // PERMIT_BYTES * PERMIT_BYTES


def _pipe_size(descriptor: int) -> int:
    """Return how many bytes a pipe takes. On Linux, users with many pipes get small ones."""
    if hasattr(fcntl, "F_GETPIPE_SZ"):
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return 1 << 14


class LocalLane(WorkerProcess):
    """One worker process and its pipes, from its start to its end.

    Used by one thread at a time; but any may kill it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        # Its place among the pool's lanes, which its successor will have.
        self.number = number
        self.ready = False
        # Until it is given back for the first time.
        self.is_new = True
        # How many callables it has run.
        self.ran = 0
        # When it was drained; 0.0 if it was not.
        self.drained_at = 0.0
        # The limit that what it ran has broken, for which it was killed.
        self.violation: LimitViolation | None = None
        # When that was, by the monotonic clock.
        self.violated_ns = 0
        # What a callable has left running there, as a clause.
        self.left_running = ""
        # Whether anything that the worker has sent was read.
        self.has_spoken = False
        self.start_error: StartError | None = None
        # The serial number of the last callable that was sent.
        self.sent = 0
        # The number of the last run whose input was sent.
        self._run = 0
        # What is queued and was not written, as far as is known.
        self.outbox: deque[memoryview] = deque()
        self._reader = FrameReader(ANSWER)
        # Whether a part of an answer was read, and the rest waits for us.
        self.is_receiving = False
        # How many permits the worker may be sent with a batch.
        self.batch_limit = 1
        # What the worker has of definitions and globals.
        self.deliveries = Deliveries(self._send_large, self._send_streams)
        self._large_sent = 0
        # What comes beside its answers.
        self.side = SideChannelReader(-1)
        self._open: list[int] = []
        self._recorder: FlightRecorder | None = None

    def start(self, spec: WorkerSpec) -> None:
        """Start the worker process. Raises `OSError`; then nothing is left behind."""
        with undisturbed():
            try:
                self._start(spec)
            except BaseException:
                self.end()
                raise

    def _start(self, spec: WorkerSpec) -> None:
        worker_ends: list[int] = []
        try:
            worker_commands, self.commands = os.pipe()
            worker_ends.append(worker_commands)
            self._open.append(self.commands)
            self._permits, self._permits_in = os.pipe()
            self._open += [self._permits, self._permits_in]
            self.answers, worker_answers = os.pipe()
            worker_ends.append(worker_answers)
            self._open.append(self.answers)
            self._side, worker_side = pair()
            worker_ends.append(worker_side)
            self._open.append(self._side)
            self.side = SideChannelReader(self._side)
            recording = create_recorder_file()
            worker_ends.append(recording)
            self._recorder = FlightRecorder.of_parent(recording)
            inherited = [
                worker_commands,
                self._permits,
                worker_answers,
                worker_side,
                recording,
                lifeline.read_end(),
            ]
            manifests = starting_manifest(), spec.initializer.manifest
            definitions = packed(self.deliveries.operations(manifests))
            self.deliveries.sent(manifests)
            self._start_process(spec, inherited, definitions)
        finally:
            for end in worker_ends:
                os.close(end)
        # A file description of our own, where that can be had: a callable that
        # makes the worker's blocking would make ours so as well.
        try:
            own = os.open(f"/dev/fd/{self._permits}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            own = os.dup(self._permits)
        os.set_blocking(self._permits, False)
        os.close(self._permits)
        self._open[self._open.index(self._permits)] = self._permits = own
        for end in (
            self.commands,
            self._permits,
            self._permits_in,
            self.answers,
            self._side,
        ):
            os.set_blocking(end, False)
        self.batch_limit = _pipe_size(self._permits) // PERMIT_BYTES // 3

    def _next_tag(self) -> int:
        # They grow, and those of what runs have in common are between them.
        self._large_sent += 1
        return self._run << LARGE_TAG_BITS | self._large_sent

    def _send_large(self, large: LargeValue) -> int:
        tag = self._next_tag()
        large.send(self._side, tag)
        return tag

    def _send_streams(self, relay: Relay | None) -> int:
        tag = self._next_tag()
        descriptors = stream_descriptors()
        try:
            sent = descriptors if relay is None else relay.in_place_of(descriptors)
            send_descriptors(self._side, Kind.DESCRIPTORS, tag, sent)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return tag

    def queue_definitions(self, count: int, *manifests: Manifest) -> None:
        """Queue what the worker lacks of these manifests. Raises `OSError`.

        Args:
            count: How many callables the next batch has, which needs them; 0 if no batch does.
            manifests: What the worker must have.
        """
        # Without a generator or a call: this is asked for each batch (the row "1 no-op").
        deliveries = self.deliveries
        if not deliveries.released and all(
            map(deliveries.complete.__contains__, map(id, filter(None, manifests)))
        ):
            return
        # Either all of it is queued and noted, or nothing.
        with handlers_deferred():
            operations = self.deliveries.operations(manifests)
            if operations:
                self._queue(Command.DEFINE, self.sent + 1, count, packed(operations))
            self.deliveries.sent(manifests)

    def queue_setup(self, payload: bytes, large: LargeValue | None = None) -> None:
        """Queue what a run's callables have in common.

        A large value is sent at once; its layout is in the payload. Raises `OSError`.
        """
        self._run += 1
        self._large_sent = 0
        if large is not None:
            large.send(self._side, self._run << LARGE_TAG_BITS)
        self._queue(Command.SETUP, 0, 0, payload)

    def queue_batch(self, count: int, payload: bytes) -> bool:
        """Queue a batch, and permit the worker to start it.

        Returns:
            Whether there was room for its permits.
        """
        first = self.sent + 1
        self.sent += count
        permits = pack_permits(range(first, first + count))
        # Before the batch: a worker that finds no permit skips. In pieces that
        # are written in one go, so that no reader ever sees half a permit. A batch,
        # and one that was given up, have room in a pipe; but a pipe of one page, which
        # users with many pipes get, takes nothing until it is empty.
        try:
            for at in range(0, len(permits), _PIPE_BUF):
                os.write(self._permits_in, permits[at : at + _PIPE_BUF])
        except BlockingIOError:
            if at:
                raise IllegalTransition("a pipe took a part of the permits of a batch") from None
            self.sent -= count
            return False
        self._queue(Command.BATCH, first, count, payload)
        return True

    def _queue(self, kind: int, first: int, count: int, payload: bytes) -> None:
        header = COMMAND.pack(MAGIC, kind, self._run, first, count, len(payload))
        self.outbox.append(memoryview(header))
        self.outbox.append(memoryview(payload))

    def revoke(self, count: int = 1 << 13) -> tuple[int, ...]:
        """Take back up to `count` permits; return their serial numbers, which do not start."""
        try:
            return unpack_permits(os.read(self._permits, count * PERMIT_BYTES))
        except BlockingIOError:
            return ()
        except FrameError:
            # A callable, which may still run, has taken a part of a permit. The
            # worker will find out, or find none; what it skips is sent again.
            return ()

    def flush(self) -> bool:
        """Write what the pipe takes without blocking; return whether that was all.

        Raises `BrokenPipeError` if the worker is gone.
        """
        outbox = self.outbox
        while outbox:
            try:
                written = self._write(list(islice(outbox, _BUFFERS)))
            except BlockingIOError:
                return False
            while outbox and written >= len(outbox[0]):
                written -= len(outbox.popleft())
            if written:
                outbox[0] = outbox[0][written:]
        return True

    def _write(self, buffers: list[memoryview]) -> int:
        # Writing to a worker that is gone is to raise an exception, and to do no more.
        # Python ignores the signal that comes with it; but programs that are part of
        # pipelines often let it end them.
        if getsignal(SIGPIPE) == SIG_IGN:
            return os.writev(self.commands, buffers)
        # Calls no Python function: a handler that raises where one begins would prevent it.
        before = pthread_sigmask(SIG_BLOCK, ())
        try:
            # Runs the handlers of what came just before, which may raise.
            pthread_sigmask(SIG_BLOCK, {SIGPIPE})
            try:
                return os.writev(self.commands, buffers)
            finally:
                if SIGPIPE in sigpending():
                    sigwait({SIGPIPE})
        finally:
            pthread_sigmask(SIG_SETMASK, before)

    def receive(self) -> list[tuple[tuple[int, ...], bytes]] | None:
        """Return the frames that one read completes; None if the pipe is empty.

        Raises `EOFError` if nobody can write to the pipe any more, and
        `MemoryError` if there is no room for a frame.
        """
        self.has_spoken = True
        try:
            chunk = os.read(self.answers, _READ_BYTES)
        except BlockingIOError:
            return None
        if not chunk:
            raise EOFError
        frames = self._reader.feed(chunk)
        self.is_receiving = self._reader.have > 0
        return frames

    @property
    def notes(self) -> FlightRecorder:
        """What the worker has noted of what it does, and of answers it has not written yet."""
        if self._recorder is None:
            raise IllegalTransition("the worker was not started, or was released")
        return self._recorder

    def receive_large_value(self, serial: int, layout: bytes) -> LargeValue:
        """Return the large value of an answer. Raises what `LargeValue.receive` raises."""
        from enact_pool._ipc.large_value import LargeValue

        return LargeValue.receive(self.side, serial, layout)

    def output(self) -> tuple[bytes, bytes] | None:
        """Return what callables of the last run have printed and no answer contains, or None.

        Raises `OSError`.
        """
        from enact_pool._ipc.output_file import read

        with handlers_deferred():
            self.side.collect()
        return read(self.side.output(self._run), self.notes.reported())

    def clear_side(self) -> None:
        """Drop what is in the side channel: its run is over."""
        with handlers_deferred():
            self.side.drain()

    def is_at_rest(self, answered: int) -> bool:
        """Return whether the worker, which has answered up to this number, does nothing known."""
        notes = self.notes
        return not (self.outbox or notes.begun > answered or notes.loading or notes.preparing)

    @property
    def has_unread(self) -> bool:
        """Whether the worker has not yet taken all that was written for it."""
        return any(fcntl.ioctl(self.commands, termios.FIONREAD, bytes(4)))

    def drain(self) -> None:
        """Close the commands pipe: the worker ends when it has done what was sent."""
        self.drained_at = time.monotonic()
        with handlers_deferred():
            if self.commands in self._open:
                self._open.remove(self.commands)
                os.close(self.commands)

    def kill_for_violation(self, activity: Activity, violation: LimitViolation) -> bool:
        """Kill the worker if it still does what broke a limit, which is to be blamed for that.

        Returns:
            Whether it is gone; False if it runs something else by now.
        """

        def is_guilty() -> bool:
            if self.notes.activity != activity:
                return False
            self.violation, self.violated_ns = violation, time.monotonic_ns()
            return True

        return self.kill_if(is_guilty)

    def reap(self) -> tuple[ExitReport, Death]:
        """Wait for a worker that has exited or was killed, and release everything."""
        self.wait()
        notes, popen = self.notes, self._started()
        now_ns = time.monotonic_ns()
        with handlers_deferred():
            exit_code = popen.returncode
            report = ExitReport(
                begun=notes.begun,
                loading=notes.loading,
                receiving=notes.receiving,
                expired=notes.expired,
                since_ns=notes.since_ns,
                ended_ns=self.violated_ns or now_ns,
                exit_code=exit_code,
                violates_limit=self.violation is not None,
            )
            death = Death.of(exit_code, notes.stack(), self._kills_before)
            if is_frozen() and not (self.ready or self.start_error):
                self.start_error = StartError(f"worker {death}: {NEEDS_SUPPORT}")
        self._close()
        return report, death

    def end(self) -> None:
        """Kill the worker process, if it is still there, and free everything.

        If an interrupt comes in between, or the start has failed, it can be
        called again.
        """
        self.kill()
        if self._popen is not None:
            self.wait()
        self._close()

    def abandon(self) -> None:
        """In a forked child: release the worker, which is the parent's."""
        self._renew_lock()
        if self._popen is not None:
            # Its finalizer does nothing in a child.
            self._open.append(self._popen.sentinel)
        self._close()

    def _close(self) -> None:
        """Close the descriptors. The process is left as it is."""
        with self._lock, handlers_deferred():
            self.side.clear()
            while self._open:
                os.close(self._open.pop())
            if self._recorder is not None:
                self._recorder.close()
                self._recorder = None
            self._close_process()
