"""What lanes say, and what it means when one of them dies."""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any

from enact_pool.crew import Crew
from enact_pool.lane import Lane
from enact_pool.outcomes import Outcomes
from enact_pool.results import Err, ParallelResult
from enact_pool.schedule import Schedule
from enact_pool.texts import describe
from enact_pool.wire import KIND, RAN_NS, SERIAL, Answer, FrameError

if TYPE_CHECKING:
    from enact_pool.parcel import Parcel

__all__ = ["Inbox"]

# How often to look for workers that do nothing though they have work.
ROUND_SECONDS = 2.0
_STARVED_ROUNDS = 10

Frame = tuple[tuple[int, ...], bytes]


class Inbox:
    """Turns answers and deaths of a crew's lanes into outcomes."""

    def __init__(
        self,
        schedule: Schedule[Lane, ParallelResult[Any]],
        outcomes: Outcomes,
        crew: Crew,
        item_is: str,
    ) -> None:
        self._schedule = schedule
        self._outcomes = outcomes
        self._crew = crew
        self._item_is = item_is
        # What lanes with work had answered when we last looked, and for how many
        # rounds they had been at rest.
        self._rested: dict[Lane, tuple[int, int]] = {}
        self._next_round = time.monotonic() + ROUND_SECONDS

    def read(self, lane: Lane) -> None:
        """Take what a lane has to say."""
        try:
            while (frames := lane.receive()) is not None:
                self._take_answers(lane, frames)
                if not lane.is_receiving:
                    return
        except EOFError:
            # It is dead, or has closed its end and could not answer any more.
            lane.kill()
            self.bury(lane)
        except (FrameError, MemoryError) as error:
            lane.kill()
            fault = f"was killed, for its answers cannot be read ({error!r})"
            self.bury(lane, fault, readable=False)

    def _take_answers(self, lane: Lane, frames: list[Frame]) -> None:
        ran: list[tuple[tuple[int, ...], bytes | Parcel]] = []
        for frame in frames:
            if Answer.VALUE <= frame[0][KIND] <= Answer.ERROR:
                ran.append(frame)
            else:
                self._take_outcomes(lane, ran)
                ran = []
                if Answer.LARGE_VALUE <= frame[0][KIND] <= Answer.LARGE_SHOWN:
                    self._take_parcel(lane, *frame)
                else:
                    self._take_note(lane, *frame)
        self._take_outcomes(lane, ran)

    def _take_outcomes(
        self, lane: Lane, answers: list[tuple[tuple[int, ...], bytes | Parcel]]
    ) -> None:
        """Settle what has run."""
        if not answers:
            return
        serials = [header[SERIAL] for header, _ in answers]
        ran_ns = sum(header[RAN_NS] for header, _ in answers)
        tasks = self._schedule.finished(lane, serials, ran_ns / 1e9)
        if tasks:
            self._outcomes.answered(tasks, answers[: len(tasks)])
        self._crew.hungry.add(lane)
        if len(tasks) < len(answers):
            raise FrameError(f"callable {serials[len(tasks)]} was not there to be run")

    def _take_parcel(self, lane: Lane, header: tuple[int, ...], layout: bytes) -> None:
        """Settle what has run and has returned a large value."""
        try:
            parcel = lane.receive_parcel(header[SERIAL], layout)
        except OSError as error:
            text = pickle.dumps(describe(error, "the return value cannot be received: "))
            failed = (header[0], Answer.ERROR, *header[2:])
            self._take_outcomes(lane, [(failed, text)])
            return
        try:
            self._take_outcomes(lane, [(header, parcel)])
        finally:
            parcel.close()

    def _take_note(self, lane: Lane, header: tuple[int, ...], payload: bytes) -> None:
        """Take note of what else a worker has to say."""
        kind, serial = header[KIND], header[SERIAL]
        if kind == Answer.READY and lane in self._crew.starting:
            lane.ready = True
            self._crew.employ(lane)
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
        else:
            raise FrameError(f"kind {kind}")

    def bury(self, lane: Lane, fault: str = "", *, readable: bool = True) -> None:
        """A worker has died, or was killed for a fault: find out what that means.

        Unless it is its answers that cannot be read, those it has given count.
        """
        # Before its notes are read: a worker that was killed goes on for a moment.
        lane.wait()
        try:
            while readable and (frames := lane.receive()) is not None:
                self._take_answers(lane, frames)
        except EOFError:
            pass  # all that it wrote has been read
        except (FrameError, MemoryError) as error:
            fault = fault or f"died, and its answers cannot be read ({error!r})"
        begun, loading, receiving = lane.begun, lane.loading, lane.receiving
        ran_ns = time.monotonic_ns() - lane.begun_at_ns
        started, start_error = lane in self._crew.working, lane.start_error
        self._crew.watch.remove(lane)
        death = lane.bury()
        self._crew.lose(lane)
        if not started:
            if lane.is_new:
                self._crew.start_failed(start_error or f"worker {death}")
            return
        self._crew.start_error = f"worker {fault or death} before it did anything"
        ran = begun > self._schedule.answered(lane)
        blamed = self._schedule.lane_died(lane, begun, loading, receiving)
        self._crew.hungry.update(self._crew.working)
        for task in blamed:
            doing = "running" if ran else "unpickling" if loading else "receiving"
            if task != blamed[-1]:
                doing = "giving the answer of"
            ran_ms = ran_ns / 1e6 if doing == "running" else 0.0
            self._outcomes.died(task, death, f"worker {fault or death} while {doing}", ran_ms)

    def make_rounds(self) -> None:
        """From time to time, replace lanes that have lost what they were sent.

        A callable that reads whatever descriptors it finds can take batches out
        of its worker's pipe. The worker then waits for them, and we for it.
        """
        if time.monotonic() < self._next_round:
            return
        self._next_round = time.monotonic() + ROUND_SECONDS
        rested, self._rested = self._rested, {}
        for lane in self._crew.busy:
            answered = self._schedule.answered(lane)
            before, rounds = rested.get(lane, (-1, 0))
            at_rest = lane.is_at_rest(answered)
            rounds = rounds + 1 if at_rest and answered == before else 0
            # With something left to read, it may just be given no CPU time.
            if rounds > (_STARVED_ROUNDS if lane.has_unread else 0):
                lane.kill()
                self.bury(lane)
            elif at_rest:
                self._rested[lane] = (answered, rounds)
