"""The texts of results, one by one and as a summary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enact_pool import (
    Err,
    ExecutionError,
    ExecutionId,
    Ok,
    ParallelResult,
    summarize,
)
from enact_pool._model.results import CANCELLED


def result(output: Any, error: ExecutionError | None = None, ms: float = 1.0) -> Any:
    return ParallelResult("parse", ExecutionId.new(), output, error, ms)


def raised(text: str, line: int, kind: str = "ValueError", library: bool = True) -> Any:
    called = f'  File "{json.__file__}", line 9, in loads\n    deep()\n' if library else ""
    return result(
        Err(
            text,
            kind,
            "Traceback (most recent call last):\n"
            '  File "/old.py", line 1, in old\n'
            "KeyError: 1\n\n"
            "The above exception was the direct cause of the following exception:\n\n"
            "Traceback (most recent call last):\n"
            f'  File "/home/me/parse.py", line {line}, in parse\n    loads(text)\n'
            f"{called}{kind}: {text}\n\n"
            'Traceback (most recent call last):\n  File "/remote.py", line 2, in far\n',
        )
    )


def crashed(index: int, line: int, signal: str = "SIGSEGV") -> Any:
    message = (
        f"worker was killed by {signal} while running callable {index} (parse), "
        f"{index + 1} ms after it began"
    )
    details = {"index": index, "name": "parse"}
    stack = f'  File "{json.__file__}", line 5 in scan\n  File "/me.py", line {line} in parse'
    error = ExecutionError.kernel_internal(message, code=signal, details=details)
    return result(Err(message, traceback=stack), error)


def limited(category: str, index: int) -> Any:
    message = f"callable {index} (parse) exceeded its limit of 1 s while running, and was killed"
    details = {"index": index, "name": "parse"}
    return result(Err(message), ExecutionError(category, message, details=details), ms=1001.5)


def not_started() -> Any:
    error = ExecutionError.kernel_internal("no worker could be started: 1", code="start_failed")
    return result(Err(error.message), error, ms=0.0)


def test_failures_are_grouped_by_cause() -> None:
    """By type, line and text without numbers; crashes by signal, top frame and line."""
    results = [
        result(Ok(1)),
        *(raised(f"bad header {n} at {n:#x}", 12) for n in range(3)),  # 1 to 3
        raised("bad footer", 12),
        raised("bad header 1 at 0x1", 13, library=False),
        crashed(6, 7),
        crashed(7, 7),
        crashed(8, 8),
        crashed(9, 7, "SIGKILL"),
        limited("timeout", 10),
        limited("timeout", 11),
        limited("quota_exceeded", 12),
        result(CANCELLED, ms=0.0),
        not_started(),
        result(Err("the callable cannot be pickled: TypeError: no", "TypeError")),
    ]
    summary = summarize(iter(results))
    assert (summary.total, summary.ok, summary.failed) == (16, 1, 6)
    assert (summary.crashed, summary.cancelled) == (8, 1)
    assert (summary.duration_ms, summary.longest_ms) == (11 + 3 * 1001.5, 1001.5)
    scan = f" (in {json.__file__}:5, in scan)"
    killed = "worker was killed by SIGSEGV while running, at /me.py"
    limit = "exceeded its limit of 1 s while running, and was killed"
    assert [(g.kind, g.cause, g.indexes) for g in summary.groups] == [
        ("failed", "ValueError at /home/me/parse.py:12, in parse", (1, 2, 3)),
        ("crashed", f"{killed}:7, in parse{scan}", (6, 7)),
        ("timeout", limit, (10, 11)),
        ("failed", "ValueError at /home/me/parse.py:12, in parse", (4,)),
        ("failed", "ValueError at /home/me/parse.py:13, in parse", (5,)),
        ("crashed", f"{killed}:8, in parse{scan}", (8,)),
        ("crashed", f"{killed}:7, in parse{scan}".replace("SEGV", "KILL"), (9,)),
        ("quota_exceeded", limit, (12,)),
        ("cancelled", "cancelled", (13,)),
        ("not_started", "no worker could be started: 1", (14,)),
        ("failed", "the callable cannot be pickled: TypeError: no", (15,)),
    ]
    assert all(g.example is results[g.indexes[0]] for g in summary.groups)
    read = json.loads(json.dumps(summary.to_dict()))
    assert read["groups"][1]["example"]["execution_error"]["code"] == "SIGSEGV"
    assert [g["count"] for g in read["groups"]] == [len(g.indexes) for g in summary.groups]


def test_the_summary_of_ten_thousand_results_is_readable() -> None:
    """Many different texts are not causes of their own, and not all indexes are shown."""

    def outcome(n: int) -> Any:
        if n % 100 == 3:
            return raised(f"no such file: {chr(97 + n % 23)}{chr(97 + n // 100 % 23)}", 5)
        if n % 1000 == 7:
            return crashed(n, 7)
        return result(Ok(n)) if n % 5000 != 9 else limited("timeout", n)

    summary = summarize(map(outcome, range(10_000)))
    assert [(g.count, len(g.indexes)) for g in summary.groups] == [(100, 20), (10, 10), (2, 2)]
    scan = f" (in {json.__file__}:5, in scan)"
    assert (
        str(summary)
        == f"""\
