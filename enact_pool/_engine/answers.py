"""What workers send: answers, log records, and notes about tasks."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from enact_pool._core.observer import Hooks
from enact_pool._core.schedule import Schedule
from enact_pool._engine.outcomes import Outcomes, Rebuilt
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.task_source import TaskSource
from enact_pool._lanes.base import Frame, Lane, StartError
from enact_pool._model.ids import log_attributes
from enact_pool._model.results import Err
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import (
    COUNT,
    KIND,
    SERIAL,
    Answer,
    Ending,
    FrameError,
    unpack_begun,
    unpack_ran,
)

__all__ = ["AnswerReader", "Ended"]


class Ended(NamedTuple):
    """A worker sends nothing any more.

    `fault` is why, if its answers cannot be read; then what it has answered does not count.
    """

    fault: str = ""


class AnswerReader:
    """Reads what the workers of a run send."""

    def __init__(
        self,
        schedule: Schedule[Lane],
        outcomes: Outcomes,
        lanes: RunLanes,
        source: TaskSource,
        hooks: Hooks,
        poller: LanePoller,
    ) -> None:
        self._schedule = schedule
        self._outcomes = outcomes
        self._lanes = lanes
        self._states = lanes.states
        self._source = source
        self._hooks = hooks
        self._poller = poller

    # By lane

    def read(self, lane: Lane) -> Ended | None:
        """Take what a lane has sent; return how it has ended, or None."""
        return self._take(lane, self._take_frames)

    def read_journal(self, lane: Lane, stop: int) -> Ended | None:
        """Take what a worker that goes on has noted, below the number `stop`.

        Return whether it has ended.
        """
        return self._take(lane, partial(self._take_journal, stop=stop))

    def read_rest(self, lane: Lane) -> Ended | None:
        """Take all answers of a worker that has exited; return what is wrong with them, if so."""
        try:
            try:
                self._drain(lane)
            except EOFError:
                pass  # all that it wrote was read
            self._take_journal(lane)
        except (FrameError, MemoryError) as error:
            return Ended(f"died, and its answers cannot be read ({error!r})")
        return None

    def _take(self, lane: Lane, take: Callable[[Lane], None]) -> Ended | None:
        try:
            take(lane)
        except EOFError:
            record = self._schedule.lanes.get(lane)
            if record is not None and lane.notes.begun > record.answered:
                # It is dead, or a callable has closed the pipe. Then that callable may end, and
                # its answer be in the journal; its worker exits with it.
                self._poller.remove_answers(lane)
                return None
            # It is dead, or has done its work.
            return Ended()
        except (FrameError, MemoryError) as error:
            return Ended(f"was killed, for its answers cannot be read ({error!r})")
        return None

    def _take_frames(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)
            if not lane.is_receiving:
                return

    def _drain(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)

    def _take_journal(self, lane: Lane, stop: int | None = None) -> None:
        if stop is not None and self._hooks.output_received:
            # What these have printed is in the pipe before what they answer is in the journal.
            self._drain(lane)
        self.read_side(lane)
        found = lane.notes.journal.read(stop)
        if found is None:
            return
        serials, payload = found
        began_ns = unpack_begun(len(serials), payload) if self._hooks.tasks_ran else []
        ran_ns, endings, payloads = unpack_ran(len(serials), payload)
        self._take_outcomes(lane, serials, began_ns, ran_ns, endings, payloads)

    def read_side(self, lane: Lane) -> None:
        """Take the log records that its callables have sent."""
        hooks = self._hooks.log_received
        if not hooks:
            return
        side = lane.side
        was_at_large_value = side.is_at_large_value
        if not side.collect() or side.is_at_large_value:
            # There is nothing to wait for: a large value stays there until its answer is read.
            self._poller.remove_side(lane)
        elif was_at_large_value:
            self._poller.add_side(lane)
        for kind, serial, content in side.records():
            task = self._task_at(lane, serial) if serial else None
            for hook in hooks:
                hook(task, kind, content)

    def _task_at(self, lane: Lane, serial: int) -> int | None:
        record = self._schedule.lanes.get(lane)
        return None if record is None else record.find(serial)

    # By frame

    def _take_answers(self, lane: Lane, frames: list[Frame]) -> None:
        if self._hooks.log_received:
            # They were sent before these, and are delivered before.
            self.read_side(lane)
        wants_times = bool(self._hooks.tasks_ran)
        at = 0
        while at < len(frames):
            header, payload = frames[at]
            at += 1
            if header[KIND] != Answer.RAN:
                self._take_note(lane, header, payload)
                continue
            first, count = header[SERIAL], header[COUNT]
            ran_ns, endings, payloads = unpack_ran(count, payload)
            began_ns = unpack_begun(count, payload) if wants_times else []
            # What follows on it is taken along: a frame may have one callable only.
            while at < len(frames):
                header, payload = frames[at]
                if header[KIND] != Answer.RAN or header[SERIAL] != first + count:
                    break
                try:
                    more_ran_ns, more_endings, more_payloads = unpack_ran(header[COUNT], payload)
                except FrameError:
                    break  # it has its turn when those before it are taken
                at += 1
                count += header[COUNT]
                if wants_times:
                    began_ns += unpack_begun(header[COUNT], payload)
                ran_ns += more_ran_ns
                endings += more_endings
                payloads += more_payloads
            serials = range(first, first + count)
            self._take_outcomes(lane, serials, began_ns, ran_ns, endings, payloads)

    def _take_outcomes(
        self,
        lane: Lane,
        serials: range,
        began_ns: list[int],
        ran_ns: list[int],
        endings: bytearray,
        payloads: list[bytes | Rebuilt],
    ) -> None:
        """Settle tasks that have run."""
        # What was read out of the journal may come through the pipe as well.
        known = self._schedule.lanes[lane].answered + 1 - serials.start
        if known > 0:
            serials, ran_ns = serials[known:], ran_ns[known:]
            endings, payloads = endings[known:], payloads[known:]
            began_ns = began_ns[known:]
            if not serials:
                return
        if max(endings) > Ending.ERROR:
            self._receive_large_values(lane, serials, endings, payloads)
        tasks = self._schedule.finished(lane, serials, ran_ns)
        count = len(tasks)
        lane.ran += count
        for hook in self._hooks.tasks_ran:
            hook(lane, tasks, began_ns, ran_ns)
        if count == len(serials):
            self._outcomes.answered(tasks, ran_ns, endings, payloads)
            self._states.hungry.add(lane)
            return
        if tasks:
            self._outcomes.answered(tasks, ran_ns[:count], endings[:count], payloads[:count])
        raise FrameError(f"an answer to number {serials[count]}, which it was not to run")

    def _receive_large_values(
        self, lane: Lane, serials: range, endings: bytearray, payloads: list[bytes | Rebuilt]
    ) -> None:
        """Put values in the place of layouts, and errors where one cannot be received.

        Each is rebuilt before the next one is received, so that all of them together take
        one descriptor: a process may have few.
        """
        for index, (serial, ending) in enumerate(zip(serials, endings, strict=True)):
            layout = payloads[index]
            if ending <= Ending.ERROR or not isinstance(layout, bytes):
                continue
            try:
                large = lane.receive_large_value(serial, layout)
            except OSError as error:
                endings[index] = Ending.ERROR
                what = "the return value cannot be received: "
                payloads[index] = pickle.dumps(describe(error, what))
                continue
            try:
                payloads[index] = Rebuilt(large.rebuild())
            except BaseException as error:
                raise_interrupt(error)
                endings[index] = Ending.ERROR
                what = "the return value cannot be rebuilt: "
                payloads[index] = pickle.dumps(describe(error, what))
            finally:
                large.close()
        # What was sent between these values was logged by these callables.
        self.read_side(lane)

    def _take_note(self, lane: Lane, header: tuple[int, ...], payload: bytes) -> None:
        """Take any other frame of a worker."""
        kind, serial = header[KIND], header[SERIAL]
        schedule, states = self._schedule, self._states
        if kind == Answer.READY and lane in states.starting:
            lane.ready = True
            self._lanes.activate(lane)
            for ready in self._hooks.worker_ready:
                ready(lane)
        elif kind == Answer.START_FAILED:
            reason, _, traceback = pickle.loads(payload)
            lane.start_error = StartError(reason, traceback)
        elif kind == Answer.SKIPPED:
            schedule.skipped(lane, serial)
            states.hungry.update(states.working)
        elif kind == Answer.UNLOADABLE:
            blamed = schedule.unloadable(lane, serial)
            if blamed is not None:
                text, name, position = pickle.loads(payload)
                what = f"the {self._source.item_is} cannot be rebuilt in the worker: {name}: {text}"
                self._outcomes.refused(blamed, Err(what, name, position))
            states.hungry.update(states.working)
        elif kind == Answer.LEFT_BEHIND:
            self._warn_of_left(lane, serial, *pickle.loads(payload))
        elif kind == Answer.OUTPUT:
            task = self._task_at(lane, serial)
            if task is not None:
                output = pickle.loads(payload)
                for received in self._hooks.output_received:
                    received(task, output)
        else:
            raise FrameError(f"kind {kind}")

    def _warn_of_left(
        self, lane: Lane, serial: int, threads: list[str], processes: list[int]
    ) -> None:
        """Log, and note, what a callable has left running in its worker."""
        left = [*(f"thread {name}" for name in threads), *(f"process {pid}" for pid in processes)]
        task = self._task_at(lane, serial)
        # Formats may show, for any record, which callable it is about.
        callable_text, added = "a callable", log_attributes(None, None, None)
        if task is not None:
            name = self._source.name(task)
            callable_text = f"callable {task} ({name})"
            added = log_attributes(task, name, self._outcomes.id_of(task))
            # Without its number: the next run has others.
            lane.left_running = f"an earlier callable ({name}) had left running: {', '.join(left)}"
        log = logging.getLogger("enact_pool")
        log.warning("%s left running: %s", callable_text, ", ".join(left), extra=added)
