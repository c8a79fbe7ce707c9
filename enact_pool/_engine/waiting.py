"""How a run waits for its lanes, and what it checks when it wakes up."""

from __future__ import annotations

import time
from collections.abc import Callable

from enact_pool._core.lane_states import Starvation
from enact_pool._core.observer import Hooks
from enact_pool._core.postmortem import Verdict, examine
from enact_pool._core.release_order import ReleaseOrder
from enact_pool._core.schedule import Schedule
from enact_pool._core.timing import IDLE_SECONDS, LATE_NS, LOOK_SECONDS, ROUND_SECONDS
from enact_pool._engine.answers import AnswerReader, Ended
from enact_pool._engine.feeding import Feeder
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.task_source import TaskSource
from enact_pool._lanes.base import Lane, StartError
from enact_pool._lanes.death import Death
from enact_pool._model.results import ParallelResult
from enact_pool._system.spin_poll import SPIN_SECONDS

__all__ = ["Waiter"]


class Waiter:
    """Waits for the lanes of a run, and handles what they send and their deaths."""

    def __init__(
        self,
        schedule: Schedule[Lane],
        order: ReleaseOrder[ParallelResult[object]],
        outcomes: Outcomes,
        lanes: RunLanes,
        reader: AnswerReader,
        feeder: Feeder,
        source: TaskSource,
        hooks: Hooks,
        poller: LanePoller,
        may_spin: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schedule = schedule
        self._order = order
        self._outcomes = outcomes
        self._lanes = lanes
        self._states = lanes.states
        self._reader = reader
        self._feeder = feeder
        self._source = source
        self._hooks = hooks
        self._poller = poller
        self._may_spin = may_spin
        self._clock = clock
        now = clock()
        self._next_look = now + LOOK_SECONDS
        self._next_round = now + ROUND_SECONDS
        self._starvation: Starvation[Lane] | None = None
        # What was in the journals of lanes at the last look.
        self._collected: dict[Lane, range] = {}

    # Waiting

    def wait(self, most_seconds: float | None) -> None:
        """Wait until something has happened, and handle it.

        Args:
            most_seconds: How long to wait at most; None for as long as nothing has to be done.
        """
        lanes, poller, hooks = self._lanes, self._poller, self._hooks
        if lanes.enforcer is not None:
            lanes.keep_limits()
        seconds = self._time_out() if most_seconds is None else most_seconds
        for tick in hooks.tick:
            seconds = min(seconds, tick())
        # It pays to stay awake for answers that are likely to come in this time.
        spin = self._may_spin and self._schedule.sizing.mean_seconds <= SPIN_SECONDS
        for sharing in hooks.sharing:
            sharing(True)
        try:
            polled = poller.wait(seconds, spin=spin)
        finally:
            for sharing in hooks.sharing:
                sharing(False)
        is_rung = False
        for descriptor, _ in polled:
            # Lanes may be added and removed meanwhile.
            entry = poller.lanes.get(descriptor)
            if entry is None:
                is_rung |= descriptor in poller.doorbells
                continue
            ready, lane = entry
            if ready == "answers":
                ended = self._reader.read(lane)
                if ended is not None:
                    self._deal_with(lane, ended)
            elif ready == "side":
                self._reader.read_side(lane)
            elif ready == "exit":
                self._exited(lane)
            else:
                self._feeder.flush(lane)
        if poller.blind:
            for lane in [lane for lane in poller.blind if lane.has_exited()]:
                if lane in poller.blind:
                    self._exited(lane)
        lanes.unseen_since_ns = 0
        if is_rung:
            self._source.clear_doorbell()
            lanes.collect_offered()
        now = self._clock()
        if now >= self._next_look:
            self._look_around(now)

    def _time_out(self) -> float:
        """Return for how long to wait."""
        states, lanes, hooks = self._states, self._lanes, self._hooks
        source = self._source
        seconds = states.time_out(exhausted=source.exhausted, prompt=bool(hooks.task_began))
        if not self._order.unsettled and source.doorbell is not None:
            return IDLE_SECONDS
        if lanes.enforcer is not None or not states.working:
            seconds = min(seconds, lanes.wait_seconds())
        return seconds

    # What no descriptor signals

    def _look_around(self, now: float) -> None:
        self._next_look = now + LOOK_SECONDS
        self._look_into_journals()
        if self._states.draining:
            self._lanes.kill_lingering()
        if now >= self._next_round:
            self._next_round = now + ROUND_SECONDS
            self._replace_starved()

    def _look_into_journals(self) -> None:
        """Take the answers that a worker has collected, and is too busy to write.

        It writes them when it has run the next callable, which may take long.
        """
        before, self._collected = self._collected, {}
        working = self._states.working
        if self._hooks.task_began:
            for lane in working:
                self._say_what_runs(lane)
        for hook in self._hooks.workers_looked_at:
            hook(working)
        for lane in list(working):
            collected = lane.notes.journal.extent
            if collected.stop <= self._schedule.lanes[lane].answered + 1:
                continue
            # The same as at the last look: then it is complete, on every CPU.
            if collected == before.get(lane):
                ended = self._reader.read_journal(lane, collected.stop)
                if ended is not None:
                    self._deal_with(lane, ended)
            else:
                self._collected[lane] = collected

    def _say_what_runs(self, lane: Lane) -> None:
        activity = lane.notes.activity
        if activity is not None:
            begun, loading, since_ns = activity
            task = None if loading else self._schedule.lanes[lane].find(begun)
            if task is not None:
                for hook in self._hooks.task_began:
                    hook(lane, task, since_ns)

    def _replace_starved(self) -> None:
        """Wake workers that do nothing; replace those that stay so: see `Starvation`."""
        starvation = self._starvation
        if starvation is None:
            starvation = self._starvation = Starvation()
        starvation.begin_round()
        for lane in self._states.busy():
            answered = self._schedule.lanes[lane].answered
            at_rest = lane.is_at_rest(answered)
            if at_rest:
                # It may have been stopped, by what a callable has left running.
                lane.resume()
            if starvation.is_starved(
                lane,
                answered,
                at_rest=at_rest,
                # Unless it waits for something to read what its callables have printed.
                may_go_on=lane.has_unread and not lane.notes.flushing,
            ):
                lane.kill()
                self.examine_death(lane)

    # Deaths

    def _deal_with(self, lane: Lane, ended: Ended) -> None:
        lane.kill()
        self.examine_death(lane, ended.fault)

    def _exited(self, lane: Lane) -> None:
        if lane not in self._states.draining:
            self.examine_death(lane)
            return
        for exited in self._hooks.worker_exited:
            reason = f"has run {lane.ran} callables, and may run no more"
            exited(lane.number, lane.pid, reason)
        self._lanes.end_drained(lane)

    def examine_death(self, lane: Lane, fault: str = "") -> None:
        """Settle, or queue again, the tasks of a worker that has died.

        Args:
            lane: Its lane.
            fault: Why it was killed, if its answers cannot be read.
        """
        # Before its notes are read: a worker that was killed goes on for a moment.
        lane.wait()
        if not fault:
            # The answers that it has given count, unless they cannot be read.
            ended = self._reader.read_rest(lane)
            fault = "" if ended is None else ended.fault
        schedule, lanes, hooks = self._schedule, self._lanes, self._hooks
        now_ns = time.monotonic_ns()
        seen_late = (
            lane.violation is None
            and lanes.unseen_since_ns > 0
            and now_ns - lanes.unseen_since_ns > LATE_NS
        )
        has_worked = lane in self._states.working
        pid = lane.pid
        output = lane.output() if hooks.output_received else None
        if has_worked and hooks.task_began:
            self._say_what_runs(lane)
        lanes.remove(lane)
        report, death = lane.reap()
        lanes.discard(lane)
        if not has_worked:
            if lane.is_new:
                lanes.start_failed(lane.start_error or StartError(f"worker {death}"))
            return
        for exited in hooks.worker_exited:
            exited(lane.number, pid, fault or str(death))
        lanes.start_error = StartError(f"worker {fault or death} before it did anything")
        answered = schedule.lanes[lane].answered
        blamed = schedule.lane_died(
            lane, report.begun, report.loading, report.receiving, expired=report.expired
        )
        self._states.hungry.update(self._states.working)
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
            self._settle(verdict, lane, death, fault, seen_late=seen_late)

    def _settle(
        self,
        verdict: Verdict,
        lane: Lane,
        death: Death,
        fault: str,
        *,
        seen_late: bool,
    ) -> None:
        """Settle a task whose worker has died."""
        if verdict.kind == "violated" and lane.violation is not None:
            self._outcomes.violated(verdict, lane.violation, lane.left_running)
        elif verdict.kind == "cancelled":
            self._outcomes.cancelled([verdict.task], self._lanes.cancel_reason, verdict.ran_ms)
        else:
            left = lane.left_running
            self._outcomes.crashed(verdict, death, fault, left, seen_late=seen_late)
