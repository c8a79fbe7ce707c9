"""One run: the loop that drives some lanes, in its caller's thread, until all tasks are settled.

    source --> schedule --> feed --> lanes
                  ^                    |
                  |                    v
    hooks <-- release <-- outcomes <-- answers

The loop decides nothing about the order or the fate of tasks: see `schedule`. What a run is in:

    state          what it means                                         next
    ------------   ---------------------------------------------------   --------------------------
    created        its generator was not started                         running
    running        the loop goes on; now and then in code of the user's  cancelling winding_down
                                                                         ending
    cancelling     what runs is killed, nothing is started               ending
    winding_down   its generator was closed: what runs may end           ending
    ending         lanes are released                                    ended
    ended

A run that an interrupt has kept from ending is marked as lost; the next run of its thread ends
it. In a forked child, a run ends without touching the lanes, which are its parent's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from enact_pool._core.leasing import IllegalTransition
from enact_pool._core.observer import Hooks
from enact_pool._core.schedule import Schedule
from enact_pool._core.timing import (
    IDLE_SECONDS,
    LEAST_NAP_SECONDS,
    LOOK_SECONDS,
    MOST_NAP_SECONDS,
    PATIENCE_SECONDS,
    ROUND_SECONDS,
    WIND_DOWN_SECONDS,
)
from enact_pool._engine.answers import AnswerReader
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.setup import RunExtras, SetupSender
from enact_pool._engine.sources import Batch, TaskSource
from enact_pool._engine.streams import Results
from enact_pool._lanes.base import Lane
from enact_pool._lanes.lane_pool import LanePool
from enact_pool._model.limits import Limits
from enact_pool._model.results import Err, ParallelResult
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._system.spin_poll import SPIN_SECONDS

__all__ = ["run"]

RunState = Literal["created", "running", "cancelling", "winding_down", "ending", "ended"]

_NEXT: dict[RunState, frozenset[RunState]] = {
    "created": frozenset(("running", "ending")),
    "running": frozenset(("cancelling", "winding_down", "ending")),
    "cancelling": frozenset(("winding_down", "ending")),
    "winding_down": frozenset(("ending",)),
    "ending": frozenset(("ended",)),
    "ended": frozenset(),
}


def run(
    pool: LanePool,
    source: TaskSource,
    limit: int,
    limits: Limits,
    extras: RunExtras,
    hooks: Hooks,
    *,
    ordered: bool = True,
    owner: object = None,
    poller: LanePoller | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Results:
    """Do the tasks of a source, and generate their results as their turn comes.

    When the generator is closed, no more tasks are started, and those that run are given a
    moment to end.

    Args:
        pool: Where lanes are leased.
        source: The tasks.
        limit: How many lanes to lease at most.
        limits: What a task may use.
        extras: What workers are asked for besides outcomes.
        hooks: What watches the run.
        ordered: Whether results come in the order of the tasks, or as they become known.
        owner: What ends the pool when it is garbage; it is kept until the run is over.
        poller, clock: For tests, which have lanes without processes.

    Returns:
        In the end, what the user's code has raised: an emitter, or the source's iterable.
    """
    this = _Run(pool, source, limit, limits, extras, hooks, ordered, poller, clock)
    try:
        try:
            yield from this.drive()
        except GeneratorExit:
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
                this.lanes.is_lost = True
                this.let_go()
                raise
        this.end()
    return this.error


class _Run:
    """The state of one run, and the steps of its loop."""

    def __init__(
        self,
        pool: LanePool,
        source: TaskSource,
        limit: int,
        limits: Limits,
        extras: RunExtras,
        hooks: Hooks,
        ordered: bool,
        poller: LanePoller | None,
        clock: Callable[[], float],
    ) -> None:
        self._pid = os.getpid()
        self._pool = pool
        self._source = source
        self._limit = limit
        self._fails_fast = limits.fail_fast
        self._extras = extras
        self._hooks = hooks
        self._clock = clock
        self._workload_key = source.workload_key
        self._schedule: Schedule[Lane, ParallelResult[Any]] = Schedule(
            ordered, pool.pace.expected_seconds(self._workload_key)
        )
        self._outcomes = Outcomes(self._schedule, source, hooks)
        self._poller = poller or LanePoller()
        self.lanes = RunLanes(pool, self._schedule, limit, limits, hooks, self._poller, clock)
        self._answers = AnswerReader(
            self._schedule, self._outcomes, self.lanes, source, hooks, self._poller, clock
        )
        # Made when there is a task.
        self._setup: SetupSender | None = None
        # Until when an idle lane waits for tasks that other lanes were sent.
        self._patience_ends = 0.0
        self._state: RunState = "created"
        if source.doorbell is not None:
            self._poller.add_doorbell(source.doorbell)

    def _become(self, state: RunState) -> None:
        if state not in _NEXT[self._state]:
            raise IllegalTransition(f"a run that is {self._state} cannot become {state}")
        self._state = state

    @property
    def is_here(self) -> bool:
        """Whether this is the process that began the run."""
        return os.getpid() == self._pid

    # For observers

    @property
    def max_lanes(self) -> int:
        """How many lanes it may have at once."""
        return self._limit

    def total(self) -> int | None:
        """Return how many tasks there are in all; None if that is not known."""
        return self._source.total

    def name_of(self, task: int) -> str:
        """Return the name of the callable of a task that is not settled."""
        return self._source.name(task)

    def id_of(self, task: int) -> int:
        """Return the number of the execution id of a task that is not settled."""
        return self._outcomes.id_of(task)

    # The loop

    def drive(self) -> Iterator[list[ParallelResult[Any]]]:
        """Run everything, until all results are released."""
        source, schedule, lanes, hooks = self._source, self._schedule, self.lanes, self._hooks
        lanes.enter()
        self._become("running")
        for started in hooks.run_started:
            started(self)
        source.begin(self)
        self._submit(source.pulled)
        while True:
            if lanes.cancel_reason or self._fails_fast:
                self._cancel_if_due()
            if source.is_lazy and (wanted := self._wants_more()):
                self._pull(wanted)
            if schedule.queued:
                self._lease()
            while lanes.hungry:
                self._feed(lanes.hungry.pop())
            if lanes.idle:
                self._rebalance()
            yield from self._release()
            if schedule.done and source.exhausted:
                return
            if source.is_lazy:
                # Said before it is asked for more: what comes in between is rung for.
                source.listen(self._room > 0)
                self._wait(0.0 if self._wants_more() else ROUND_SECONDS)
                source.listen(False)
            else:
                self._wait(ROUND_SECONDS)
            if not schedule.unsettled and source.exhausted:
                # What follows is for lanes that have something to do.
                yield from self._release()
                return

    def _enter_user_code(self) -> None:
        """Code of the user's runs now: it may take any time, fork, print, or run tasks."""
        lanes = self.lanes
        if self._schedule.unsettled:
            lanes.keep_limits(now=True)
        lanes.away_since = self._clock()
        lanes.unseen_since_ns = lanes.unseen_since_ns or time.monotonic_ns()
        for hook in self._hooks.user_code:
            hook(True)

    def _leave_user_code(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked in a run, which its parent has")
        self.lanes.away_since = 0.0
        for hook in self._hooks.user_code:
            hook(False)

    def _release(self) -> Iterator[list[ParallelResult[Any]]]:
        """Deliver what is pending, and release the results whose turn has come."""
        hooks = self._hooks
        if self.lanes.cancel_reason or self._fails_fast:
            self._cancel_if_due()
        tasks, results = self._schedule.release()
        if results or hooks.pending:
            self._enter_user_code()
            for sharing in hooks.sharing:
                sharing(True)
            try:
                if hooks.pending:
                    for deliver in hooks.deliver:
                        deliver()
                if results:
                    for released in hooks.results_released:
                        released(tasks, results)
                    yield results
            finally:
                for sharing in hooks.sharing:
                    sharing(False)
                self._leave_user_code()

    def _cancel_if_due(self) -> None:
        """If it is over before its time: kill what runs, and settle what has no outcome."""
        lanes = self.lanes
        if self._fails_fast and self._outcomes.has_failed and not lanes.cancel_reason:
            lanes.cancel_reason = "an outcome was not Ok, and fail_fast was asked for"
        if not lanes.cancel_reason or (self._schedule.done and self._source.exhausted):
            return
        if self._state == "running":
            self._become("cancelling")
        self._source.stop()
        busy = lanes.busy
        for lane in busy:
            lane.kill()
        for lane in busy:
            self._answers.examine_death(lane)
        self._outcomes.cancelled(self._schedule.abandon_queue(), lanes.cancel_reason)

    # The end

    def wind_down(self) -> None:
        """Start nothing more, and give what runs a moment to end."""
        if not self.is_here:
            return
        if self._state in ("running", "cancelling"):
            self._become("winding_down")
        self._schedule.abandon_queue()
        for lane in self.lanes.busy:
            self._schedule.revoked(lane, lane.revoke())
        ends = self._clock() + WIND_DOWN_SECONDS
        while self.lanes.busy and (left := ends - self._clock()) > 0:
            self._wait(left)

    def settle(self) -> None:
        """Take what was logged by now, and release the lanes that have nothing to do."""
        self._become("ending")
        lanes = self.lanes
        lanes.away_since = 0.0
        if os.getpid() != self._pid:
            return
        if self._hooks.log_received:
            for lane in lanes.working:
                self._answers.read_side(lane)
        self._pool.pace.remember(self._workload_key, self._schedule.measured_seconds)
        for lane in lanes.quiescent:
            self._take_back(lane)
            lanes.release_at_end(lane)

    def let_go(self) -> None:
        """Kill the workers of lanes that were not released; in a forked child, do nothing.

        If an interrupt comes in between, it can be called again.
        """
        if self._setup is not None:
            self._setup.close()
        if os.getpid() == self._pid:
            self.lanes.disband()

    def end(self) -> None:
        """Tell the observers that the run is over."""
        self._become("ended")
        if self.is_here:
            for ended in self._hooks.run_ended:
                ended()

    @property
    def error(self) -> BaseException | None:
        """What is to be raised in the end, if anything."""
        return self.lanes.error or self._hooks.error or self._source.error

    # For the source

    def withdraw(self, task: int) -> bool:
        """Let go of a task that has not started; return whether that was so."""
        schedule = self._schedule
        held = schedule.holder(task)
        if held is not None:
            lane, _ = held
            schedule.revoked(lane, lane.revoke())
            self.lanes.hungry.add(lane)
        if not schedule.withdraw(task):
            return False
        self._outcomes.withdrawn(task)
        return True

    def is_running(self, task: int) -> bool:
        """Return whether a worker is at work on a task."""
        held = self._schedule.holder(task)
        if held is None:
            return False
        lane, serial = held
        notes = lane.notes
        return notes.begun == serial and notes.activity is not None

    def kill(self, task: int) -> bool:
        """Kill the worker that is at work on a task; return whether one was.

        A worker that is loading it is killed too; but if it does so for others as well, all of
        these are sent again.
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

    # Tasks come in

    def _wants_more(self) -> int:
        """How many more tasks should be there, so that no lane will wait for them."""
        return self._room if self._source.has_more else 0

    @property
    def _room(self) -> int:
        return self._schedule.wanted(len(self.lanes.working) or self._limit)

    def _pull(self, wanted: int) -> None:
        self._enter_user_code()
        try:
            count = self._source.pull(wanted)
        finally:
            self._leave_user_code()
        self._submit(count)
        self.lanes.hungry.update(self.lanes.idle)

    def _submit(self, count: int) -> None:
        self._outcomes.expect(self._schedule.submit(count))
        setup = self._setup
        if count and setup is None:
            if self._hooks.call_wrappers:
                # They are asked for while the first event is emitted.
                self._deliver()
            setup = self._setup = SetupSender(self._source, self._extras, self._hooks)
        if setup is not None and setup.refusal is not None:
            for task in self._schedule.abandon_queue():
                self._outcomes.refused(task, setup.refusal)

    def _deliver(self) -> None:
        self._enter_user_code()
        try:
            for deliver in self._hooks.deliver:
                deliver()
        finally:
            self._leave_user_code()

    def _lease(self) -> None:
        """Lease lanes for what is queued; if there can be none, settle it."""
        self.lanes.complete()
        if self.lanes.is_hopeless:
            for task in self._schedule.abandon_queue():
                self._outcomes.not_started(task, self.lanes.start_error)
            if self._source.goes_on:
                self._schedule.forgive()

    # Batches go out

    def _feed(self, lane: Lane) -> None:
        """Send a lane what it should have."""
        schedule, lanes, setup = self._schedule, self.lanes, self._setup
        if setup is None:
            raise IllegalTransition("a lane cannot be fed before there is a task")
        if lanes.is_due(lane):
            if schedule.is_idle(lane):
                self._release_lane(lane)
            return
        while tasks := schedule.next_batch(lane, left := lanes.tasks_left(lane)):
            tasks, batch = self._pickle(tasks)
            if not tasks:
                continue
            payload = setup.batch(tasks, batch.payload)
            try:
                lane.queue_definitions(len(tasks), *setup.manifests, *batch.manifests)
                setup.send(lane)
            except OSError:
                # It is dead, or takes nothing any more; no task is to blame.
                schedule.put_back(tasks)
                lane.kill()
                return
            if not lane.queue_batch(len(tasks), payload):
                schedule.put_back(tasks)
                break
            # All that follows is done while the worker is at work.
            self._flush(lane)
            schedule.dispatched(lane, tasks, len(payload))
            lanes.idle.discard(lane)
        if not schedule.is_idle(lane):
            return
        if left < 1 and schedule.queued:
            lanes.drain(lane)
            self._lease()
        else:
            if not lanes.idle:
                self._patience_ends = self._clock() + PATIENCE_SECONDS
            lanes.idle.add(lane)

    def _rebalance(self) -> None:
        """Feed idle lanes with what is queued, or others have not started; or release them."""
        schedule, lanes = self._schedule, self.lanes
        while lanes.idle:
            for lane in list(lanes.idle):
                if schedule.queued:
                    self._feed(lane)
            if schedule.queued or not lanes.idle:
                return
            patient = self._clock() < self._patience_ends
            found = schedule.revocable(patient=patient)
            if found is None:
                if not patient or schedule.revocable(patient=False) is None:
                    self._release_idle()
                return
            lane, count = found
            schedule.revoked(lane, lane.revoke(count))

    def _release_idle(self) -> None:
        for lane in list(self.lanes.idle):
            # What is still to come from a slow iterable will need them.
            if self._source.exhausted or self.lanes.has_to_share:
                self._release_lane(lane)

    def _release_lane(self, lane: Lane) -> None:
        self._take_back(lane)
        self.lanes.release(lane)

    def _take_back(self, lane: Lane) -> None:
        """Let a lane that is about to be released forget what it has of this run."""
        if self._setup is not None and self._setup.take_back(lane):
            self._flush(lane)
        if self._hooks.manifest_at_release and lane.ready:
            try:
                for manifest in self._hooks.manifest_at_release:
                    lane.queue_definitions(0, manifest())
            except OSError:
                return  # it is dead, or has to do without
            self._flush(lane)

    def _pickle(self, tasks: list[int]) -> tuple[list[int], Batch]:
        """Return the tasks that are in one batch, which may be the first of them, and the batch.

        If it cannot be made, a single task is settled, and several are put back, to be tried
        alone.
        """
        try:
            batch = self._source.pickle(tasks)
        except BaseException as error:
            raise_interrupt(error)
            if len(tasks) == 1:
                what = f"the {self._source.item_is} cannot be pickled: "
                self._outcomes.refused(tasks[0], Err(*describe(error, what)))
            else:
                self._schedule.send_alone(tasks)
            return [], Batch(0, b"")
        if batch.count < len(tasks):
            self._schedule.put_back(tasks[batch.count :])
            tasks = tasks[: batch.count]
        return tasks, batch

    def _flush(self, lane: Lane) -> None:
        try:
            is_done = lane.flush()
        except BrokenPipeError:
            is_done = True  # its death will be seen, and what it was sent go elsewhere
        if not is_done:
            self._poller.add_write_blocked(lane)
        elif self._poller.has_write_blocked:
            self._poller.remove_write_blocked(lane)

    # Waiting

    def _wait(self, seconds: float) -> None:
        """Wait until something has happened, at most so long, and take note of it."""
        lanes, schedule, poller, hooks = self.lanes, self._schedule, self._poller, self._hooks
        lanes.keep_limits()
        if seconds:
            self._nap()
            seconds = self._time_out(seconds)
        for tick in hooks.tick:
            seconds = min(seconds, tick())
        spin = lanes.may_spin and schedule.expects_answer_within(SPIN_SECONDS)
        if hooks.sharing:
            for sharing in hooks.sharing:
                sharing(True)
            try:
                polled = poller.wait(seconds, spin=spin)
            finally:
                for sharing in hooks.sharing:
                    sharing(False)
        else:
            polled = poller.wait(seconds, spin=spin)
        for ready, lane in poller.ready(polled):
            if ready == "answers":
                self._answers.read(lane)
            elif ready == "side":
                self._answers.read_side(lane)
            elif ready == "exit" and lane in lanes.draining:
                for exited in hooks.worker_exited:
                    reason = f"has run {lane.ran} callables, and may run no more"
                    exited(lane.number, lane.pid, reason)
                lanes.has_drained(lane)
            elif ready == "exit":
                self._answers.examine_death(lane)
            else:
                self._flush(lane)
        lanes.unseen_since_ns = 0
        if poller.is_rung:
            self._source.clear_doorbell()
        self._answers.look_around()

    def _nap(self) -> None:
        """Let answers of quick tasks wait: they are not worth waking up for one by one."""
        lanes = self.lanes
        if (
            self._hooks.task_began
            or lanes.starting
            or self._poller.has_write_blocked
            or not self._schedule.may_nap
            or any(lane.is_receiving or lane.side.is_at_large_value for lane in lanes.working)
        ):
            return
        room = min((lane.answers_room for lane in lanes.working), default=0)
        nap = min(MOST_NAP_SECONDS, self._schedule.quiet_seconds(room))
        if nap >= LEAST_NAP_SECONDS:
            lanes.keep_limits(now=True)
            for sharing in self._hooks.sharing:
                sharing(True)
            try:
                self._poller.nap(nap)
            finally:
                for sharing in self._hooks.sharing:
                    sharing(False)

    def _time_out(self, seconds: float) -> float:
        """Return after how many seconds something is to be looked at that nothing signals."""
        lanes, schedule = self.lanes, self._schedule
        if not schedule.unsettled and self._source.doorbell is not None:
            seconds = IDLE_SECONDS
        else:
            seconds = min(seconds, lanes.wait_seconds)
        if lanes.idle and self._source.exhausted:
            seconds = min(seconds, PATIENCE_SECONDS)
        if schedule.has_backlog or self._hooks.task_began:
            # What a lane has answered may be in its journal, while it does the next task.
            seconds = min(seconds, LOOK_SECONDS)
        return seconds
