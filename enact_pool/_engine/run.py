"""One run: the loop that drives some lanes, in its caller's thread, until all tasks are settled.

    source --> schedule --> Feeder --> lanes
                  ^                      |
                  |                      v
    hooks <-- ReleaseOrder <-- Outcomes <-- Waiter, AnswerReader

The loop decides nothing about the order or the fate of tasks: see `schedule`. What a run is in:

    state          what it means                                         next
    ------------   ---------------------------------------------------   --------------------------
    created        its generator was not started                         running ending
    running        the loop goes on; now and then in code of the user's  cancelling winding_down
                                                                         ending
    cancelling     what runs is killed, nothing is started               winding_down ending
    winding_down   its generator was closed: what runs may end           ending
    ending         lanes are released                                    ended
    ended

An interrupt may end a run in any state. A run that an interrupt has kept from ending is marked as
lost; the next run of its thread ends it. In a forked child, a run ends without touching the lanes,
which are its parent's.
"""

from __future__ import annotations

import atexit
import inspect
import os
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

from enact_pool._core.observer import NO_HOOKS, Hooks
from enact_pool._core.release_order import ReleaseOrder
from enact_pool._core.schedule import Schedule
from enact_pool._core.states import IllegalTransition
from enact_pool._core.timing import WIND_DOWN_SECONDS
from enact_pool._engine.answers import AnswerReader
from enact_pool._engine.feeding import Feeder
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.poller import LanePoller
from enact_pool._engine.run_control import RunControl
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.setup import RunExtras, SetupSender
from enact_pool._engine.task_source import TaskSource
from enact_pool._engine.waiting import Waiter
from enact_pool._lanes.base import Lane
from enact_pool._lanes.lane_pool import LanePool
from enact_pool._model.limits import Limits
from enact_pool._model.results import ParallelResult

__all__ = ["Results", "gathered", "one_by_one", "run", "run_through"]

# Lists of results, in order of release; it returns what the emitter or the iterable raised.
Results = Generator[list[ParallelResult[Any]], None, "BaseException | None"]

RunState = Literal["created", "running", "cancelling", "winding_down", "ending", "ended"]

