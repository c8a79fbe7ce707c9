"""Who has which lane: every order of what runs and threads do with a pool."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enact_pool._core.leasing import LeaseBook
from enact_pool._core.sharing import LeaseHolder
from enact_pool._core.states import IllegalTransition
from enact_pool._core.timing import AWAY_SECONDS, TURN_SECONDS


@define(eq=False)
class Run(LeaseHolder):
    """A run of a thread, with the lanes that it has by its own account."""

    thread: int
    away_since: float = 0.0
    lanes: list[str] = field(factory=list)


class Leasing(RuleBasedStateMachine):
    """A book, and what must be true of it by the accounts of the runs."""

    def __init__(self) -> None:
        super().__init__()
        self.book: LeaseBook[str, Run] = LeaseBook(2)
        self.now = 100.0
        self.runs: list[Run] = []
        self.made = 0
        # Lanes that are about to end: nothing leases them any more.
        self.ending: set[str] = set()

    @rule(thread=st.integers(1, 3))
    def a_run_begins(self, thread: int) -> None:
        if len(self.runs) < 5 and not self.book.closed:
            run = Run(thread)
            self.book.runs[run] = thread
            self.runs.append(run)

    @rule(seconds=st.sampled_from([0.01, TURN_SECONDS * 2, AWAY_SECONDS * 2]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_run_acquires(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        idle = set(self.book.idle())
        found = self.book.acquire(run, self.now)
        if found == "wait":
            assert not idle, "an idle lane is leased at once"
            self.book.wait(run)
            return
        if found == "start":
            assert not idle
            lane = f"lane {self.made}"
            self.made += 1
            self.book.start(lane, self.book.next_number(), run, self.now)
        else:
            lane = found
            assert lane in idle
        assert lane not in self.ending
        run.lanes.append(lane)

    @precondition(lambda self: any(run.lanes for run in self.runs))
    @rule(data=st.data())
    def a_run_releases(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.lanes]))
        lane = run.lanes.pop()
        to = self.book.release(lane, run.thread, self.now)
        if to == "drain":
            self.ending.add(lane)
        elif to == "idle":
            assert not self.book.closed
            assert self.book.state(lane) == "idle"
        else:
            assert to in self.runs
            assert self.book.state(lane) == "offered"
            assert to not in self.book.waiting

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_run_collects(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        for lane in self.book.collect(run, self.now):
            assert lane not in self.ending
            run.lanes.append(lane)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_run_ends(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self.runs.remove(run)
        left = self.book.leave(run, self.now)
        if left is None:
            assert not run.lanes
            assert run not in self.book.runs
            return
        assert set(run.lanes) <= set(left.held)
        for lane in left.held:
            self.book.discard(lane, self.now)
            self.ending.discard(lane)
        self.ending |= set(left.surplus)
        for lane in left.offered:
            if self.book.release(lane, run.thread, self.now) == "drain":
                self.ending.add(lane)
        self.book.forget(run)

    @precondition(lambda self: self.ending)
    @rule()
    def a_worker_is_gone(self) -> None:
        lane = self.ending.pop()
        for run in self.runs:
            if lane in run.lanes:
                run.lanes.remove(lane)
        self.book.discard(lane, self.now)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), away=st.booleans())
    def code_of_a_caller_runs(self, data: st.DataObject, away: bool) -> None:
        data.draw(st.sampled_from(self.runs)).away_since = self.now if away else 0.0

    @rule()
    def idle_workers_are_ended(self) -> None:
        self.ending |= set(self.book.drain_idle())

    @rule(only_leased=st.booleans())
    def workers_are_killed(self, only_leased: bool) -> None:
        doomed = self.book.doom(only_leased=only_leased)
        self.ending |= set(doomed)
        if not only_leased:
            assert set(doomed) == set(self.book.lanes())

    @precondition(lambda self: not self.runs)
    @rule()
    def the_pool_is_closed(self) -> None:
        self.ending |= set(self.book.close())
        assert set(self.book.lanes()) == self.ending

    @invariant()
    def nothing_contradicts_itself(self) -> None:
        self.book.validate()

    @invariant()
    def a_lane_has_one_run(self) -> None:
        held = [lane for run in self.runs for lane in run.lanes]
        assert len(set(held)) == len(held)
        for lane in held:
            assert self.book.state(lane) in ("leased", "draining", "doomed")

    @invariant()
    def no_lane_is_lost(self) -> None:
        known = {lane for run in self.runs for lane in run.lanes} | self.ending
        for lane in self.book.lanes():
            assert lane in known or self.book.state(lane) in ("idle", "offered")

    @invariant()
    def there_are_no_more_lanes_than_needed(self) -> None:
        """One above the limit for each run that waits for its own thread, or whose lanes are
        with a run that is away."""
        going_on = [lane for lane in self.book.lanes() if lane not in self.ending]
        assert len(going_on) <= self.book.limit * (1 + len(self.book.runs) + 5)


TestLeasing = Leasing.TestCase
TestLeasing.settings = settings(
    max_examples=3 * settings().max_examples, stateful_step_count=60, deadline=None
)


def book_with(limit: int, *runs: Run) -> LeaseBook[str, Any]:
    book: LeaseBook[str, Any] = LeaseBook(limit)
    for run in runs:
        book.runs[run] = run.thread
    return book


def test_with_more_runs_than_lanes_each_has_its_turn() -> None:
    one, other = Run(1), Run(2)
    book = book_with(1, one, other)
    assert book.acquire(one, 0.0) == "start"
    book.start("lane", book.next_number(), one, 0.0)
    assert book.acquire(other, 0.0) == "wait"
    assert not book.is_due("lane", 1, TURN_SECONDS * 2), "no run waits"
    book.wait(other)
    assert not book.is_due("lane", 1, TURN_SECONDS / 2)
    assert book.is_due("lane", 1, TURN_SECONDS * 2)
    assert book.release("lane", 1, 1.0) is other
    assert book.collect(other, 1.0) == ["lane"]
    assert not book.knows(other)


def test_a_run_with_more_than_its_share_releases_lanes() -> None:
    one, other = Run(1), Run(2)
    book = book_with(4, one, other)
    for number in range(4):
        assert book.acquire(one, 0.0) == "start"
        book.start(f"lane {number}", book.next_number(), one, 0.0)
    assert book.acquire(other, 0.0) == "wait"
    book.wait(other)
    assert book.has_to_share(3, 0.0)
    assert not book.has_to_share(2, 0.0)
    assert book.is_due("lane 0", 3, 0.0)
    assert not book.is_due("lane 0", 2, TURN_SECONDS * 2), "there are as many lanes as runs"


def test_lanes_of_a_run_that_is_away_are_not_waited_for() -> None:
    away, other = Run(1, away_since=1.0), Run(2)
    book = book_with(1, away, other)
    book.start("lane", book.next_number(), away, 0.0)
    assert book.acquire(other, 1.0 + AWAY_SECONDS / 2) == "wait"
    assert book.acquire(other, 1.0 + AWAY_SECONDS * 2) == "start"


def test_a_run_that_is_away_is_not_rung_for() -> None:
    away, other, third = Run(1), Run(2), Run(3)
    book = book_with(1, away, other, third)
    book.start("lane", book.next_number(), third, 0.0)
    book.wait(away)
    book.wait(other)
    away.away_since = 1.0
    assert book.release("lane", 3, 1.0 + AWAY_SECONDS * 2) is other


def test_a_nested_run_has_one_lane_above_the_limit() -> None:
    outer, inner = Run(1), Run(1)
    book = book_with(1, outer)
    book.start("outer", book.next_number(), outer, 0.0)
    book.runs[inner] = 1
    assert book.acquire(inner, 0.0) == "start"
    book.start("inner", book.next_number(), inner, 0.0)
    assert book.acquire(inner, 0.0) == "wait", "one is enough"
    assert book.release("inner", 1, 0.0) == "idle", "it is kept for the next one"
    assert book.leave(inner, 0.0) is None
    assert book.release("outer", 1, 0.0) == "drain", "there are more than the limit"


def test_a_lane_that_ends_gives_its_number_to_the_next() -> None:
    run = Run(1)
    book = book_with(3, run)
    for lane in ("a", "b", "c"):
        book.start(lane, book.next_number(), run, 0.0)
    assert book.next_number() == 3
    book.drained("b")
    assert book.next_number() == 1


def test_a_lane_cannot_come_back() -> None:
    run = Run(1)
    book = book_with(1, run)
    book.start("lane", 0, run, 0.0)
    book.drained("lane")
    with pytest.raises(IllegalTransition, match="draining cannot become draining"):
        book.drained("lane")


def test_no_run_begins_in_a_closed_pool_and_no_lane_stays() -> None:
    run = Run(1)
    book = book_with(2, run)
    book.start("idle", 0, run, 0.0)
    book.start("leased", 1, run, 0.0)
    assert book.release("idle", 1, 0.0) == "idle"
    assert book.close() == ["idle"]
    assert book.closed
    assert book.release("leased", 1, 0.0) == "drain"
    assert book.close() == ["idle"], "the other one is its run's to end"


def test_a_lane_that_was_offered_to_a_run_that_ends_is_offered_to_the_next() -> None:
    first, second, third = Run(1), Run(2), Run(3)
    book = book_with(1, first, second, third)
    book.start("lane", book.next_number(), first, 0.0)
    book.wait(second)
    book.wait(third)
    assert book.release("lane", 1, 0.0) is second
    left = book.leave(second, 0.0)
    assert left is not None
    assert left.offered == ["lane"]
    assert book.release("lane", 2, 0.0) is third
    assert book.collect(third, 0.0) == ["lane"]


def test_a_run_that_ends_leaves_what_it_has() -> None:
    run, other = Run(1), Run(2)
    book = book_with(3, run, other)
    for number, lane in enumerate(("leased", "drained", "offered")):
        book.start(lane, number, other if lane == "offered" else run, 0.0)
    book.drained("drained")
    book.wait(run)
    assert book.release("offered", 2, 1.0) is run
    left = book.leave(run, 2.0)
    assert left is not None
    assert (left.held, left.offered, left.surplus) == (["leased", "drained"], ["offered"], [])
    assert left.next_waiting is None
    assert [book.state(lane) for lane in ("leased", "drained", "offered")] == [
        "doomed",
        "draining",
        "offered",
    ]
    assert run in book.runs
    book.forget(run)
    book.forget(run)
    assert run not in book.runs


def test_a_run_that_ends_without_anything_is_forgotten() -> None:
    run = Run(1)
    book = book_with(1, run)
    book.wait(run)
    assert book.leave(run, 0.0) is None
    assert run not in book.runs
    assert not book.waiting


def test_what_was_needed_above_the_limit_is_drained_at_the_end() -> None:
    outer, inner = Run(1), Run(1)
    book = book_with(1, outer, inner)
    book.start("outer", 0, outer, 0.0)
    book.start("inner", 1, inner, 0.0)
    assert book.release("inner", 1, 0.0) == "idle"
    assert book.leave(inner, 0.0) is None, "the outer run may need it for another one"
    left = book.leave(outer, 1.0)
    assert left is not None
    assert (left.held, left.surplus) == (["outer"], []), "without the other there is no surplus"
    assert book.state("inner") == "idle"


def test_idle_lanes_above_the_limit_are_drained_when_no_run_needs_them() -> None:
    outer, inner = Run(1), Run(1)
    book = book_with(1, outer, inner)
    book.start("outer", 0, outer, 0.0)
    book.start("inner", 1, inner, 0.0)
    assert book.release("inner", 1, 0.0) == "idle"
    assert book.leave(inner, 0.0) is None
    assert book.release("outer", 1, 0.0) == "drain"
    assert book.leave(outer, 1.0) is not None
    book = book_with(1, outer)
    for number in range(3):
        book.start(f"lane {number}", number, outer, 0.0)
        book.runs[inner] = 1
        assert book.release(f"lane {number}", 1, 0.0) == "idle"
    del book.runs[inner]
    left = book.leave(outer, 1.0)
    assert left is not None
    assert (left.held, left.offered, left.surplus) == ([], [], ["lane 2", "lane 1"])
    assert [book.state(lane) for lane in book.lanes()] == ["idle", "draining", "draining"]
    assert book.acquire(outer, 2.0) == "lane 0"


def test_the_next_run_is_rung_for_when_a_lane_is_idle_or_may_start() -> None:
    first, second, third = Run(1), Run(2), Run(3)
    book = book_with(1, first, second, third)
    book.start("lane", 0, third, 0.0)
    book.wait(first)
    book.wait(second)
    assert book.leave(first, 0.0) is None, "the only lane is in use"
    assert list(book.waiting) == [second]
    book.discard("lane", 0.0)
    book.wait(second)
    left = book.leave(third, 0.0)
    assert left is not None
    assert left.next_waiting is second
    assert not book.waiting
    book = book_with(1, first, second)
    book.start("lane", 0, first, 0.0)
    assert book.release("lane", 1, 0.0) == "idle"
    book.wait(second)
    left = book.leave(first, 0.0)
    assert left is not None
    assert left.next_waiting is second


def test_lanes_that_end_leave_room_for_the_next_run() -> None:
    first, second = Run(1), Run(2)
    book = book_with(1, first, second)
    book.start("lane", 0, first, 0.0)
    book.drained("lane")
    book.wait(second)
    left = book.leave(first, 0.0)
    assert left is not None
    assert (left.held, left.next_waiting) == (["lane"], second)


def test_the_lane_that_was_used_last_is_leased_first() -> None:
    run = Run(1)
    book = book_with(2, run)
    for number, lane in enumerate("ab"):
        book.start(lane, number, run, 0.0)
    for lane in "ba":
        assert book.release(lane, 1, 0.0) == "idle"
    assert book.idle() == ["a", "b"]
    assert book.acquire(run, 5.0) == "a"
    assert book.idle() == ["b"]
    assert book.state("a") == "leased"
    assert book.acquire(run, 5.0) == "b"
    assert book.acquire(run, 5.0) == "wait"


def test_what_an_interrupt_left_among_the_idle_lanes_is_passed_over() -> None:
    run = Run(1)
    book = book_with(3, run)
    for number, lane in enumerate("abc"):
        book.start(lane, number, run, 0.0)
        assert book.release(lane, 1, 0.0) == "idle"
    book.drained("c")
    book.discard("b", 0.0)
    assert book.acquire(run, 0.0) == "a"
    assert book.acquire(run, 0.0) == "start"


def test_a_run_waits_once() -> None:
    run = Run(1)
    book = book_with(1, run)
    assert not book.knows(run)
    book.wait(run)
    book.wait(run)
    assert list(book.waiting) == [run]
    assert book.knows(run)


def test_a_run_that_was_offered_a_lane_is_known_until_it_collects() -> None:
    run, other, third = Run(1), Run(2), Run(3)
    book = book_with(2, run, other, third)
    for number, lane in enumerate("ab"):
        book.start(lane, number, run, 0.0)
    book.wait(other)
    book.wait(third)
    assert book.release("a", 1, 1.0) is other
    assert not book.waiting or list(book.waiting) == [third]
    assert book.knows(other)
    assert book.collect(third, 2.0) == []
    assert book.collect(other, 2.0) == ["a"]
    book.validate()
    assert not book.knows(other)
    assert book.state("a") == "leased"
    assert not book.is_due("a", 1, 2.0 + TURN_SECONDS * 0.9), "it has it since 2.0"
    assert book.is_due("a", 1, 2.0 + TURN_SECONDS * 1.1)


def test_lanes_that_are_gone_or_end_are_not_taken_back() -> None:
    run = Run(1)
    book = book_with(3, run)
    assert book.release("unknown", 1, 0.0) == "drain"
    book.start("draining", 0, run, 0.0)
    book.drained("draining")
    assert book.release("draining", 1, 0.0) == "drain"
    book.start("doomed", 1, run, 0.0)
    assert book.doom(only_leased=True) == ["draining", "doomed"]
    assert book.release("doomed", 1, 0.0) == "drain"
    book.drained("doomed")
    book.drained("unknown")
    assert book.state("doomed") == "doomed"
    assert book.state("unknown") == "gone"


def test_lanes_above_the_limit_are_drained_when_they_are_released() -> None:
    run = Run(1)
    book = book_with(1, run)
    for number, lane in enumerate("abc"):
        book.start(lane, number, run, 0.0)
    assert book.release("a", 1, 0.0) == "drain"
    assert book.release("b", 1, 0.0) == "drain"
    assert book.release("c", 1, 0.0) == "idle", "the others are about to end"
    assert [book.state(lane) for lane in "abc"] == ["draining", "draining", "idle"]


def test_a_lane_that_is_gone_makes_room_for_a_run_that_waits() -> None:
    run, other = Run(1), Run(2)
    book = book_with(1, run, other)
    book.start("lane", 0, run, 0.0)
    assert book.discard("unknown", 0.0) is None
    book.wait(other)
    assert book.discard("lane", 0.0) is other
    assert book.lanes() == []
    assert not book.waiting


def test_an_idle_lane_that_is_gone_is_not_leased() -> None:
    run = Run(1)
    book = book_with(1, run)
    book.start("lane", 0, run, 0.0)
    assert book.release("lane", 1, 0.0) == "idle"
    assert book.discard("lane", 0.0) is None
    assert book.acquire(run, 0.0) == "start"


def test_the_end_of_a_pool_drains_what_no_run_has() -> None:
    run, gone = Run(1), Run(2)
    book = book_with(4, run, gone)
    for number, (lane, has) in enumerate([("idle", run), ("leased", run), ("lost", gone)]):
        book.start(lane, number, has, 0.0)
    assert book.release("idle", 1, 0.0) == "idle"
    book.forget(gone)
    assert book.close() == ["idle", "lost"]
    assert [book.state(lane) for lane in ("idle", "leased", "lost")] == [
        "draining",
        "leased",
        "draining",
    ]
    assert book.closed


def test_idle_lanes_are_drained_on_request() -> None:
    run = Run(1)
    book = book_with(2, run)
    for number, lane in enumerate("ab"):
        book.start(lane, number, run, 0.0)
    assert book.release("a", 1, 0.0) == "idle"
    assert book.drain_idle() == ["a"]
    assert [book.state(lane) for lane in "ab"] == ["draining", "leased"]
    assert book.drain_idle() == ["a"], "until it is gone"
    assert not book.closed
    assert book.acquire(run, 1.0) == "start"


def test_all_lanes_or_those_of_runs_are_doomed() -> None:
    run = Run(1)
    book = book_with(2, run)
    for number, lane in enumerate("ab"):
        book.start(lane, number, run, 0.0)
    assert book.release("a", 1, 0.0) == "idle"
    assert book.doom(only_leased=True) == ["b"]
    assert book.state("a") == "idle"
    assert book.doom() == ["a", "b"]
    assert [book.state(lane) for lane in "ab"] == ["doomed", "doomed"]


def _lose_run(book: LeaseBook[str, Any], state: Any) -> None:
    lease = book._leases["leased"]
    lease.state, lease.run = state, None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda book: book._idle.clear(), "an idle lane would never be leased"),
        (lambda book: _lose_run(book, "leased"), "leased is leased by no run"),
        (lambda book: _lose_run(book, "offered"), "leased is offered by no run"),
        (lambda book: book.waiting.append(book.waiting[0]), "a run waits twice"),
        (lambda book: book.runs.clear(), "a run waits that has not begun"),
    ],
)
def test_a_contradiction_is_found(change: Any, message: str) -> None:
    run, other = Run(1), Run(2)
    book = book_with(2, run, other)
    for number, lane in enumerate(("idle", "leased")):
        book.start(lane, number, run, 0.0)
    assert book.release("idle", 1, 0.0) == "idle"
    book.wait(other)
    book.validate()
    change(book)
    with pytest.raises(AssertionError) as error:
        book.validate()
    assert str(error.value) == message


def test_an_interrupt_leaves_a_lane_idle_or_with_its_run() -> None:
    """Of an idle lane, the run may not be forgotten yet."""
    run, other = Run(1), Run(2)
    book = book_with(1, run, other)
    book.start("lane", 0, run, 0.0)
    assert book.release("lane", 1, 0.0) == "idle"
    book._leases["lane"].run = run
    run.away_since = 1.0
    assert book._present(2.0 + AWAY_SECONDS) == 1
    assert book.leave(run, 0.0) is None
    assert book.acquire(other, 0.0) == "lane"


def test_leaving_is_repeated_after_an_interrupt() -> None:
    run, inner = Run(1), Run(1)
    book = book_with(1, run)
    for number, lane in enumerate("abc"):
        book.start(lane, number, run, 0.0)
        book.runs[inner] = 1
        assert book.release(lane, 1, 0.0) == "idle"
    assert book.acquire(run, 0.0) == "c"
    del book.runs[inner]
    for held, surplus in ((["c"], ["b"]), (["b", "c"], [])):
        left = book.leave(run, 0.0)
        assert left is not None
        assert (left.held, left.surplus) == (held, surplus)


def test_what_was_drained_at_the_end_of_a_run_is_still_its_own() -> None:
    run, inner = Run(1), Run(1)
    book = book_with(1, run)
    for number, lane in enumerate("ab"):
        book.start(lane, number, run, 0.0)
        book.runs[inner] = 1
        assert book.release(lane, 1, 0.0) == "idle"
    del book.runs[inner]
    left = book.leave(run, 0.0)
    assert left is not None
    assert left.surplus == ["b"]
    left = book.leave(run, 0.0)
    assert left is not None
    assert (left.held, left.surplus) == (["b"], []), "an interrupt came before it was drained"


def test_a_run_that_was_forgotten_has_left() -> None:
    run = Run(1)
    book = book_with(1)
    assert book.leave(run, 0.0) is None


def test_only_runs_that_are_not_away_are_rung_for() -> None:
    run, away, other = Run(1), Run(2, away_since=1.0), Run(3)
    late = 2.0 + AWAY_SECONDS
    book = book_with(1, run, away, other)
    book.start("lane", 0, run, 0.0)
    book.wait(away)
    book.wait(other)
    assert book.is_due("lane", 2, late)
    assert book.discard("lane", late) is other
    book.wait(other)
    left = book.leave(run, late)
    assert left is not None
    assert left.next_waiting is other
    assert list(book.waiting) == [away]


def test_a_turn_begins_when_a_lane_is_leased() -> None:
    run, other = Run(1), Run(2)
    book = book_with(1, run, other)
    book.start("lane", 0, run, 0.0)
    book.wait(other)
    assert not book.is_due("lane", 1, TURN_SECONDS)
    assert book.is_due("lane", 1, TURN_SECONDS * 1.01)
    book.waiting.clear()
    assert book.release("lane", 1, 5.0) == "idle"
    assert book.acquire(run, 5.0) == "lane"
    book.wait(other)
    assert not book.is_due("lane", 1, 5.0 + TURN_SECONDS * 0.9)
    assert book.is_due("lane", 1, 5.0 + TURN_SECONDS * 1.1)


def test_a_run_alone_keeps_its_lanes() -> None:
    run = Run(1)
    book = book_with(4, run)
    book.wait(run)
    assert not book.has_to_share(4, 0.0)


def test_lanes_that_are_killed_stay_killed() -> None:
    run = Run(1)
    book = book_with(1, run)
    book.start("lane", 0, run, 0.0)
    assert book.doom() == ["lane"]
    left = book.leave(run, 0.0)
    assert left is not None
    assert left.held == ["lane"]
    book.forget(run)
    assert book.close() == ["lane"]
    assert book.state("lane") == "doomed"


def test_lanes_that_a_run_has_lost_are_not_idle() -> None:
    run = Run(1)
    book = book_with(1, run)
    book.start("lane", 0, run, 0.0)
    book.forget(run)
    assert book.close() == ["lane"]
    assert book.drain_idle() == []


def test_lanes_that_a_run_has_drained_make_no_room_for_idle_ones() -> None:
    run, inner = Run(1), Run(1)
    book = book_with(1, run)
    for number, lane in enumerate("abc"):
        book.start(lane, number, run, 0.0)
        book.runs[inner] = 1
        if lane != "a":
            assert book.release(lane, 1, 0.0) == "idle"
    book.drained("a")
    del book.runs[inner]
    left = book.leave(run, 0.0)
    assert left is not None
    assert (left.held, left.surplus) == (["a"], ["c"])
    assert book.idle() == ["b"]
