"""The whole engine over lanes without processes, on a clock of its own: thousands of interleavings.

Lanes start, fail to start, run scripts, die in each of the ways in which workers die, are killed
from outside and block; runs are cancelled, closed, left early and interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from fake_lanes import FakeLane, FakePoller, FakeWorld, Script, ScriptSource
from hypothesis import given, settings
from hypothesis import strategies as st

from enact_pool import Err, Ok, ParallelResult
from enact_pool._core.observer import Hooks
from enact_pool._engine.run import run
from enact_pool._engine.run_control import RunControl
from enact_pool._engine.setup import NO_EXTRAS
from enact_pool._lanes.lane_pool import LanePool, PoolClosed
from enact_pool._lanes.spawn import Initializer, WorkerSpec
from enact_pool._model.limits import Limits, LimitViolation
from enact_pool._model.results import outcome_of

SCRIPTS = st.builds(
    Script,
    seconds=st.sampled_from([1e-6, 1e-4, 1e-3, 0.05, 1.0]),
    ends=st.sampled_from(["returns"] * 12 + ["raises", "dies", "hangs"]),
    loads=st.sampled_from(["well"] * 20 + ["fails", "dies", "unpicklable"]),
)


@define
class Action:
    """Something that happens from outside, so many seconds after the run began."""

    what: str
    seconds: float
    lane: int = 0


DEEDS = st.builds(
    Action,
    what=st.sampled_from(["kill", "kill", "block", "cancel", "close", "violation"]),
    seconds=st.sampled_from([0.0, 1e-4, 0.01, 0.06, 0.1, 0.3, 1.0]),
    lane=st.integers(0, 3),
)


class Validator:
    """An observer that looks at each step whether the engine contradicts itself."""

    def __init__(self, pool: LanePool) -> None:
        self._pool = pool
        self.steps = 0
        self.settled: dict[int, ParallelResult[Any]] = {}

    def run_started(self, control: RunControl) -> None:
        self._control = control

    def tasks_settled(self, tasks: Any, names: Any, results: Any, texts: Any) -> None:
        for task, name, result in zip(tasks, names, results, strict=True):
            assert task not in self.settled, "a task is settled once"
            assert name == f"script {task}"
            self.settled[task] = result

    def tick(self) -> float:
        self.steps += 1
        assert self.steps < 100_000, "the run makes no progress"
        schedule, lanes = self._control._schedule, self._control._lanes
        schedule.validate()
        states = lanes.states
        assert states.hungry <= states.working
        assert states.idle <= states.working
        assert not states.working & states.starting
        assert states.working == schedule.lanes.keys()
        self._pool.book.validate()
        return float("inf")


@define
class Case:
    """One run, and what came of it."""

    scripts: list[Script]
    workers: int
    limit: int
    ordered: bool
    chunk: int
    actions: list[Action]
    failing_starts: int = 0
    stillborn: int = 0
    fail_fast: bool = False
    max_tasks: int | None = None
    leaves_after: int | None = None
    interrupted_at: int | None = None
    world: FakeWorld = field(factory=FakeWorld)
    results: list[ParallelResult[Any]] = field(factory=list)
    ended: str = "by itself"

    def play(self) -> Validator:
        """Do the run, and close the pool."""
        world = self.world
        world.failing_starts, world.stillborn = self.failing_starts, self.stillborn
        scripts = dict(enumerate(self.scripts))
        spec = WorkerSpec(initializer=Initializer(None, ()), depth=1)
        pool = LanePool(
            spec,
            self.workers,
            self.workers,
            make_lane=lambda number: FakeLane(world, scripts, number),
            clock=world.clock,
        )
        validator = Validator(pool)
        for action in self.actions:
            world.at(action.seconds, self._act(pool, action))
        # A callable that hangs is ended by a limit.
        for seconds in range(2, 400, 2):
            world.at(float(seconds), lambda: self._enforce())
        poller = FakePoller(world)
        if self.interrupted_at is not None:
            self._interrupt(poller, self.interrupted_at)
        generator = run(
            pool,
            ScriptSource(self.scripts, self.chunk),
            self.limit,
            Limits(max_tasks_per_worker=self.max_tasks, fail_fast=self.fail_fast),
            NO_EXTRAS,
            Hooks([validator]),
            ordered=self.ordered,
            poller=poller,  # type: ignore[arg-type]
            clock=world.clock,
        )
        try:
            for results in generator:
                self.results += results
                if self.leaves_after is not None and len(self.results) >= self.leaves_after:
                    generator.close()
                    self.ended = "left"
                    break
        except PoolClosed:
            self.ended = "closed"
        except KeyboardInterrupt:
            self.ended = "interrupted"
        assert not pool.book.runs, "the run has left the pool"
        assert {pool.book.state(lane) for lane in pool.lanes()} <= {"idle"}
        pool.close()
        assert not pool.lanes()
        assert all(lane.state in ("new", "reaped") for lane in world.lanes)
        return validator

    def _act(self, pool: LanePool, action: Action) -> Callable[[], object]:
        def act() -> None:
            lanes = [lane for lane in self.world.lanes if lane.is_there]
            if action.what == "cancel":
                pool.cancel("a test")
            elif action.what == "close":
                pool.close()
            elif action.what == "violation":
                self._enforce()
            elif lanes:
                lane = lanes[action.lane % len(lanes)]
                if action.what == "kill":
                    lane.kill()
                else:
                    lane.blocked = True

        return act

    def _enforce(self) -> None:
        for lane in self.world.lanes:
            activity = lane.notes.activity
            if lane.is_there and activity is not None:
                lane.kill_for_violation(activity, LimitViolation.of_time(1.0))

    def _interrupt(self, poller: FakePoller, at: int) -> None:
        original, waits = poller.wait, [0]

        def wait(seconds: float, *, spin: bool) -> list[tuple[int, int]]:
            waits[0] += 1
            if waits[0] == at:
                raise KeyboardInterrupt
            return original(seconds, spin=spin)

        poller.wait = wait  # type: ignore[method-assign]


CASES = st.builds(
    Case,
    scripts=st.lists(SCRIPTS, max_size=40),
    workers=st.integers(1, 4),
    limit=st.integers(1, 4),
    ordered=st.booleans(),
    chunk=st.sampled_from([0, 0, 1, 7]),
    actions=st.lists(DEEDS, max_size=4),
    failing_starts=st.sampled_from([0, 0, 0, 1, 2, 5]),
    stillborn=st.sampled_from([0, 0, 0, 1, 2, 5]),
    fail_fast=st.sampled_from([False, False, True]),
    max_tasks=st.sampled_from([None, None, 1, 3]),
    leaves_after=st.sampled_from([None, None, None, 1, 5]),
    interrupted_at=st.sampled_from([None, None, None, None, 1, 2, 5, 9]),
)


@settings(max_examples=15 * settings().max_examples, deadline=None)
@given(CASES)
def test_a_run_ends_well_whatever_happens_to_it(case: Case) -> None:
    validator = case.play()
    for script in case.scripts:
        assert script.started <= 1, "each task is started at most once"
    if case.ended != "by itself":
        return
    assert len(case.results) == len(validator.settled)
    cancelled = case.fail_fast or any(action.what == "cancel" for action in case.actions)
    if not (cancelled and case.chunk):
        assert len(case.results) == len(case.scripts), "each task has a result"
    if case.ordered:
        expected = [validator.settled[task] for task in range(len(case.results))]
        assert [id(result) for result in case.results] == [id(result) for result in expected]
    kills = sum(action.what in ("kill", "violation") for action in case.actions)
    # Three starts in a row that fail cost all tasks; a worker may be killed as it starts.
    disturbed = case.failing_starts + case.stillborn + kills >= 3 or cancelled
    unexpected = 0
    for task, result in validator.settled.items():
        script, outcome = case.scripts[task], outcome_of(result)
        if outcome == "ok":
            assert script.started == 1
            assert script.ends == "returns"
            assert result.output == Ok(None)
        expected_outcome = expected_of(script)
        if outcome == "cancelled":
            assert cancelled
        elif outcome != expected_outcome:
            # Nothing but what came from outside may cost a result, and each of these one per lane.
            assert outcome == "crashed"
            unexpected += 1
    if not disturbed:
        slow = sum(script.seconds >= 1.0 for script in case.scripts)
        assert unexpected <= kills * case.workers + slow


def expected_of(script: Script) -> str:
    """What a script ends as if nothing comes from outside."""
    if script.loads in ("fails", "unpicklable"):
        return "failed"
    if script.loads == "dies" or script.ends in ("dies", "hangs"):
        return "crashed"
    return "failed" if script.ends == "raises" else "ok"


@settings(max_examples=3 * settings().max_examples, deadline=None)
@given(st.lists(SCRIPTS, max_size=30), st.integers(1, 4), st.booleans(), st.sampled_from([0, 3]))
def test_without_disturbance_each_task_ends_as_it_should(
    scripts: list[Script], workers: int, ordered: bool, chunk: int
) -> None:
    for script in scripts:
        script.seconds = min(script.seconds, 0.05)
    case = Case(scripts, workers, workers, ordered, chunk, [])
    validator = case.play()
    outcomes = {task: outcome_of(result) for task, result in validator.settled.items()}
    assert outcomes == {task: expected_of(script) for task, script in enumerate(scripts)}
    for task, result in validator.settled.items():
        if outcomes[task] == "crashed":
            assert result.error is not None
            assert result.error.details["index"] == task
        elif outcomes[task] == "failed":
            assert isinstance(result.output, Err)


def test_workers_that_never_start_cost_no_more_than_the_results() -> None:
    case = Case([Script() for _ in range(5)], 2, 2, True, 0, [], failing_starts=99)
    validator = case.play()
    assert [outcome_of(result) for result in case.results] == ["crashed"] * 5
    assert validator.settled[0].error is not None
    assert validator.settled[0].error.code == "start_failed"
    assert case.world.now > 100.1, "there is a pause between two tries"


def test_tasks_behind_a_slow_one_are_revoked_for_an_idle_lane() -> None:
    scripts = [Script(1e-4) for _ in range(200)]
    scripts[100] = Script(0.5)
    case = Case(scripts, 2, 2, True, 0, [])
    case.play()
    assert [outcome_of(result) for result in case.results] == ["ok"] * 200
    # The start of the workers, the slow task, and how long the run waits before it closes.
    assert case.world.now < 100 + 0.05 + 0.5 + 0.1, "no task waits behind the slow one for long"