_NEXT: dict[RunState, frozenset[RunState]] = {
    "created": frozenset(("running", "ending", "ended")),
    "running": frozenset(("cancelling", "winding_down", "ending", "ended")),
    "cancelling": frozenset(("winding_down", "ending", "ended")),
    "winding_down": frozenset(("ending", "ended")),
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
        finally:
            this.end()
    return this.error


def gathered(results: Results) -> list[ParallelResult[Any]]:
    """Return all results; raise what the run raised, with them in its attribute `results`."""
    all_results: list[ParallelResult[Any]] = []
    try:
        while True:
            all_results += next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        # Not when the traceback is dropped: the generator holds lanes.
        results.close()
    if error is not None:
        vars(error)["results"] = all_results
        raise error
    return all_results


# Generators that nobody has closed. In the interpreter's finalization they could not end their
# run any more.
_unfinished: weakref.WeakSet[Generator[Any, None, None]] = weakref.WeakSet()


@atexit.register
def _close_unfinished() -> None:
    for results in list(_unfinished):
        if inspect.getgeneratorstate(results) == inspect.GEN_SUSPENDED:
            results.close()


def one_by_one(results: Results) -> Generator[ParallelResult[Any], None, None]:
    """Return a generator of each result when it is released.

    It raises in the end what the run raised.
    """
    generator = _one_by_one(results)
    _unfinished.add(generator)
    return generator


def _one_by_one(results: Results) -> Generator[ParallelResult[Any], None, None]:
    try:
        while True:
            yield from next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error


def run_through(results: Results) -> None:
    """Drop all results: observers receive them. Raise in the end what the run raised."""
    try:
        while True:
            next(results)
    except StopIteration as end:
        error: BaseException | None = end.value
    finally:
        results.close()
    if error is not None:
        raise error


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
        self._fails_fast = limits.fail_fast
        self._extras = extras
        self._hooks = hooks
        self._clock = clock
        self._state: RunState = "created"
        self._is_shared = False
        self._workload_key = source.workload_key
        seconds = pool.pace.expected_seconds(self._workload_key)
        schedule: Schedule[Lane] = Schedule(seconds)
        self._schedule = schedule
        self._order: ReleaseOrder[ParallelResult[Any]] = ReleaseOrder(ordered)
        poller = poller or LanePoller()
        outcomes = self._outcomes = Outcomes(self._order, source, hooks)
        lanes = self.lanes = RunLanes(pool, schedule, limit, limits, hooks, poller, clock)
        self._states = lanes.states
        self._reader = AnswerReader(schedule, outcomes, lanes, source, hooks, poller)
        self._feeder = Feeder(schedule, outcomes, lanes, source, hooks, poller, clock)
        self._waiter = Waiter(
            schedule,
            self._order,
            outcomes,
            lanes,
            self._reader,
            self._feeder,
            source,
            hooks,
            poller,
            pool.spins,
            clock,
        )
        if source.doorbell is not None:
            poller.add_doorbell(source.doorbell)
        self._limit = limit

    def _become(self, state: RunState) -> None:
        if state not in _NEXT[self._state]:
            raise IllegalTransition(f"a run that is {self._state} cannot become {state}")
        self._state = state

    # The loop

    def drive(self) -> Iterator[list[ParallelResult[Any]]]:
        """Run everything, until all results are released."""
        source, order, lanes, hooks = self._source, self._order, self.lanes, self._hooks
        self._pool.enter(lanes)
        self._become("running")
        if hooks.run_started:
            control = RunControl(self._schedule, self._outcomes, lanes, source, self._limit)
            for started in hooks.run_started:
                started(control)
        self._submit(source.pulled)
        while True:
            if lanes.cancel_reason or self._fails_fast:
                self._cancel_if_due()
            if order.unsettled or not source.exhausted:
                if source.is_lazy and (wanted := self._wanted()):
                    self._pull(wanted)
                self._feeder.feed_all()
                if lanes.cancel_reason or self._fails_fast:
                    self._cancel_if_due()
            tasks, results = order.release() if order.held else ((), [])
            if results or hooks.pending:
                self._enter_user_code()
                try:
                    if hooks.pending:
                        for deliver in hooks.deliver:
                            deliver()
                    if results:
                        for released in hooks.results_released:
                            released(tasks, results)
                        yield results
                finally:
                    self._leave_user_code()
                # The run may wait for long, and must not keep what its caller has dropped.
                tasks, results = (), []
            if order.released == order.submitted and source.exhausted:
                return
            if source.is_lazy:
                # Before it is asked for more: the doorbell is rung for what comes in between.
                source.listen(self._room() > 0)
                self._waiter.wait(0.0 if self._wanted() else None)
                source.listen(False)
            else:
                self._waiter.wait(None)

    def _enter_user_code(self, *, shared: bool = True) -> None:
        """Note that user code runs now: it may take any time, fork, print, or run tasks.

        `shared`: whether other threads may use the run meanwhile.
        """
        lanes, hooks = self.lanes, self._hooks
        if lanes.enforcer is not None and self._order.unsettled:
            lanes.keep_limits(now=True)
        lanes.away_since = self._clock()
        lanes.unseen_since_ns = lanes.unseen_since_ns or time.monotonic_ns()
        for hook in hooks.user_code:
            hook(True)
        self._is_shared = shared
        if shared:
            for sharing in hooks.sharing:
                sharing(True)

    def _leave_user_code(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked in a run, which its parent has")
        if self._is_shared:
            for sharing in self._hooks.sharing:
                sharing(False)
        self.lanes.away_since = 0.0
        for hook in self._hooks.user_code:
            hook(False)

    def _cancel_if_due(self) -> None:
        """If the run is cancelled: kill its workers, and settle tasks without an outcome."""
        lanes = self.lanes
        if self._fails_fast and self._outcomes.has_failed and not lanes.cancel_reason:
            lanes.cancel_reason = "an outcome was not Ok, and fail_fast was asked for"
        order = self._order
        if not lanes.cancel_reason or (
            order.released == order.submitted and self._source.exhausted
        ):
            return
        if self._state == "running":
            self._become("cancelling")
        self._source.stop()
        busy = self._states.busy()
        for lane in busy:
            lane.kill()
        for lane in busy:
            self._waiter.examine_death(lane)
        self._outcomes.cancelled(self._schedule.abandon_queue(), lanes.cancel_reason)

    # Tasks come in

    def _wanted(self) -> int:
        """Return how many more tasks to take, so that no lane waits for them."""
        return self._room() if self._source.has_more else 0

    def _room(self) -> int:
        if self._order.is_full:
            return 0
        return self._schedule.wanted(len(self._states.working) or self._limit)

    def _pull(self, wanted: int) -> None:
        self._enter_user_code(shared=False)
        try:
            count = self._source.pull(wanted)
        finally:
            self._leave_user_code()
        self._submit(count)
        self._states.hungry.update(self._states.idle)

    def _submit(self, count: int) -> None:
        tasks = self._schedule.submit(count)
        self._order.submit(count)
        self._outcomes.expect(tasks)
        setup = self._feeder.setup
        if count and setup is None:
            if self._hooks.call_wrappers:
                # They are asked for while the first event is emitted.
                self._deliver()
            setup = self._feeder.setup = SetupSender(self._source, self._extras, self._hooks)
        if setup is not None and setup.refusal is not None:
            for task in self._schedule.abandon_queue():
                self._outcomes.refused(task, setup.refusal)

    def _deliver(self) -> None:
        self._enter_user_code(shared=False)
        try:
            for deliver in self._hooks.deliver:
                deliver()
        finally:
            self._leave_user_code()

    # The end

    def wind_down(self) -> None:
        """Start nothing more, and let running tasks end for a moment."""
        if os.getpid() != self._pid:
            return
        if self._state in ("running", "cancelling"):
            self._become("winding_down")
        self._schedule.abandon_queue()
        for lane in self._states.busy():
            self._schedule.revoked(lane, lane.revoke())
        self._schedule.abandon_queue()
        ends = self._clock() + WIND_DOWN_SECONDS
        while self._states.busy() and (left := ends - self._clock()) > 0:
            self._waiter.wait(left)

    def settle(self) -> None:
        """Take what was logged by now, and release the lanes that have nothing to do."""
        self._become("ending")
        lanes = self.lanes
        lanes.away_since = 0.0
        if os.getpid() != self._pid:
            return
        if self._hooks.log_received:
            for lane in self._states.working:
                self._reader.read_side(lane)
        sizing = self._schedule.sizing
        if sizing.measured_tasks:
            self._pool.pace.remember(self._workload_key, sizing.mean_seconds)
        setup = self._feeder.setup
        takes_back = bool(self._hooks.manifest_at_release) or (
            setup is not None and setup.needs_taking_back
        )
        for lane in lanes.quiescent():
            if takes_back:
                self._feeder.take_back(lane)
            if lanes.enforcer is not None:
                lanes.enforcer.forget(lane)
            self._pool.release(lane)

    def let_go(self) -> None:
        """Kill the workers of lanes that were not released; in a forked child, do nothing.

        If an interrupt comes in between, it can be called again.
        """
        setup = self._feeder.setup
        if setup is not None and setup.is_large:
            setup.close()
        if os.getpid() == self._pid:
            self.lanes.disband()

    def end(self) -> None:
        """Notify the observers that the run is over."""
        self._become("ended")
        if os.getpid() == self._pid:
            for ended in self._hooks.run_ended:
                ended()

    @property
    def error(self) -> BaseException | None:
        """The exception to raise in the end, or None."""
        hooks = self._hooks
        error = None if hooks is NO_HOOKS else hooks.error
        return self.lanes.error or error or self._source.error
