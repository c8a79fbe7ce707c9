"""Start-up times: imports and first calls, each in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys

from attrs import frozen

from benchmarks.record import Fact

__all__ = ["measured_startup_times"]

# The interpreter's own start is not counted: the clock runs in the new process.
_PROGRAM = """
import time
begun_at = time.perf_counter()
{statement}
print("took", (time.perf_counter() - begun_at) * 1e3)
"""

_TIMEOUT_S = 60.0


@frozen
class _Statement:
    name: str
    description: str
    statement: str


def _statements(workers: int) -> list[_Statement]:
    return [
        _Statement("import-enact_pool", "import enact_pool", "import enact_pool"),
        _Statement(
            "import-run_parallel",
            "from enact_pool import run_parallel",
            "from enact_pool import run_parallel",
        ),
        _Statement("import-loky", "import loky", "import loky"),
        _Statement(
            "first-enact_pool",
            "import, and first Pool.run_parallel of one no-op",
            "from enact_pool import Pool\n"
            "from benchmarks.timed_callables import noop\n"
            f"pool = Pool({workers})\n"
            "assert pool.run_parallel([noop], None)[0].output.is_ok",
        ),
        _Statement(
            "first-loky",
            "import, and loky's first submit().result() of one no-op",
            "from loky import get_reusable_executor\n"
            "from benchmarks.timed_callables import noop\n"
            f"get_reusable_executor(max_workers={workers}).submit(noop).result()",
        ),
    ]


def measured_startup_times(workers: int, repeats: int) -> list[Fact]:
    """Measure each start-up time `repeats` times, in turn."""
    statements = _statements(workers)
    facts = {
        statement.name: Fact(statement.name, statement.description, [], None)
        for statement in statements
    }
    for _ in range(repeats):
        for statement in statements:
            fact = facts[statement.name]
            if fact.note:
                continue
            try:
                fact.times_ms.append(_measured_ms(statement))
            except subprocess.CalledProcessError as error:
                fact.note = f"failed: {_last_line(error.stderr)}"
            except subprocess.TimeoutExpired:
                fact.note = f"hangs: more than {_TIMEOUT_S:.0f} s"
            else:
                fact.median_ms = round(statistics.median(fact.times_ms), 3)
    return list(facts.values())


def _measured_ms(statement: _Statement) -> float:
    program = _PROGRAM.format(statement=statement.statement)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return round(float(done.stdout.split()[-1]), 3)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
