"""One run: the loop that drives some lanes, in the caller's thread, until all is settled.

It turns the schedule's decisions into frames; what lanes answer is taken by
`inbox`. It decides nothing itself about order, fate or blame.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from enact_pool._core.schedule import Schedule
from enact_pool._engine.answers import LOOK_SECONDS, ROUND_SECONDS, AnswerReader
from enact_pool._engine.options import Options
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.output_relay import relays
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.setup import Brief
from enact_pool._engine.sources import Batch, TaskSource
from enact_pool._engine.streams import Results
from enact_pool._events.emitter import Emitter
from enact_pool._lanes.lane import Lane
from enact_pool._lanes.lane_pool import LanePool
from enact_pool._mirror.caller.manifests import caller_streams
from enact_pool._model.results import Err, ParallelResult, Tally
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.texts import describe
from enact_pool._system.spin_poll import SPIN_SECONDS

if TYPE_CHECKING:
    from enact_pool._events.live_events import CallWrapperPickle
    from enact_pool._observe.progress import RunProgress

__all__ = ["run"]

# How long answers may lie in the pipes while all lanes have more to do. With
# workers on all CPUs, each time we wake up takes one away from a worker.
_NAP_SECONDS = 0.025
_LEAST_NAP_SECONDS = 0.002

# How long a lane may be idle while others have more than they work on. Quick
# callables are done by then, and what is still there waits behind a slow one.
_PATIENCE_SECONDS = 0.002

# How often to look around where nothing is to be done until somebody rings.
_IDLE_SECONDS = 3600.0

# How long what runs when a run is given up may take to end; then it is killed.
_GRACE_SECONDS = 0.1


def run(
    supply: LanePool,
    work: TaskSource,
    emitter: Emitter | None,
    limit: int,
    options: Options,
    *,
    ordered: bool = True,
    owner: object = None,
) -> Results:
    """Do the work on at most `limit` lanes of the supply; gives the results as their turn comes.

    The supply's owner, who ends it when it is garbage, is kept till then.

    What is not done when the generator is closed is not started any more, and
    what runs then is given a moment to end. What the emitter, or the work's
    iterable, has raised is returned in the end.
    """
    this = _Run(supply, work, emitter, limit, options, ordered)
    crew = this.crew
    try:
        try:
            yield from this.drive()
        except GeneratorExit:
            if this.is_here:
                this.wind_down()
            raise
    finally:
        try:
            this.settle()
        finally:
            # Without a call in between, where a signal handler could raise.
            try:
                this.let_go()
            except BaseException:
                # If this is cut short as well, the next run of this thread goes on with it.
                crew.is_lost = True
                this.let_go()
                raise
        this.tell_end()
    return this.error


class _Run:
    def __init__(
        self,
        supply: LanePool,
        work: TaskSource,
        emitter: Emitter | None,
        limit: int,
        options: Options,
        ordered: bool,
    ) -> None:
        self._pid = os.getpid()
        self._lane_pool = supply
        self._work = work
        self._kinds = work.kinds
        self._limit = limit
        self._options = options
        self._shows_outputs = emitter is not None
        self._schedule: Schedule[Lane, ParallelResult[Any]] = Schedule(
            ordered, supply.expected_seconds(self._kinds)
        )
        self._outcomes = Outcomes(
            self._schedule, work, emitter, limit, forward_logs=options.forward_logs
        )
        # Made when there is something to do.
        self._brief: Brief | None = None
        # Likewise, if somebody wants to see how far it is.
        self._progress: RunProgress | None = None
        # When idle lanes are no longer to be borne.
        self._patience_ends = 0.0
        self.crew = RunLanes(supply, self._schedule, limit, options)
        self._watch = self.crew.watch
        self._inbox = AnswerReader(
            self._schedule,
            self._outcomes,
            self.crew,
            work.item_is,
            captures=options.capture_output,
        )
        if work.doorbell is not None:
            self._watch.add_doorbell(work.doorbell)

    def drive(self) -> Iterator[list[ParallelResult[Any]]]:
        """Run everything, until all results were given and all events emitted."""
        with self._work.lock:
            self.crew.enter()
            self._work.begin(self)
            if not self._options.capture_output:
                self._work.open_relay()
            self._submit(self._work.pulled)
            while True:
                self._cancel_if_due()
                if wanted := self._wants_more():
                    self._pull(wanted)
                if self._schedule.queued:
                    self._staff()
                while self.crew.hungry:
                    self._feed(self.crew.hungry.pop())
                if self.crew.idle:
                    self._rebalance()
                yield from self._tell()
                if self._done:
                    return
                # Said before it is asked for more: what comes in between is rung for.
                self._work.listen(self._room > 0)
                self._wait(0.0 if self._wants_more() else ROUND_SECONDS)
                self._work.listen(False)
                if self._schedule.unsettled == self._outcomes.unmade and self._work.exhausted:
                    yield from self._tell()
                    return

    def _go_away(self) -> None:
        """Now code of the caller's runs, which may take any time, fork, print, or run callables."""
        if self._progress is not None:
            self._progress.make_way()
        if self._schedule.unsettled:
            self.crew.keep_limits(now=True)
        self.crew.away_since = time.monotonic()
        self.crew.unseen_since_ns = self.crew.unseen_since_ns or time.monotonic_ns()

    def _come_back(self) -> None:
        self.crew.away_since = 0.0
        if not self.is_here:
            raise RuntimeError("this process was forked in a run, which its parent has")
        if self._progress is not None:
            self._progress.come_back()

    def _tell(self) -> Iterator[list[ParallelResult[Any]]]:
        """Emit, and give, what has come to its turn."""
        self._outcomes.make_results()
        self._cancel_if_due()
        if self._progress is not None:
            self._progress.show()
        tasks, results = self._schedule.release()
        if results or self._outcomes.has_news:
            self._go_away()
            with self._work.unlocked:
                if results and relays.active:
                    self._work.show_printed(tasks)
                self._outcomes.tell(results)
                self._work.tell(tasks, results)
                if results:
                    yield results
            self._come_back()

    def _cancel_if_due(self) -> None:
        """If it is over before its time: kill what runs, and settle what has no outcome."""
        if (
            self._options.limits.fail_fast
            and self._outcomes.has_failed
            and not self.crew.cancel_reason
        ):
            self.crew.cancel_reason = "an outcome was not Ok, and fail_fast was asked for"
        if not self.crew.cancel_reason or self._done:
            return
        self._work.stop()
        busy = self.crew.busy
        for lane in busy:
            lane.kill()
        for lane in busy:
            self._inbox.bury(lane)
        self._outcomes.make_results()
        self._outcomes.cancelled(self._schedule.abandon_queue(), self.crew.cancel_reason)

    @property
    def is_here(self) -> bool:
        """Whether this is the process that began the run."""
        return os.getpid() == self._pid

    def wind_down(self) -> None:
        """Start nothing more, and give what runs a moment to end."""
        self.crew.away_since = 0.0
        self._schedule.abandon_queue()
        for lane in self.crew.busy:
            self._schedule.recalled(lane, lane.recall())
        ends = time.monotonic() + _GRACE_SECONDS
        while self.crew.busy and (left := ends - time.monotonic()) > 0:
            self._wait(left)

    def settle(self) -> None:
        """Take what was logged by now, and give back the lanes that have nothing to do."""
        self.crew.away_since = 0.0
        if self.is_here:
            try:
                for lane in self.crew.working:
                    self._inbox.read_mail(lane)
                self._lane_pool.remember(self._kinds, self._schedule.measured_seconds)
                for lane in self.crew.unoccupied:
                    self._take_brief_back(lane)
                    self.crew.leave(lane)
            finally:
                if self._progress is not None:
                    self._progress.end()

    def let_go(self) -> None:
        """Kill the lanes that were not given back; in a forked child, leave them to the parent.

        If an interrupt comes in between, it can be called again.
        """
        if self._brief is not None:
            self._brief.close()
        if self.is_here:
            self.crew.disband()
            # Now that no worker prints any more.
            self._work.close_relay()
        else:
            self.crew.abandon()

    def tell_end(self) -> None:
        """Tell that it is over, if somebody wants to know."""
        if self.is_here:
            self._outcomes.tell_end()

    def withdraw(self, task: int) -> bool:
        """Let go of a callable that has not started; gives whether that was so.

        For whoever has the lock of the work.
        """
        schedule = self._schedule
        held = schedule.holder(task)
        if held is not None:
            lane, _ = held
            schedule.recalled(lane, lane.recall())
            self.crew.hungry.add(lane)
        if not schedule.withdraw(task):
            return False
        self._outcomes.withdrawn(task)
        return True

    def is_running(self, task: int) -> bool:
        """Whether a callable is at work; for whoever has the lock of the work."""
        held = self._schedule.holder(task)
        if held is None:
            return False
        lane, serial = held
        notes = lane.notes
        return notes.begun == serial and notes.activity is not None

    def kill(self, task: int) -> bool:
        """Kill the worker that is at work on a callable; gives whether one was.

        For whoever has the lock of the work. One that is loading it is killed too; but if
        it does so for others as well, all of these are sent again.
        """
        held = self._schedule.holder(task)
        if held is None:
            return False
        lane, serial = held
        runs = False

        def is_at_work() -> bool:
            nonlocal runs
            activity = lane.notes.activity
            if activity is None:
                return False
            begun, loading, _ = activity
            runs = not loading and begun == serial
            return runs or loading >= serial

        lane.kill_if(is_at_work)
        return runs

    @property
    def error(self) -> BaseException | None:
        """What the watchdog, the emitter, the iterable or a replaced stdout has raised."""
        bar_error = None if self._progress is None else self._progress.error
        errors = (
            self.crew.error,
            self._outcomes.emitter_error,
            self._work.error,
            self._work.relay_error,
            bar_error,
        )
        return next((error for error in errors if error is not None), None)

    @property
    def _done(self) -> bool:
        return self._schedule.done and self._work.exhausted

    # Work comes in

    def _wants_more(self) -> int:
        """How many more callables should be there, so that no lane will wait for them."""
        return self._room if self._work.has_more else 0

    @property
    def _room(self) -> int:
        return self._schedule.wanted(len(self.crew.working) or self._limit)

    def _pull(self, wanted: int) -> None:
        self._go_away()
        count = self._work.pull(wanted)
        self._come_back()
        self._submit(count)
        self.crew.hungry.update(self.crew.idle)

    def _submit(self, count: int) -> None:
        self._outcomes.expect(self._schedule.submit(count))
        if count and self._brief is None:
            self._brief = Brief(
                self._work,
                self._options,
                show_outputs=self._shows_outputs,
                call_wrappers=self._call_wrappers(),
            )
            if self._options.progress is not False:
                self._show_progress()
        if self._brief is not None and self._brief.refusal is not None:
            for task in self._schedule.abandon_queue():
                self._outcomes.refused(task, self._brief.refusal)

    def _call_wrappers(self) -> list[CallWrapperPickle]:
        """What calls are to be wrapped in: who is told that the run begins may say so."""
        if self._outcomes.live is None:
            return []
        self._go_away()
        self._outcomes.tell([])
        self._come_back()
        return self._outcomes.live.take_call_wrappers()

    def _show_progress(self) -> None:
        from enact_pool._observe.progress import RunProgress  # few runs have one

        tally = self._outcomes.tally = Tally()
        self._progress = RunProgress.of(
            self._options.progress,
            tally,
            lambda: self._work.total,
            beside_prints=self._work.is_lazy or self._outcomes.runs_emitter,
        )

    def _staff(self) -> None:
        """Get lanes for what is queued; if there can be none, settle it."""
        self.crew.complete()
        if self.crew.is_hopeless:
            for task in self._schedule.abandon_queue():
                self._outcomes.not_started(task, self.crew.start_error)
            if self._work.goes_on:
                self._schedule.forgive()

    # Batches go out

    def _feed(self, lane: Lane) -> None:
        """Send a lane what it should have."""
        assert self._brief is not None
        if self.crew.is_due(lane):
            if self._schedule.is_idle(lane):
                self._give_back(lane)
            return
        while tasks := self._schedule.next_batch(lane, left := self.crew.tasks_left(lane)):
            tasks, batch = self._pickle(tasks)
            if tasks:
                payload = self._brief.payload(tasks, batch.payload)
                try:
                    manifests = *self._brief.manifests, *batch.manifests
                    lane.queue_definitions(len(tasks), *manifests)
                    self._brief.give(lane)
                except OSError:
                    # It is dead, or takes nothing any more; nobody is to blame.
                    self._schedule.put_back(tasks)
                    lane.kill()
                    return
                if not lane.queue_batch(len(tasks), payload):
                    self._schedule.put_back(tasks)
                    break
                # All that follows is done while the worker is at work.
                self._flush(lane)
                self._schedule.dispatched(lane, tasks, len(payload))
                self.crew.idle.discard(lane)
        if not self._schedule.is_idle(lane):
            return
        if left < 1 and self._schedule.queued:
            self.crew.retire(lane)
            self._staff()
        else:
            if not self.crew.idle:
                self._patience_ends = time.monotonic() + _PATIENCE_SECONDS
            self.crew.idle.add(lane)

    def _rebalance(self) -> None:
        """Give idle lanes what is queued, or others have not started; give back what is left."""
        schedule = self._schedule
        while self.crew.idle:
            for lane in list(self.crew.idle):
                if schedule.queued:
                    self._feed(lane)
            if schedule.queued or not self.crew.idle:
                return
            patient = time.monotonic() < self._patience_ends
            found = schedule.recallable(patient=patient)
            if found is None:
                if not patient or schedule.recallable(patient=False) is None:
                    self._give_back_idle()
                return
            lane, count = found
            schedule.recalled(lane, lane.recall(count))

    def _give_back_idle(self) -> None:
        for lane in list(self.crew.idle):
            # What is still to come from a slow iterable will need them.
            if self._work.exhausted or self.crew.has_to_share:
                self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        self._take_brief_back(lane)
        self.crew.give_back(lane)

    def _take_brief_back(self, lane: Lane) -> None:
        if self._brief is not None and self._brief.take_back(lane):
            self._flush(lane)
        if self._work.is_relayed and lane.ready:
            # What prints there later must not find a broken pipe.
            try:
                lane.queue_definitions(0, caller_streams())
            except OSError:
                return  # it is dead, or has to do without
            self._flush(lane)

    def _pickle(self, tasks: list[int]) -> tuple[list[int], Batch]:
        """The tasks that are in one batch, which may be the first of them, and their pickle.

        None if it cannot be made. Then a single task is settled, and several are put back,
        to be tried alone.
        """
        try:
            batch = self._work.pickle(tasks)
            if batch.count < len(tasks):
                self._schedule.put_back(tasks[batch.count :])
            return tasks[: batch.count], batch
        except BaseException as error:
            raise_interrupt(error)
            if len(tasks) == 1:
                what = f"the {self._work.item_is} cannot be pickled: "
                self._outcomes.refused(tasks[0], Err(*describe(error, what)))
            else:
                self._schedule.send_alone(tasks)
            return [], Batch(0, b"")

    def _flush(self, lane: Lane) -> None:
        try:
            done = lane.flush()
        except BrokenPipeError:
            done = True  # its death will be seen, and what it was sent go elsewhere
        if done:
            self._watch.remove_clogged(lane)
        else:
            self._watch.add_clogged(lane)

    def _wait(self, seconds: float) -> None:
        """Wait until something has happened, at most so long, and take note of it."""
        self.crew.keep_limits()
        schedule = self._schedule
        if seconds and not (
            self._outcomes.live is not None
            or self.crew.starting
            or self._watch.has_clogged
            or any(lane.is_receiving or lane.mail.is_at_parcel for lane in self.crew.working)
        ):
            # Answers of quick callables are not worth waking up for one by one.
            room = min((lane.answers_room for lane in self.crew.working), default=0)
            nap = min(_NAP_SECONDS, schedule.quiet_seconds(room))
            if nap >= _LEAST_NAP_SECONDS:
                self.crew.keep_limits(now=True)
                with self._work.unlocked:
                    self._watch.nap(nap)
        spin = self.crew.may_spin and schedule.expects_answer_within(SPIN_SECONDS)
        if not schedule.unsettled and self._work.doorbell is not None:
            seconds = _IDLE_SECONDS if seconds else 0.0
        else:
            seconds = min(seconds, self.crew.wait_seconds)
        if self._progress is not None:
            seconds = min(seconds, self._progress.delay)
        if self.crew.idle and self._work.exhausted:
            seconds = min(seconds, _PATIENCE_SECONDS)
        if schedule.has_backlog or self._outcomes.live is not None:
            # What a lane has answered may be in its journal, while it does the next.
            seconds = min(seconds, LOOK_SECONDS)
        for ready, lane in self._watch.wait(seconds, self._work.unlocked, spin=spin):
            if ready == "answers":
                self._inbox.read(lane)
            elif ready == "mail":
                self._inbox.read_mail(lane)
            elif ready == "exit" and lane in self.crew.retired:
                if self._outcomes.live is not None:
                    reason = f"has run {lane.ran} callables, and may run no more"
                    self._outcomes.live.worker_ended(lane.number, lane.pid, reason)
                self.crew.part_with(lane)
            elif ready == "exit":
                self._inbox.bury(lane)
            else:
                self._flush(lane)
        self.crew.unseen_since_ns = 0
        if self._watch.is_rung:
            self._work.quiet()
        self._inbox.look_around()
