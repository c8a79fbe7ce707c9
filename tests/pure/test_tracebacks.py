"""Tracebacks of exceptions and stacks of crashes, as users see them; and texts of durations."""

from __future__ import annotations

import asyncio
import builtins
import linecache
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

from enact_pool._lanes.death import Death
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import pickle_value
from enact_pool._python.durations import duration_text
from enact_pool._python.source_lines import add_source_lines
from enact_pool._python.tracebacks import PACKAGE_FOLDER, describe
from enact_pool._worker.batches import BatchRunner

OURS = f"{PACKAGE_FOLDER}some_module.py"


def ours(source: str, **names: Any) -> Any:
    """Return the function `f` of this source, as if it were a part of the package."""
    exec(compile(source, OURS, "exec"), names)
    return names["f"]


call = ours("def f(function, *args): return function(*args)")
run_coroutine = ours("def f(function): return asyncio.run(function())", asyncio=asyncio)


def fail() -> None:
    raise ValueError("boom")


async def fail_later() -> None:
    await asyncio.sleep(0)
    await asyncio.gather(fail_in_task())


async def fail_in_task() -> None:
    raise ValueError("boom")


def fail_for_a_cause() -> None:
    try:
        call(fail)
    except ValueError as error:
        raise KeyError("bang") from error


def fail_in_ours() -> None:
    call(call, fail)


def fail_at_the_end_in_ours() -> None:
    call(ours("def f(): raise ValueError('boom')"))


def frames(traceback: str) -> list[str]:
    return [line.rpartition(", in ")[2] for line in traceback.split("\n") if ", in " in line]


@pytest.mark.parametrize(
    ("enter", "function", "expected"),
    [
        (call, fail, ["fail"]),
        (run_coroutine, fail_later, ["fail_later", "fail_in_task"]),
        (call, fail_for_a_cause, ["fail_for_a_cause", "fail", "fail_for_a_cause"]),
        (call, fail_in_ours, ["fail_in_ours", "fail"]),
        (call, fail_at_the_end_in_ours, ["fail_at_the_end_in_ours"]),
        (call, ours("def f(): raise ValueError('boom')"), []),
    ],
)
def test_a_traceback_has_only_the_users_frames(
    enter: Callable[..., Any], function: Any, expected: list[str]
) -> None:
    """It has none of our frames, also not in its causes, and none of asyncio's runner."""
    with pytest.raises((ValueError, KeyError)) as caught:
        enter(function)
    assert caught.value.__traceback__ is not None
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # this function
    _, _, traceback = describe(caught.value)
    assert frames(traceback) == expected
    assert OURS not in traceback
    assert ("Traceback" in traceback) == bool(expected)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups do not exist")
def test_the_traceback_of_a_group_has_none_of_our_frames() -> None:
    def fail_together() -> None:
        try:
            call(fail)
        except ValueError as error:
            raise vars(builtins)["ExceptionGroup"]("several", [error]) from None

    with pytest.raises(Exception, match="several") as caught:
        call(fail_together)
    _, _, traceback = describe(caught.value)
    assert frames(traceback)[-3:] == ["fail_together", "fail_together", "fail"]
    assert OURS not in traceback


def test_a_function_that_travels_by_value_keeps_its_file_name() -> None:
    def captures() -> object:
        return captures

    rebuilt = pickle.loads(pickle_value(captures, Needs()))
    assert rebuilt is not captures
    assert rebuilt.__code__.co_filename == __file__
    assert rebuilt.__code__.co_firstlineno == captures.__code__.co_firstlineno


CELL = "/tmp/ipykernel_1/2.py"


def test_lines_that_only_the_parent_knows_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in tracebacks of groups; existing lines stay as they are."""
    lines = ["def f(x):\n", "    return 1 / x\n"]
    monkeypatch.setitem(linecache.cache, CELL, (20, None, lines, CELL))
    lacking = f"""\
Traceback (most recent call last):
  File "{CELL}", line 2, in f
  File "/there.py", line 7, in g
    known()
  File "<unknown>", line 2, in h
  |   File "{CELL}", line 2, in f
ZeroDivisionError: {CELL}"""
    filled = lacking.replace("line 2, in f", "line 2, in f\n    return 1 / x", 1)
    filled += "\n"
    head, _, tail = filled.rpartition("line 2, in f\n")
    assert add_source_lines(lacking) == f"{head}line 2, in f\n  |     return 1 / x\n{tail}"[:-1]
    assert add_source_lines(add_source_lines(lacking)) == add_source_lines(lacking)


def test_the_stack_of_a_crash_has_source_lines() -> None:
    """It has no frames of ours, none below these, and none of asyncio's runner."""
    line = fail.__code__.co_firstlineno + 1
    stack = f"""\
Fatal Python error: Segmentation fault

Current thread 0x1 (most recent call first):
  File "{__file__}", line {line} in fail
  File "{OURS}", line 3 in wrap
  File "/dev/zero", line 1 in forged
  File "{asyncio.runners.__file__}", line 118 in run
  File "{BatchRunner.run.__code__.co_filename}", line 9 in _run
  File "/lib/python/runpy.py", line 1 in run
"""
    death = Death.of(-11, stack, ())
    shown = add_source_lines(death.stack, of_files=True).split("\n")
    assert shown[2:] == [
        "Current thread 0x1 (most recent call first):",
        f'  File "{__file__}", line {line} in fail',
        '    raise ValueError("boom")',
        '  File "/dev/zero", line 1 in forged',
    ]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.0123, "0.012 ms"),
        (12.34, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (1234, "1.23 s"),
        (59_949, "59.9 s"),
        (59_951, "1 min 0 s"),
        (125_000, "2 min 5 s"),
        (7_380_000, "2 h 3 min"),
    ],
)
def test_durations_have_a_suitable_unit(milliseconds: float, text: str) -> None:
    assert duration_text(milliseconds) == text
