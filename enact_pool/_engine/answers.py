"""What workers say, and what becomes of tasks whose worker dies."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from enact_pool._core.observer import Hooks
from enact_pool._core.postmortem import examine
from enact_pool._core.schedule import Schedule
from enact_pool._core.timing import LATE_NS, LOOK_SECONDS, ROUND_SECONDS, STARVED_ROUNDS
from enact_pool._engine.outcomes import Outcomes, Rebuilt
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.sources import TaskSource
from enact_pool._lanes.base import Frame, Lane
from enact_pool._model.ids import log_attributes
from enact_pool._model.results import Err, ParallelResult
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

__all__ = ["AnswerReader"]


class AnswerReader:
    """Reads what the workers of a run say, and examines their deaths."""

    def __init__(
        self,
        schedule: Schedule[Lane, ParallelResult[Any]],
        outcomes: Outcomes,
        lanes: RunLanes,
        source: TaskSource,
        hooks: Hooks,
        poller: LanePoller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schedule = schedule
        self._outcomes = outcomes
        self._lanes = lanes
        self._source = source
        self._hooks = hooks
        self._poller = poller
        self._clock = clock
        # How many bytes callables have printed whose answers have not come yet.
        self._output_bytes = 0
        # What lanes with work had answered in the last round, and for how many rounds they had
        # been at rest.
        self._rested: dict[Lane, tuple[int, int]] = {}
        # What was in the journals of lanes at the last look.
        self._collected: dict[Lane, range] = {}
        now = clock()
        self._next_round = now + ROUND_SECONDS
        self._next_look = now + LOOK_SECONDS

    # Answers

    def read(self, lane: Lane) -> None:
        """Take what a lane has to say."""
        self._take(lane, self._take_frames)

    def _take(self, lane: Lane, take: Callable[[Lane], None]) -> None:
        try:
            take(lane)
        except EOFError:
            if lane in self._lanes.working and lane.notes.begun > self._schedule.answered(lane):
                # It is dead, or a callable has closed the pipe. Then that callable may end, and
                # its answer be in the journal; its worker exits with it.
                self._poller.remove_answers(lane)
                return
            # It is dead, or has done its work.
            lane.kill()
            self.examine_death(lane)
        except (FrameError, MemoryError) as error:
            lane.kill()
            fault = f"was killed, for its answers cannot be read ({error!r})"
            self.examine_death(lane, fault, readable=False)

    def _take_frames(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)
            if not lane.is_receiving:
                return

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
            has_task = serial and lane in self._lanes.working
            task = self._schedule.task_at(lane, serial) if has_task else None
            for hook in hooks:
                hook(task, kind, content)

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
            size = len(payload)
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
                size += len(payload)
                if wants_times:
                    began_ns += unpack_begun(header[COUNT], payload)
                ran_ns += more_ran_ns
                endings += more_endings
                payloads += more_payloads
            serials = range(first, first + count)
            self._take_outcomes(lane, serials, size, began_ns, ran_ns, endings, payloads)

    def _take_outcomes(
        self,
        lane: Lane,
        serials: range,
        size: int,
        began_ns: list[int],
        ran_ns: list[int],
        endings: bytearray,
        payloads: list[bytes | Rebuilt],
    ) -> None:
        """Settle tasks that have run; their answers were `size` bytes in all."""
        # What was read out of the journal may come through the pipe as well.
        known = self._schedule.answered(lane) + 1 - serials.start
        if known > 0:
            serials, ran_ns = serials[known:], ran_ns[known:]
            endings, payloads = endings[known:], payloads[known:]
            began_ns = began_ns[known:]
            if not serials:
                return
        if max(endings) > Ending.ERROR:
            self._receive_large_values(lane, serials, endings, payloads)
        size, self._output_bytes = size + self._output_bytes, 0
        tasks = self._schedule.finished(lane, serials, ran_ns, size)
        count = len(tasks)
        lane.ran += count
        for hook in self._hooks.tasks_ran:
            hook(lane, tasks, began_ns, ran_ns)
        if count == len(serials):
            self._outcomes.answered(tasks, ran_ns, endings, payloads)
            self._lanes.hungry.add(lane)
            return
        if tasks:
            self._outcomes.answered(tasks, ran_ns[:count], endings[:count], payloads[:count])
        raise FrameError(f"callable {serials[count]} was not there to be run")

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
        """Take what else a worker has to say."""
        kind, serial = header[KIND], header[SERIAL]
        schedule, lanes = self._schedule, self._lanes
        if kind == Answer.READY and lane in lanes.starting:
            lane.ready = True
            lanes.activate(lane)
            for ready in self._hooks.worker_ready:
                ready(lane)
        elif kind == Answer.START_FAILED:
            lane.start_error = pickle.loads(payload)[2]
        elif kind == Answer.SKIPPED:
            schedule.skipped(lane, serial)
            lanes.hungry.update(lanes.working)
        elif kind == Answer.UNLOADABLE:
            blamed = schedule.unloadable(lane, serial)
            if blamed is not None:
                text, name, position = pickle.loads(payload)
                what = f"the {self._source.item_is} cannot be rebuilt in the worker: {name}: {text}"
                self._outcomes.refused(blamed, Err(what, name, position))
            lanes.hungry.update(lanes.working)
        elif kind == Answer.LEFT_BEHIND:
            self._warn_of_left(schedule.task_at(lane, serial), *pickle.loads(payload))
        elif kind == Answer.OUTPUT:
            task = schedule.task_at(lane, serial)
            if task is not None:
                self._output_bytes += len(payload)
                output = pickle.loads(payload)
                for received in self._hooks.output_received:
                    received(task, output)
        else:
            raise FrameError(f"kind {kind}")

    def _warn_of_left(self, task: int | None, threads: list[str], processes: list[int]) -> None:
        """Log what a callable has left running in its worker."""
        left = [*(f"thread {name}" for name in threads), *(f"process {pid}" for pid in processes)]
        # Formats may show, for any record, which callable it is about.
        callable_text, added = "a callable", log_attributes(None, None, None)
        if task is not None:
            name = self._source.name(task)
            callable_text = f"callable {task} ({name})"
            added = log_attributes(task, name, self._outcomes.id_of(task))
        log = logging.getLogger("enact_pool")
        log.warning("%s left running: %s", callable_text, ", ".join(left), extra=added)

    # What no descriptor signals

    def look_around(self) -> None:
        """Check from time to time for conditions that no descriptor signals."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look_into_journals()
        self._lanes.collect_offered()
        if self._lanes.draining:
            self._lanes.kill_lingering()
        if now >= self._next_round:
            self._next_round = now + ROUND_SECONDS
            self._replace_starved()

    def _look_into_journals(self) -> None:
        """Take the answers that a worker has collected, and is too busy to write.

        It writes them when it has run the next callable, which may take long.
        """
        before, self._collected = self._collected, {}
        working = self._lanes.working
        if self._hooks.task_began:
            for lane in working:
                self._say_what_runs(lane)
        for hook in self._hooks.workers_looked_at:
            hook(working)
        for lane in list(working):
            collected = lane.notes.journal.extent
            if collected.stop <= self._schedule.answered(lane) + 1:
                continue
            # The same as at the last look: then it is complete, on every CPU.
            if collected == before.get(lane):
                self._take(lane, partial(self._take_journal, stop=collected.stop))
            else:
                self._collected[lane] = collected

    def _say_what_runs(self, lane: Lane) -> None:
        activity = lane.notes.activity
        if activity is not None:
            begun, loading, since_ns = activity
            task = None if loading else self._schedule.task_at(lane, begun)
            if task is not None:
                for hook in self._hooks.task_began:
                    hook(lane, task, since_ns)

    def _take_journal(self, lane: Lane, stop: int | None = None) -> None:
        """Take what it has noted; of a worker that goes on, what is below the number `stop`."""
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
        self._take_outcomes(lane, serials, len(payload), began_ns, ran_ns, endings, payloads)

    def _drain(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)

    def _replace_starved(self) -> None:
        """Replace workers that have lost what they were sent.

        A callable that reads whatever descriptors it finds can take batches out of its worker's
        pipe. The worker then waits for them, and the run for the worker.
        """
        rested, self._rested = self._rested, {}
        for lane in self._lanes.busy:
            answered = self._schedule.answered(lane)
            before, rounds = rested.get(lane, (-1, 0))
            at_rest = lane.is_at_rest(answered)
            rounds = rounds + 1 if at_rest and answered == before else 0
            # If there is something left to read, it may just be given no CPU time, unless it
            # waits for something to read what its callables have printed.
            may_go_on = lane.has_unread and not lane.notes.flushing
            if rounds > (STARVED_ROUNDS if may_go_on else 0):
                lane.kill()
                self.examine_death(lane)
            elif at_rest:
                self._rested[lane] = (answered, rounds)

    # Deaths

    def examine_death(self, lane: Lane, fault: str = "", *, readable: bool = True) -> None:
        """Settle, or queue again, the tasks of a worker that has died.

        Args:
            lane: Its lane.
            fault: Why it was killed, if its answers cannot be read.
            readable: Whether the answers that it has given count.
        """
        # Before its notes are read: a worker that was killed goes on for a moment.
        lane.wait()
        try:
            if readable:
                self._take_rest(lane)
        except (FrameError, MemoryError) as error:
            fault = fault or f"died, and its answers cannot be read ({error!r})"
        schedule, lanes, hooks = self._schedule, self._lanes, self._hooks
        now_ns = time.monotonic_ns()
        seen_late = (
            lane.violation is None
            and lanes.unseen_since_ns > 0
            and now_ns - lanes.unseen_since_ns > LATE_NS
        )
        has_worked = lane in lanes.working
        pid = lane.pid
        output = lane.output() if hooks.output_received else None
        if has_worked and hooks.task_began:
            self._say_what_runs(lane)
        lanes.remove(lane)
        report, death = lane.reap()
        lanes.discard(lane)
        if not has_worked:
            if lane.is_new:
                lanes.start_failed(lane.start_error or f"worker {death}")
            return
        for exited in hooks.worker_exited:
            exited(lane.number, pid, fault or str(death))
        lanes.start_error = f"worker {fault or death} before it did anything"
        answered = schedule.answered(lane)
        blamed = schedule.lane_died(
            lane, report.begun, report.loading, report.receiving, expired=report.expired
        )
        lanes.hungry.update(lanes.working)
        if blamed and output is not None:
            for received in hooks.output_received:
                received(blamed[-1], output)
        verdicts = examine(
            report, blamed, answered=answered, is_cancelled=bool(lanes.cancel_reason)
        )
        for verdict in verdicts:
            if verdict.ran_ms:
                for died in hooks.task_died:
                    died(verdict.task, report.ended_ns)
            if verdict.kind == "violated" and lane.violation is not None:
                self._outcomes.violated(verdict, lane.violation)
            elif verdict.kind == "cancelled":
                self._outcomes.cancelled([verdict.task], lanes.cancel_reason, verdict.ran_ms)
            else:
                self._outcomes.crashed(verdict, death, fault, seen_late=seen_late)

    def _take_rest(self, lane: Lane) -> None:
        """Take all answers of a worker that gives no more."""
        try:
            self._drain(lane)
        except EOFError:
            pass  # all that it wrote was read
        self._take_journal(lane)
