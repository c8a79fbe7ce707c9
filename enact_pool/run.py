"""One run: the loop that drives some lanes, in the caller's thread, until all is settled.

It turns the schedule's decisions into frames, and answers and deaths into
outcomes. It decides nothing itself about order, fate or blame.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from enact_pool.events import Emitter
from enact_pool.interrupts import is_interrupt
from enact_pool.lane import Holder, Lane
from enact_pool.outcomes import Outcomes
from enact_pool.parcel import Parcel, parcel_if_large
from enact_pool.results import Err, ParallelResult
from enact_pool.schedule import Schedule
from enact_pool.spinning import SPIN_SECONDS
from enact_pool.supply import AWAY_SECONDS, Doorbell, LaneSupply
from enact_pool.texts import describe
from enact_pool.watch import Watch
from enact_pool.wire import (
    COMMON_PARCEL,
    COMMON_SHARED,
    COMMON_SHOW_OUTPUTS,
    KIND,
    RAN_NS,
    SERIAL,
    Answer,
    FrameError,
)
from enact_pool.work import Work

__all__ = ["Results", "gathered", "one_by_one", "run"]

# How long answers may lie in the pipes while all lanes have more to do. With
# workers on all CPUs, each time we wake up takes one away from a worker.
_NAP_SECONDS = 0.008
_LEAST_NAP_SECONDS = 0.0005

# How often to look for workers that do nothing though they have work.
ROUND_SECONDS = 2.0
_STARVED_ROUNDS = 10

# How long a lane may be idle while others have more than they work on. Quick
# callables are done by then, and what is still there waits behind a slow one.
_PATIENCE_SECONDS = 0.002

# Nothing in common.
_NOTHING = bytes([COMMON_SHARED]) + pickle.dumps(None)

# How long to wait after a worker could not be started.
_PAUSE_SECONDS = 0.1

# How long what runs when a run is given up may take to end; then it is killed.
_GRACE_SECONDS = 0.1

# Results as their turn comes; what the emitter or the work's iterable has raised in the end.
Results = Generator[list[ParallelResult[Any]], None, "BaseException | None"]


def run(
    supply: LaneSupply, work: Work, emitter: Emitter | None, limit: int, *, ordered: bool = True
) -> Results:
    """Do the work on at most `limit` lanes of the supply; gives the results as their turn comes.

    What is not done when the generator is closed is not started any more, and
    what runs then is given a moment to end. What the emitter, or the work's
    iterable, has raised is returned in the end.
    """
    this = _Run(supply, work, emitter, limit, ordered)
    thread = supply.enter()
    try:
        try:
            yield from this.drive()
        except GeneratorExit:
            if this.is_here:
                this.wind_down()
            raise
    finally:
        if this.is_here:
            try:
                this.settle_lanes()
            finally:
                # Whatever an interrupt has kept the line above from doing, this does.
                supply.leave(this, thread, this.doorbell)
    return this.error


def gathered(results: Results) -> list[ParallelResult[Any]]:
    """All results; raises what was raised meanwhile, with them in its attribute `results`."""
    all_results: list[ParallelResult[Any]] = []
    try:
        while True:
            all_results += next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        vars(error)["results"] = all_results
        raise error
    return all_results


def one_by_one(results: Results) -> Generator[ParallelResult[Any], None, None]:
    """Each result when it comes; raises what was raised meanwhile in the end."""
    try:
        while True:
            yield from next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error


class _Run(Holder):
    def __init__(
        self, supply: LaneSupply, work: Work, emitter: Emitter | None, limit: int, ordered: bool
    ) -> None:
        self._supply = supply
        self._work = work
        self._shows_outputs = emitter is not None
        self._limit = limit
        self._pid = os.getpid()
        self._schedule: Schedule[Lane, ParallelResult[Any]] = Schedule(ordered)
        self._outcomes = Outcomes(self._schedule, work, emitter)
        # What all callables have in common, for the lanes that take a batch.
        self._common = b""
        self._parcel: Parcel | None = None
        self._start_error = ""
        # When to try again after a worker could not be started.
        self._pause_ends = 0.0
        # Why no callable can be run, if what they have in common cannot be pickled.
        self._refusal: Err | None = None
        # The lanes that this run holds: starting, or in the schedule.
        self._starting: set[Lane] = set()
        self._working: set[Lane] = set()
        # Of the working ones: those that may take a batch, and those that know what all
        # callables have in common.
        self._hungry: set[Lane] = set()
        self._briefed: set[Lane] = set()
        # Those that have nothing to do, and when that is no longer to be borne.
        self._idle: set[Lane] = set()
        self._patience_ends = 0.0
        # What those with work had answered when we last looked, and for how many
        # rounds they had been at rest.
        self._rested: dict[Lane, tuple[int, int]] = {}
        self._next_round = time.monotonic() + ROUND_SECONDS
        self._watch = Watch()
        self.doorbell: Doorbell | None = None

    def drive(self) -> Iterator[list[ParallelResult[Any]]]:
        """Run everything, until all results were given and all events emitted."""
        self._submit(self._work.pulled)
        while True:
            self._pull()
            self._staff()
            while self._hungry:
                self._feed(self._hungry.pop())
            self._rebalance()
            yield from self._tell()
            if self._done:
                return
            self._wait(0.0 if self._wants_more() else ROUND_SECONDS)
            if self._schedule.all_settled and self._work.exhausted:
                yield from self._tell()
                return

    @contextmanager
    def _away(self) -> Iterator[None]:
        """In here, code of the caller's runs, which may take any time, fork, or run callables."""
        self.away_since = time.monotonic()
        try:
            yield
        finally:
            self.away_since = 0.0
        if not self.is_here:
            raise RuntimeError("this process was forked in a run, which its parent has")

    def _tell(self) -> Iterator[list[ParallelResult[Any]]]:
        """Emit, and give, what has come to its turn."""
        if results := self._schedule.release():
            with self._away():
                self._outcomes.tell(results)
                yield results

    @property
    def is_here(self) -> bool:
        """Whether this is the process that began the run."""
        return os.getpid() == self._pid

    def wind_down(self) -> None:
        """Start nothing more, and give what runs a moment to end."""
        self._schedule.abandon_queue()
        for lane in self._working:
            self._schedule.recalled(lane, lane.recall())
        ends = time.monotonic() + _GRACE_SECONDS
        while any(not self._schedule.is_idle(lane) for lane in self._working):
            left = ends - time.monotonic()
            if left <= 0:
                return
            self._wait(left)

    @property
    def error(self) -> BaseException | None:
        """What the emitter or the work's iterable has raised."""
        return self._outcomes.emitter_error or self._work.error

    @property
    def _done(self) -> bool:
        return self._schedule.done and self._work.exhausted

    # Work comes in

    def _wants_more(self) -> int:
        """How many more callables should be there, so that no lane will wait for them."""
        if self._work.exhausted:
            return 0
        return self._schedule.wanted(len(self._working) or self._limit)

    def _pull(self) -> None:
        if wanted := self._wants_more():
            with self._away():
                count = self._work.pull(wanted)
            self._submit(count)
            self._hungry.update(self._idle)
        if self._refusal is not None:
            for task in self._schedule.abandon_queue():
                self._outcomes.refused(task, self._refusal)

    def _submit(self, count: int) -> None:
        if count and not (self._common or self._refusal):
            self._pickle_common()
        self._outcomes.expect(self._schedule.submit(count))

    def _pickle_common(self) -> None:
        buffers: list[pickle.PickleBuffer] = []
        try:
            flags, payload = self._work.pickle_common(buffers)
            self._parcel = parcel_if_large(payload, buffers)
            if self._parcel is not None:
                flags, payload = flags | COMMON_PARCEL, self._parcel.layout
            elif buffers:
                flags, payload = self._work.pickle_common(None)
        except BaseException as error:
            if is_interrupt(error):
                raise
            what = f"the {self._work.common_is} cannot be pickled: "
            self._refusal = Err(*describe(error, what))
        else:
            if self._shows_outputs:
                flags |= COMMON_SHOW_OUTPUTS
            self._common = bytes([flags]) + payload

    # Lanes come and go

    def _staff(self) -> None:
        """Get lanes for what is queued; if there can be none, settle what is queued."""
        schedule = self._schedule
        while (
            schedule.queued > len(self._hungry) + len(self._starting)
            and len(self._working) + len(self._starting) < self._limit
            and schedule.may_start_lanes
            and not self._has_to_share(1)
            and time.monotonic() >= self._pause_ends
        ):
            try:
                lane = self._acquire()
            except OSError as error:
                if is_interrupt(error):
                    raise
                self._start_error = f"{type(error).__name__}: {error}"
                schedule.start_failed()
                # There may be room for processes again in a moment.
                self._pause_ends = time.monotonic() + _PAUSE_SECONDS
                continue
            if lane is None:
                return
            self._take(lane)
        if not (schedule.may_start_lanes or self._working or self._starting):
            for task in schedule.abandon_queue():
                self._outcomes.not_started(task, self._start_error)

    def _acquire(self) -> Lane | None:
        lane = self._supply.acquire(self, self.doorbell)
        if lane is None and self.doorbell is None:
            self.doorbell = Doorbell()
            self._watch.add_doorbell(self.doorbell.fileno())
            lane = self._supply.acquire(self, self.doorbell)
        return lane

    def _has_to_share(self, more: int) -> bool:
        held = len(self._working) + len(self._starting)
        return self._supply.has_to_share(held + more)

    def _take(self, lane: Lane) -> None:
        self._watch.add(lane)
        if lane.ready:
            self._employ(lane)
        else:
            self._starting.add(lane)

    def _employ(self, lane: Lane) -> None:
        self._schedule.add_lane(lane, proven=not lane.is_new, serial=lane.sent)
        self._working.add(lane)
        self._hungry.add(lane)

    def _let_go(self, lane: Lane) -> None:
        """Stop watching a lane, which is dead or will be another run's."""
        for lanes in (self._starting, self._working, self._hungry, self._briefed, self._idle):
            lanes.discard(lane)
        self._watch.remove(lane)

    def settle_lanes(self) -> None:
        """Give back all lanes; those that are still at work are killed."""
        for lane in [*self._starting, *self._working]:
            if lane in self._working and not self._schedule.is_idle(lane):
                self._let_go(lane)
                lane.kill()
                lane.bury()
                self._supply.discard(lane)
            else:
                self._release(lane)
        if self._parcel is not None:
            self._parcel.close()
            self._parcel = None

    # Batches go out

    def _feed(self, lane: Lane) -> None:
        """Send a lane what it should have."""
        if self._has_to_share(0) or self._supply.is_overdue(lane):
            if self._schedule.is_idle(lane):
                self._give_back(lane)
            return
        sent = False
        while tasks := self._schedule.next_batch(lane, lane.batch_limit):
            tasks, payload = self._pickle(tasks)
            if tasks:
                if lane not in self._briefed:
                    self._briefed.add(lane)
                    lane.queue_common(self._common, self._parcel)
                if not lane.queue_batch(len(tasks), payload):
                    self._schedule.put_back(tasks)
                    break
                self._schedule.dispatched(lane, tasks, len(payload))
                sent = True
        if sent:
            self._idle.discard(lane)
            self._flush(lane)
        elif self._schedule.is_idle(lane):
            if not self._idle:
                self._patience_ends = time.monotonic() + _PATIENCE_SECONDS
            self._idle.add(lane)

    def _rebalance(self) -> None:
        """Give idle lanes what others were sent and have not started; give back what is left."""
        schedule = self._schedule
        while self._idle and not schedule.queued:
            patient = time.monotonic() < self._patience_ends
            found = schedule.recallable(patient=patient)
            if found is None:
                if not patient or schedule.recallable(patient=False) is None:
                    self._give_back_idle()
                return
            lane, count = found
            try:
                serials = lane.recall(count)
            except FrameError as error:
                lane.kill()
                self._bury(lane, f"was killed, for its permits are no permits ({error})")
                continue
            schedule.recalled(lane, serials)
            if serials:
                self._feed(self._idle.pop())

    def _give_back_idle(self) -> None:
        for lane in list(self._idle):
            # What is still to come from a slow iterable will need them.
            if self._work.exhausted or self._has_to_share(0):
                self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        self._schedule.remove_lane(lane)
        self._release(lane)

    def _release(self, lane: Lane) -> None:
        if self._parcel is not None and lane in self._briefed:
            # The worker is to let go of it, for memory is only free then.
            lane.queue_common(_NOTHING)
            self._flush(lane)
        self._let_go(lane)
        self._supply.release(lane)

    def _pickle(self, tasks: list[int]) -> tuple[list[int], bytes]:
        """The tasks and their pickle; neither if it cannot be made.

        Then a single task is settled, and several are put back, to be tried alone.
        """
        try:
            return tasks, self._work.pickle(tasks)
        except BaseException as error:
            if is_interrupt(error):
                raise
            if len(tasks) == 1:
                what = f"the {self._work.item_is} cannot be pickled: "
                self._outcomes.refused(tasks[0], Err(*describe(error, what)))
            else:
                self._schedule.send_alone(tasks)
            return [], b""

    def _flush(self, lane: Lane) -> None:
        try:
            done = lane.flush()
        except BrokenPipeError:
            done = True  # its death will be seen, and what it was sent go elsewhere
        if done:
            self._watch.remove_clogged(lane)
        else:
            self._watch.add_clogged(lane)

    # Answers and deaths come in

    def _wait(self, seconds: float) -> None:
        """Wait until something has happened, at most so long, and take note of it."""
        schedule = self._schedule
        if seconds and not (
            self._starting
            or self._watch.has_clogged
            or any(lane.is_receiving for lane in self._working)
        ):
            # Answers of quick callables are not worth waking up for one by one.
            nap = min(_NAP_SECONDS, schedule.slack_seconds() / 2)
            if nap >= _LEAST_NAP_SECONDS:
                time.sleep(nap)
        spin = self._supply.spin and schedule.expects_answer_within(SPIN_SECONDS)
        if self._idle and self._work.exhausted:
            seconds = min(seconds, _PATIENCE_SECONDS)
        if not (self._working or self._starting):
            # It waits for a lane, to which it may have a right by then, or for
            # the time to try to start one again.
            pause = self._pause_ends - time.monotonic()
            seconds = min(seconds, pause if pause > 0 else AWAY_SECONDS)
        for ready, lane in self._watch.wait(seconds, spin=spin):
            if ready == "answers":
                self._read(lane)
            elif ready == "exit":
                self._bury(lane)
            else:
                self._flush(lane)
        if self.doorbell is not None:
            self.doorbell.quiet()
            for lane in self._supply.collect(self, self.doorbell):
                self._take(lane)
        if time.monotonic() >= self._next_round:
            self._make_round()

    def _make_round(self) -> None:
        """Replace lanes that have lost what they were sent.

        A callable that reads whatever descriptors it finds can take batches out
        of its worker's pipe. The worker then waits for them, and we for it.
        """
        self._next_round = time.monotonic() + ROUND_SECONDS
        rested, self._rested = self._rested, {}
        for lane in [lane for lane in self._working if not self._schedule.is_idle(lane)]:
            answered = self._schedule.answered(lane)
            before, rounds = rested.get(lane, (-1, 0))
            at_rest = lane.is_at_rest(answered)
            rounds = rounds + 1 if at_rest and answered == before else 0
            # With something left to read, it may just be given no CPU time.
            if rounds > (_STARVED_ROUNDS if lane.has_unread else 0):
                lane.kill()
                self._bury(lane)
            elif at_rest:
                self._rested[lane] = (answered, rounds)

    def _read(self, lane: Lane) -> None:
        try:
            while (frames := lane.receive()) is not None:
                self._take_answers(lane, frames)
                if not lane.is_receiving:
                    return
        except EOFError:
            # It is dead, or has closed its end and could not answer any more.
            lane.kill()
            self._bury(lane)
        except (FrameError, MemoryError) as error:
            lane.kill()
            fault = f"was killed, for its answers cannot be read ({error!r})"
            self._bury(lane, fault, readable=False)

    def _take_answers(self, lane: Lane, frames: list[tuple[tuple[int, ...], bytes]]) -> None:
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
        self._hungry.add(lane)
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
        if kind == Answer.READY and lane in self._starting:
            lane.ready = True
            self._starting.discard(lane)
            self._employ(lane)
        elif kind == Answer.START_FAILED:
            lane.start_error = pickle.loads(payload)[2]
        elif kind == Answer.SKIPPED:
            self._schedule.skipped(lane, serial)
            self._hungry.update(self._working)
        elif kind == Answer.UNLOADABLE:
            blamed = self._schedule.unloadable(lane, serial)
            if blamed is not None:
                text, name, position = pickle.loads(payload)
                what = f"the {self._work.item_is} cannot be rebuilt in the worker: {name}: {text}"
                self._outcomes.refused(blamed, Err(what, name, position))
            self._hungry.update(self._working)
        else:
            raise FrameError(f"kind {kind}")

    def _bury(self, lane: Lane, fault: str = "", *, readable: bool = True) -> None:
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
        started, start_error = lane in self._working, lane.start_error
        self._let_go(lane)
        death = lane.bury()
        self._supply.discard(lane)
        if not started:
            if lane.is_new:
                self._start_error = start_error or f"worker {death}"
                self._schedule.start_failed()
            return
        self._start_error = f"worker {fault or death} before it did anything"
        ran = begun > self._schedule.answered(lane)
        blamed = self._schedule.lane_died(lane, begun, loading, receiving)
        self._hungry.update(self._working)
        for task in blamed:
            doing = "running" if ran else "unpickling" if loading else "receiving"
            if task != blamed[-1]:
                doing = "giving the answer of"
            ran_ms = ran_ns / 1e6 if doing == "running" else 0.0
            self._outcomes.died(task, death, f"worker {fault or death} while {doing}", ran_ms)