10000 results: 9888 ok, 100 failed, 12 crashed; 12 s of work, the longest 1 s

100 x ValueError at /home/me/parse.py:5, in parse
    no such file: da
    index 3, 103, 203, 303, 403, 503, 603, 703, ...

10 x worker was killed by SIGSEGV while running, at /me.py:7, in parse{scan}
    index 7, 1007, 2007, 3007, 4007, 5007, 6007, 7007, ...

2 x exceeded its limit of 1 s while running, and was killed
    index 9, 5009"""
    )


def test_an_exception_group_is_placed_where_it_was_raised() -> None:
    traceback = """\
  + Exception Group Traceback (most recent call last):
  |   File "/me.py", line 5, in together
  |     raise ExceptionGroup()
  | ExceptionGroup: several (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/me.py", line 3, in apart
    | ValueError: a
    +------------------------------------
"""
    summary = summarize([result(Err("several (1 sub-exception)", "ExceptionGroup", traceback))])
    assert summary.groups[0].cause == "ExceptionGroup at /me.py:5, in together"


def test_no_results_can_be_summarized_and_other_objects_are_refused() -> None:
    assert str(summarize([])) == "0 results: 0 ok"
    with pytest.raises(TypeError, match=r"results\[1\] must be a ParallelResult, not int"):
        summarize([result(Ok(1)), 3])  # type: ignore[list-item]


class Mute:
    def __repr__(self) -> str:
        raise SystemExit("no")


def test_the_texts_of_results_are_short() -> None:
    """The traceback is in the `str`, not in the `repr`; both are short."""
    good, bad, dead = result(Ok(3), ms=12.345), raised("boom", 7), crashed(2, 7)
    assert str(good) == "parse: Ok(3) (12.3 ms)"
    assert repr([good, bad]) == (
        "[ParallelResult(agent_name='parse', output=Ok(3), duration_ms=12.3), "
        "ParallelResult(agent_name='parse', output=Err('boom', type='ValueError'), duration_ms=1)]"
    )
    assert str(bad) == f"parse: ValueError: boom (1 ms)\n\n{bad.output.traceback.rstrip()}"
    assert str(bad.output) == f"ValueError: boom\n\n{bad.output.traceback.rstrip()}"
    assert "error=<kernel_internal: SIGSEGV>" in repr(dead)
    assert str(dead) == f"{dead.output.error}\n\n{dead.output.traceback}"
    large = result(Ok(bytearray(10_000_000)))
    assert max(len(repr(large)), len(str(large))) < 300
    assert len(repr(result(Err("x" * 10_000)))) < 700
    assert repr(Ok(Mute())).endswith("Mute whose repr raises SystemExit>)")
