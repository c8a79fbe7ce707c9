"""What a death means: all combinations of what is known of a worker."""

from __future__ import annotations

from itertools import product

import pytest

from enact_pool._core.postmortem import ExitReport, examine

EXIT_CODES = (None, 0, 1, -9, -11)


@pytest.mark.parametrize("exit_code", EXIT_CODES)
@pytest.mark.parametrize("violates", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize(
    ("begun", "loading", "receiving", "doing"),
    [
        (4, 0, 0, "running"),
        (4, 9, 0, "running"),
        (3, 9, 0, "unpickling"),
        (0, 9, 9, "unpickling"),
        (3, 0, 9, "receiving"),
        (0, 0, 0, "receiving"),
    ],
)
def test_the_last_task_is_judged_by_what_its_worker_was_doing(
    exit_code: int | None,
    violates: bool,
    cancelled: bool,
    begun: int,
    loading: int,
    receiving: int,
    doing: str,
) -> None:
    report = ExitReport(
        begun=begun,
        loading=loading,
        receiving=receiving,
        since_ns=1_000_000,
        ended_ns=3_500_000,
        exit_code=exit_code,
        violates_limit=violates,
    )
    (verdict,) = examine(report, [7], answered=3, is_cancelled=cancelled)
    was_killed = exit_code in (None, -9)
    expected = "crashed"
    if was_killed and violates:
        expected = "violated"
    elif was_killed and cancelled:
        expected = "cancelled"
    assert (verdict.task, verdict.kind, verdict.doing) == (7, expected, doing)
    assert verdict.ran_ms == (2.5 if doing == "running" else 0.0)


@pytest.mark.parametrize(
    ("exit_code", "violates", "cancelled"), list(product(EXIT_CODES, [False, True], [False, True]))
)
def test_a_task_whose_answer_was_lost_has_crashed_whatever_ended_its_worker(
    exit_code: int | None, violates: bool, cancelled: bool
) -> None:
    report = ExitReport(
        begun=6, since_ns=1, ended_ns=9, exit_code=exit_code, violates_limit=violates
    )
    first, second, last = examine(report, [5, 3, 8], answered=3, is_cancelled=cancelled)
    for verdict, task in ((first, 5), (second, 3)):
        assert (verdict.task, verdict.kind) == (task, "crashed")
        assert (verdict.doing, verdict.ran_ms) == ("giving the answer of", 0.0)
    assert (last.task, last.doing) == (8, "running")


def test_a_worker_that_waited_has_run_nothing() -> None:
    (verdict,) = examine(
        ExitReport(begun=4, since_ns=0, ended_ns=9), [1], answered=3, is_cancelled=False
    )
    assert (verdict.doing, verdict.ran_ms) == ("running", 0.0)


def test_no_task_is_judged_if_none_is_blamed() -> None:
    assert examine(ExitReport(begun=4, loading=5), [], answered=3, is_cancelled=True) == []
