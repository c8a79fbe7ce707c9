"""How tasks get to lanes: lanes are leased, batches are pickled and sent, tasks are revoked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from enact_pool._core.observer import Hooks
from enact_pool._core.schedule import Schedule
from enact_pool._core.states import IllegalTransition
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.setup import SetupSender
from enact_pool._engine.task_source import Batch, TaskSource
from enact_pool._lanes.base import Lane
from enact_pool._model.results import Err
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe

__all__ = ["Feeder"]


class Feeder:
    """Sends the tasks of a run to its lanes.

    Attributes:
        setup: The setup of the run; None until there is a task.
    """

    def __init__(
        self,
        schedule: Schedule[Lane],
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
        self._states = lanes.states
        self._pool_book = lanes.pool_book
        self._source = source
        self._hooks = hooks
        self._poller = poller
        self._clock = clock
        self.setup: SetupSender | None = None

    def feed_all(self) -> None:
        """Lease lanes for what is queued, and send each lane what it should have."""
        states = self._states
        if self._schedule.queued:
            self._lease()
        while states.hungry:
            self._feed(states.hungry.pop())
        if states.idle:
            self._rebalance()

    def _lease(self) -> None:
        """Lease lanes for what is queued; if there can be none, settle it."""
        self._lanes.complete()
        states = self._states
        if not (states.working or states.starting or self._schedule.may_start_lanes):
            # There is no lane, and none can be started.
            for task in self._schedule.abandon_queue():
                self._outcomes.not_started(task, self._lanes.start_error)
            if self._source.goes_on:
                self._schedule.forgive()

    def _feed(self, lane: Lane) -> None:
        """Send a lane what it should have."""
        schedule, states, setup = self._schedule, self._states, self.setup
        if setup is None:
            raise IllegalTransition("a lane cannot be fed before there is a task")
        record = schedule.lanes[lane]
        if self._pool_book.waiting and self._lanes.is_due(lane):
            if not record.tasks:
                self._release(lane)
            return
        left = lane.batch_limit
        while schedule.queued:
            if states.most_tasks is not None:
                left = states.tasks_left(lane, lane.ran, lane.batch_limit)
            tasks = schedule.next_batch(lane, left, len(states.starting))
            if not tasks:
                break
            batch = self._pickle(tasks)
            if batch is None:
                continue
            if batch.count < len(tasks):
                schedule.put_back(tasks[batch.count :])
                tasks = tasks[: batch.count]
            payload = batch.payload
            if setup.wraps_calls:
                payload = setup.wrapped_batch(tasks, payload)
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
            self.flush(lane)
            schedule.dispatched(lane, tasks, len(payload))
            states.idle.discard(lane)
        if record.tasks:
            return
        if left < 1 and schedule.queued:
            self._lanes.drain(lane)
            self._lease()
        else:
            states.become_idle(lane, self._clock())

    def _rebalance(self) -> None:
        """Feed idle lanes with what is queued, or others have not started; or release them."""
        schedule, states = self._schedule, self._states
        while states.idle:
            if schedule.queued:
                for lane in list(states.idle):
                    self._feed(lane)
                if schedule.queued or not states.idle:
                    return
            now = self._clock()
            found = states.revocation(now)
            if found is None:
                if states.may_release_idle(now):
                    self._release_idle()
                return
            lane, count = found
            schedule.revoked(lane, lane.revoke(count))

    def _release_idle(self) -> None:
        for lane in list(self._states.idle):
            # What is still to come from a slow iterable will need them.
            if self._source.exhausted or self._lanes.has_to_share():
                self._release(lane)

    def _release(self, lane: Lane) -> None:
        self.take_back(lane)
        self._lanes.release(lane)

    def take_back(self, lane: Lane) -> None:
        """Make a lane that is about to be released drop what it has of this run."""
        if self.setup is not None and self.setup.take_back(lane):
            self.flush(lane)
        if self._hooks.manifest_at_release and lane.ready:
            try:
                for manifest in self._hooks.manifest_at_release:
                    lane.queue_definitions(0, manifest())
            except OSError:
                return  # it is dead, or has to do without
            self.flush(lane)

    def _pickle(self, tasks: list[int]) -> Batch | None:
        """Return a batch of the first of these tasks.

        If it cannot be made, return None: a single task is settled then, and several are queued
        again, to be tried alone.
        """
        try:
            return self._source.pickle(tasks)
        except BaseException as error:
            raise_interrupt(error)
            if len(tasks) == 1:
                what = f"the {self._source.item_is} cannot be pickled: "
                self._outcomes.refused(tasks[0], Err(*describe(error, what)))
            else:
                self._schedule.send_alone(tasks)
            return None

    def flush(self, lane: Lane) -> None:
        """Write what is queued for a lane, as far as its pipe takes it."""
        try:
            is_done = lane.flush()
        except BrokenPipeError:
            is_done = True  # its death will be noticed, and its tasks sent to another lane
        blocked: set[Any] = self._poller.write_blocked
        if not is_done:
            self._poller.add_write_blocked(lane)
        elif blocked:
            self._poller.remove_write_blocked(lane)
