"""What lanes say, and what it means when one of them dies."""

from __future__ import annotations

import pickle
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from enact_pool._core.schedule import Schedule
from enact_pool._engine.outcomes import Outcomes, Rebuilt
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._lanes.lane import Lane
from enact_pool._model.results import Err, ParallelResult
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.texts import describe
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

if TYPE_CHECKING:
    from enact_pool._observe.live import LiveEvents

__all__ = ["LOOK_SECONDS", "ROUND_SECONDS", "AnswerReader"]

# How often to look for workers that do nothing though they have work.
ROUND_SECONDS = 2.0
_STARVED_ROUNDS = 10
# How often to look for answers that workers have collected.
LOOK_SECONDS = 0.01

# A death that may have been unseen for so long is told as such.
_LATE_NS = 20_000_000

Frame = tuple[tuple[int, ...], bytes]


class AnswerReader:
    """Turns answers and deaths of a crew's lanes into outcomes."""

    def __init__(
        self,
        schedule: Schedule[Lane, ParallelResult[Any]],
        outcomes: Outcomes,
        crew: RunLanes,
        item_is: str,
        *,
        captures: bool,
    ) -> None:
        self._schedule = schedule
        self._outcomes = outcomes
        self._crew = crew
        self._item_is = item_is
        # Whether what callables print is captured.
        self._captures = captures
        self._live = outcomes.live
        self._records = outcomes.records
        # How many bytes were printed by callables whose answers have not come yet.
        self._printed_bytes = 0
        # What lanes with work had answered when we last looked, and for how many
        # rounds they had been at rest.
        self._rested: dict[Lane, tuple[int, int]] = {}
        now = time.monotonic()
        self._next_round = now + ROUND_SECONDS
        # What was in the journals of lanes when we last looked.
        self._collected: dict[Lane, range] = {}
        self._next_look = now + LOOK_SECONDS

    def read(self, lane: Lane) -> None:
        """Take what a lane has to say."""
        self._take(lane, self._take_frames)

    def _take(self, lane: Lane, take: Callable[[Lane], None]) -> None:
        try:
            take(lane)
        except EOFError:
            if lane in self._crew.working and lane.notes.begun > self._schedule.answered(lane):
                # It is dead, or a callable has closed the pipe. Then that one may
                # end, and be answered for in the journal; its worker ends with it.
                self._crew.watch.remove_answers(lane)
                return
            # It is dead, or has done with its work.
            lane.kill()
            self.bury(lane)
        except (FrameError, MemoryError) as error:
            lane.kill()
            fault = f"was killed, for its answers cannot be read ({error!r})"
            self.bury(lane, fault, readable=False)

    def _take_frames(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)
            if not lane.is_receiving:
                return

    def read_mail(self, lane: Lane) -> None:
        """Take the log records that its callables have sent, if they are to be told."""
        if self._records is None:
            return
        was_at_parcel = lane.mail.is_at_parcel
        if not lane.mail.collect() or lane.mail.is_at_parcel:
            # There is nothing to be waited for: at a parcel, until the answer that it is of.
            self._crew.watch.remove_mail(lane)
        elif was_at_parcel:
            self._crew.watch.add_mail(lane)
        for kind, serial, content in lane.mail.records():
            has_task = serial and lane in self._crew.working
            task = self._schedule.task_at(lane, serial) if has_task else None
            self._records.came(task, kind, content)

    def _take_answers(self, lane: Lane, frames: list[Frame]) -> None:
        # They were sent before these, and are told before.
        self.read_mail(lane)
        at = 0
        while at < len(frames):
            header, payload = frames[at]
            at += 1
            if header[KIND] != Answer.RAN:
                self._take_note(lane, header, payload)
                continue
            first, count = header[SERIAL], header[COUNT]
            ran_ns, endings, payloads = unpack_ran(count, payload)
            begun_ns = self._begun(count, payload)
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
                begun_ns += self._begun(header[COUNT], payload)
                ran_ns += more_ran_ns
                endings += more_endings
                payloads += more_payloads
            serials = range(first, first + count)
            self._take_outcomes(lane, serials, size, begun_ns, ran_ns, endings, payloads)

    def _begun(self, count: int, payload: bytes) -> list[int]:
        """When the callables of an answer began, if somebody wants to know."""
        return [] if self._live is None else unpack_begun(count, payload)

    def _take_outcomes(
        self,
        lane: Lane,
        serials: range,
        size: int,
        begun_ns: list[int],
        ran_ns: list[int],
        endings: bytearray,
        payloads: list[bytes | Rebuilt],
    ) -> None:
        """Take what has run to the outcomes: answers of `size` bytes in all."""
        # What was read out of the journal may come through the pipe as well.
        known = max(0, self._schedule.answered(lane) + 1 - serials.start)
        if known:
            serials, ran_ns = serials[known:], ran_ns[known:]
            endings, payloads = endings[known:], payloads[known:]
            begun_ns = begun_ns[known:]
            if not serials:
                return
        if max(endings) > Ending.ERROR:
            self._take_parcels(lane, serials, endings, payloads)
        size, self._printed_bytes = size + self._printed_bytes, 0
        tasks = self._schedule.finished(lane, serials, ran_ns, size)
        lane.ran += len(tasks)
        if self._live is not None:
            self._live.ran(lane, tasks, begun_ns, ran_ns)
        self._outcomes.answered(tasks, ran_ns, endings, payloads)
        self._crew.hungry.add(lane)
        if len(tasks) < len(serials):
            raise FrameError(f"callable {serials[len(tasks)]} was not there to be run")

    def _take_parcels(
        self, lane: Lane, serials: range, endings: bytearray, payloads: list[bytes | Rebuilt]
    ) -> None:
        """Put values in the place of layouts, and errors where one cannot be had.

        Each is rebuilt before the next one is received, so that all of them together take
        one descriptor: a process may have few.
        """
        for index, (serial, ending) in enumerate(zip(serials, endings, strict=True)):
            layout = payloads[index]
            if ending <= Ending.ERROR or not isinstance(layout, bytes):
                continue
            try:
                parcel = lane.receive_large_value(serial, layout)
            except OSError as error:
                endings[index] = Ending.ERROR
                what = "the return value cannot be received: "
                payloads[index] = pickle.dumps(describe(error, what))
                continue
            try:
                payloads[index] = Rebuilt(parcel.rebuild())
            except BaseException as error:
                raise_interrupt(error)
                endings[index] = Ending.ERROR
                what = "the return value cannot be rebuilt: "
                payloads[index] = pickle.dumps(describe(error, what))
            finally:
                parcel.close()
        # What was sent between these parcels was logged by these callables.
        self.read_mail(lane)

    def look_around(self) -> None:
        """From time to time, see what nobody tells of."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look_into_journals()
        self._crew.look_for_lanes()
        self._crew.end_lingerers()
        if now >= self._next_round:
            self._next_round = now + ROUND_SECONDS
            self._make_rounds()

    def _look_into_journals(self) -> None:
        """Take the answers that a worker has collected, and is too busy to write.

        It writes them when it has run the next callable, which may take long.
        """
        before, self._collected = self._collected, {}
        if self._live is not None:
            for lane in self._crew.working:
                self._tell_running(self._live, lane)
            self._live.weigh(self._crew.working)
        for lane in list(self._crew.working):
            collected = lane.notes.journal.extent
            if collected.stop <= self._schedule.answered(lane) + 1:
                continue
            # The same as at the last look: then it is complete, on every CPU.
            if collected == before.get(lane):
                self._take(lane, partial(self._take_journal, stop=collected.stop))
            else:
                self._collected[lane] = collected

    def _tell_running(self, live: LiveEvents, lane: Lane) -> None:
        """Tell what runs there, if that is known."""
        activity = lane.notes.activity
        if activity is not None:
            begun, loading, since_ns = activity
            task = None if loading else self._schedule.task_at(lane, begun)
            if task is not None:
                live.began(lane, task, since_ns)

    def _take_journal(self, lane: Lane, stop: int | None = None) -> None:
        """Take what it has noted; with `stop`, of a worker that goes on, before this number only.

        For what these have printed, or logged, has come by now.
        """
        if stop is not None and self._captures:
            self._drain(lane)
        self.read_mail(lane)
        found = lane.notes.journal.read(stop)
        if found is None:
            return
        serials, payload = found
        begun_ns = self._begun(len(serials), payload)
        ran_ns, endings, payloads = unpack_ran(len(serials), payload)
        self._take_outcomes(lane, serials, len(payload), begun_ns, ran_ns, endings, payloads)

    def _drain(self, lane: Lane) -> None:
        while (frames := lane.receive()) is not None:
            self._take_answers(lane, frames)

    def _take_note(self, lane: Lane, header: tuple[int, ...], payload: bytes) -> None:
        """Take note of what else a worker has to say."""
        kind, serial = header[KIND], header[SERIAL]
        if kind == Answer.READY and lane in self._crew.starting:
            lane.ready = True
            self._crew.employ(lane)
            if self._live is not None:
                self._live.worker_started(lane)
        elif kind == Answer.START_FAILED:
            lane.start_error = pickle.loads(payload)[2]
        elif kind == Answer.SKIPPED:
            self._schedule.skipped(lane, serial)
            self._crew.hungry.update(self._crew.working)
        elif kind == Answer.UNLOADABLE:
            blamed = self._schedule.unloadable(lane, serial)
            if blamed is not None:
                text, name, position = pickle.loads(payload)
                what = f"the {self._item_is} cannot be rebuilt in the worker: {name}: {text}"
                self._outcomes.refused(blamed, Err(what, name, position))
            self._crew.hungry.update(self._crew.working)
        elif kind == Answer.LEFT_BEHIND:
            self._warn(self._schedule.task_at(lane, serial), *pickle.loads(payload))
        elif kind == Answer.PRINTED:
            task = self._schedule.task_at(lane, serial)
            if task is not None:
                self._printed_bytes += len(payload)
                self._outcomes.printed(task, pickle.loads(payload))
        else:
            raise FrameError(f"kind {kind}")

    def _warn(self, task: int | None, threads: list[str], processes: list[int]) -> None:
        """Log what a callable has left running in its worker."""
        # These take long to import, and are rarely needed.
        import logging

        from enact_pool._observe.log_receiver import attributes

        left = [*(f"thread {name}" for name in threads), *(f"process {pid}" for pid in processes)]
        # Formats may show, of any record, whose it is.
        who, added = "a callable", attributes(None, None, None)
        if task is not None:
            name = self._outcomes.name(task)
            who = f"callable {task} ({name})"
            added = attributes(task, name, self._outcomes.id(task))
        log = logging.getLogger("enact_pool")
        log.warning("%s left running: %s", who, ", ".join(left), extra=added)

    def bury(self, lane: Lane, fault: str = "", *, readable: bool = True) -> None:
        """A worker has died, or was killed for a fault: find out what that means.

        Unless it is its answers that cannot be read, those it has given count.
        """
        # Before its notes are read: a worker that was killed goes on for a moment.
        lane.wait()
        try:
            if readable:
                self._take_rest(lane)
        except (FrameError, MemoryError) as error:
            fault = fault or f"died, and its answers cannot be read ({error!r})"
        notes = lane.notes
        begun, loading, receiving = notes.begun, notes.loading, notes.receiving
        expired = notes.expired
        now_ns = time.monotonic_ns()
        ended_ns = lane.convicted_ns or now_ns
        # Not known if it was about to tell of its end.
        ran_ns = ended_ns - notes.since_ns if notes.since_ns else 0
        unseen_since_ns = 0 if lane.convicted_ns else self._crew.unseen_since_ns
        seen_late = bool(unseen_since_ns) and now_ns - unseen_since_ns > _LATE_NS
        started, start_error = lane in self._crew.working, lane.start_error
        pid = lane.pid
        printed = lane.printed() if self._captures else None
        if self._live is not None and started:
            self._tell_running(self._live, lane)
        self._crew.forget(lane)
        death = lane.bury()
        self._crew.lose(lane)
        if self._live is not None and started:
            self._live.worker_ended(lane.number, pid, fault or str(death))
        if not started:
            if lane.is_new:
                self._crew.start_failed(start_error or f"worker {death}")
            return
        self._crew.start_error = f"worker {fault or death} before it did anything"
        ran = begun > self._schedule.answered(lane)
        blamed = self._schedule.lane_died(lane, begun, loading, receiving, expired=expired)
        self._crew.hungry.update(self._crew.working)
        if blamed and printed is not None:
            self._outcomes.printed(blamed[-1], printed)
        # What has run before it comes first, where outcomes are told as they come.
        self._outcomes.make_results()
        for task in blamed:
            doing = "running" if ran else "unpickling" if loading else "receiving"
            if task != blamed[-1]:
                doing = "giving the answer of"
            ran_ms = ran_ns / 1e6 if doing == "running" else 0.0
            if self._live is not None and ran_ms:
                self._live.died(task, ended_ns)
            # Whether somebody else has killed it meanwhile, nobody can tell.
            was_killed = task == blamed[-1] and death.exit_code in (None, -signal.SIGKILL)
            if was_killed and lane.excess is not None:
                self._outcomes.exceeded(task, lane.excess, doing, ran_ms)
            elif was_killed and self._crew.cancel_reason:
                self._outcomes.cancelled([task], self._crew.cancel_reason, ran_ms)
            else:
                circumstances = f"worker {fault or death} while {doing}"
                self._outcomes.died(task, death, circumstances, ran_ms, seen_late=seen_late)

    def _take_rest(self, lane: Lane) -> None:
        """Take all answers of a worker that gives no more."""
        try:
            self._drain(lane)
        except EOFError:
            pass  # all that it wrote has been read
        self._take_journal(lane)

    def _make_rounds(self) -> None:
        """Replace lanes that have lost what they were sent.

        A callable that reads whatever descriptors it finds can take batches out
        of its worker's pipe. The worker then waits for them, and we for it.
        """
        rested, self._rested = self._rested, {}
        for lane in self._crew.busy:
            answered = self._schedule.answered(lane)
            before, rounds = rested.get(lane, (-1, 0))
            at_rest = lane.is_at_rest(answered)
            rounds = rounds + 1 if at_rest and answered == before else 0
            # With something left to read, it may just be given no CPU time, unless it
            # waits for somebody to read what its callables have printed.
            may_go_on = lane.has_unread and not lane.notes.flushing
            if rounds > (_STARVED_ROUNDS if may_go_on else 0):
                lane.kill()
                self.bury(lane)
            elif at_rest:
                self._rested[lane] = (answered, rounds)
