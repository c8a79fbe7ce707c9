"""When a run has to share its lanes, and when a run above the limit may start one."""

from __future__ import annotations

import pytest

from enact_pool._core.leasing import LeaseBook
from enact_pool._core.sharing import LeaseHolder
from enact_pool._core.timing import AWAY_SECONDS, TURN_SECONDS

NOW = 1000.0


class Run(LeaseHolder):
    """A run of a thread."""


def book_of(limit: int, lanes: int, runs: int = 1) -> tuple[LeaseBook[str, Run], list[Run]]:
    """A book with runs in threads 0, 1, ...; the first run has all lanes since `NOW`."""
    book: LeaseBook[str, Run] = LeaseBook(limit)
    begun = [Run() for _ in range(runs)]
    for thread, run in enumerate(begun):
        book.runs[run] = thread
    for number in range(lanes):
        book.start(f"lane {number}", number, begun[0], NOW)
    return book, begun


def test_a_run_has_nothing_at_first() -> None:
    run = Run()
    assert (run.is_lost, run.away_since, run.cancel_reason) == (False, 0.0, "")
    with pytest.raises(NotImplementedError):
        run.disband()


@pytest.mark.parametrize(
    ("limit", "runs", "held", "shares"),
    [(4, 2, 2, False), (4, 2, 3, True), (4, 3, 1, False), (4, 3, 2, True), (1, 5, 1, False)],
)
def test_a_run_keeps_its_share(limit: int, runs: int, held: int, shares: bool) -> None:
    book, begun = book_of(limit, held, runs)
    assert not book.has_to_share(held, NOW)  # nobody waits
    book.wait(begun[1])
    assert book.has_to_share(held, NOW) is shares


def test_runs_that_are_away_wait_for_nothing() -> None:
    book, begun = book_of(2, 2, 3)
    book.wait(begun[1])
    begun[1].away_since = NOW
    assert book.has_to_share(2, NOW + AWAY_SECONDS)
    assert not book.has_to_share(2, NOW + AWAY_SECONDS * 1.01)
    assert not book.is_due("lane 0", 2, NOW + AWAY_SECONDS * 1.01)
    book.wait(begun[2])
    assert book.has_to_share(1, NOW + 9) is False
    assert book.has_to_share(2, NOW + 9)


def test_with_more_runs_than_lanes_each_has_one_for_a_while() -> None:
    book, begun = book_of(1, 1, 2)
    late = NOW + TURN_SECONDS * 1.01
    assert not book.is_due("lane 0", 1, late)  # nobody waits
    book.wait(begun[1])
    assert not book.is_due("lane 0", 1, NOW + TURN_SECONDS * 0.99)
    assert book.is_due("lane 0", 1, late)
    assert not book.is_due("another lane", 1, late)
    book.limit = 2
    assert not book.is_due("lane 0", 1, late)


def test_a_run_with_too_many_lanes_releases_one_at_once() -> None:
    book, begun = book_of(2, 2, 2)
    book.wait(begun[1])
    assert book.is_due("lane 0", 2, NOW)


def test_lanes_of_runs_that_are_away_do_not_count() -> None:
    book, begun = book_of(2, 2, 2)
    other = begun[1]
    assert book.acquire(other, NOW) == "wait"
    begun[0].away_since = NOW
    assert book.acquire(other, NOW + AWAY_SECONDS) == "wait"
    assert book.acquire(other, NOW + AWAY_SECONDS * 1.01) == "start"
    begun[0].away_since = 0.0
    assert book.acquire(other, NOW + AWAY_SECONDS * 1.01) == "wait"


def test_lanes_that_end_do_not_count() -> None:
    book, begun = book_of(2, 2, 2)
    book.drained("lane 0")
    assert book.acquire(begun[1], NOW) == "start"


def test_idle_lanes_count_even_if_a_run_is_away() -> None:
    book, begun = book_of(1, 1, 2)
    begun[0].away_since = NOW - 9
    assert book.release("lane 0", 0, NOW) == "idle"
    assert book.acquire(begun[1], NOW) == "lane 0"


def test_a_nested_run_without_a_lane_may_start_one_above_the_limit() -> None:
    book, begun = book_of(1, 1, 2)
    inner = Run()
    book.runs[inner] = 0  # the thread of the first run
    assert book.acquire(inner, NOW) == "start"
    book.start("inner", 1, inner, NOW)
    assert book.acquire(inner, NOW) == "wait"
    assert book.acquire(begun[1], NOW) == "wait"  # a thread of its own


def test_a_run_alone_in_its_thread_is_not_nested() -> None:
    book, begun = book_of(1, 1)
    assert book.release("lane 0", 0, NOW) == "idle"
    book.runs.clear()
    assert book.acquire(begun[0], NOW) == "lane 0"
    assert book.acquire(begun[0], NOW) == "wait"
