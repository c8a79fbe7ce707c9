"""Failures in real workers show the line of user code where they happened."""

from __future__ import annotations

import ctypes
import functools
import linecache
from typing import Any

import pytest
import sample_callables as samples

from enact_pool import Pool, RemoteError, run_parallel, summarize


def last_lines(outcome: Any) -> list[str]:
    """Return the last frame of a traceback, its line and the text after it."""
    lines = [line for line in outcome.traceback.split("\n") if set(line) - set(" ^~")]
    starts = [at for at, line in enumerate(lines) if line.startswith("  File ")]
    return lines[starts[-1] :]


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return samples.fail, (0,)


def test_the_last_frame_of_a_traceback_is_user_code() -> None:
    """For functions sent by value, coroutines, objects, nested runs and unpickling."""

    class Checking:
        def run(self, _: object) -> None:
            raise KeyError("a")  # in run

    async def later(_: object) -> None:
        raise KeyError("a")  # later

    def partly(_kind: str, _: object) -> None:
        raise KeyError("a")  # partly

    def nesting(_: object) -> None:
        run_parallel([samples.fail], 0)[0].output.unwrap()  # nesting

    def returning(_: object) -> object:
        return Unloadable()

    callables = [Checking(), later, functools.partial(partly, ""), nesting, returning]
    outputs: list[Any] = [result.output for result in run_parallel(callables, 0)]
    *raising, nested, unloadable = outputs
    for output, name in zip(raising, ["run", "later", "partly"], strict=True):
        frame, line, text = last_lines(output)
        assert frame.startswith(f'  File "{__file__}", line ')
        assert frame.endswith(f"in {name}")
        assert line.startswith(f'    raise KeyError("a")  # {"in " * (name == "run")}{name}')
        assert text == "KeyError: 'a'"
        assert output.traceback.count("  File ") == 1
    ours, theirs = nested.traceback.split(f"{RemoteError.__module__}.RemoteError: ValueError")
    assert "# nesting" in ours
    assert ours.count("  File ") == theirs.count("  File ") == 1
    assert last_lines(unloadable)[1:] == [
        '    raise ValueError("no good")',
        "ValueError: no good",
    ]


def test_lines_of_notebook_cells_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, name = "def divide(n):\n    return n // 0  # in a cell\n", "/tmp/ipykernel_0/1.py"
    monkeypatch.setitem(
        linecache.cache, name, (len(cell), None, cell.splitlines(keepends=True), name)
    )
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(cell, name, "exec"), namespace)
    (result,) = run_parallel([namespace["divide"]], 1)
    assert last_lines(result.output)[:2] == [
        f'  File "{name}", line 2, in divide',
        "    return n // 0  # in a cell",
    ]


def test_a_crash_shows_where_it_happened() -> None:
    """With source lines, which the worker could not write; and so does a summary."""

    def crash(_: object) -> None:
        ctypes.string_at(0)  # here

    async def crash_later(_: object) -> None:
        ctypes.string_at(0)  # there

    with Pool(1) as pool:
        results = pool.run_parallel([crash, crash_later, crash], 0)
    for result, where in zip(results, ["here", "there", "here"], strict=True):
        assert result.error is not None
        frame, line = last_lines(result.output)
        assert frame.startswith(f'  File "{__file__}", line ')
        assert line == f"    ctypes.string_at(0)  # {where}"
        assert "string_at(0)" not in result.error.details["stack"]
        assert str(result).startswith(f"{result.error.message}\n\nFatal Python error: Seg")
    assert [group.count for group in summarize(results).groups] == [2, 1]
