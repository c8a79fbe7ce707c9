"""Random lists of callables, over real workers, against a model of the contract."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enact_pool import Err, EventEmitter, Ok, Pool

KINDS = [
    *("return", "raise", "return_unpicklable", "unpicklable"),
    *("crash", "exit", "sleep", "fork"),
]


@pytest.fixture
def pools() -> Iterator[dict[int, Pool]]:
    pools = {workers: Pool(workers) for workers in (1, 2, 3)}
    yield pools
    for pool in pools.values():
        pool.close()


def check(each: samples.LoggedCallable, result: Any, event: Any) -> None:
    """Assert what the contract says about a callable of this kind."""
    died = {"crash": "SIGSEGV", "exit": f"exit_{each.index % 4}"}
    if each.kind in died:
        assert result.agent_name == "unknown"
        assert result.output == Err(result.error.message)
        assert result.error.code == died[each.kind]
        assert result.error.details["index"] == each.index
        assert result.error.details["name"] == each.name
        assert (event.type, event.error) == ("data-execution-failed", result.error)
    else:
        assert result.agent_name == each.name
        assert result.error is None
        assert event.type == "data-step-end"
        if each.kind in ("return", "sleep", "fork"):
            assert result.output == Ok(each.index)
            assert event.output == str(each.index)
        else:
            assert isinstance(result.output, Err)
            assert event.output == f"Error: {result.output.error}"
            assert {
                "raise": result.output.error == f"raised by {each.index}",
                "return_unpicklable": "return value" in result.output.error,
                "unpicklable": "callable cannot be pickled" in result.output.error,
            }[each.kind]
    assert event.execution_id == result.execution_id


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=25),
    filling=st.integers(0, 40),
    workers=st.sampled_from([1, 2, 3]),
)
def test_any_mix_of_callables_has_the_outcomes_of_the_contract(
    kinds: list[str], filling: int, workers: int, pools: dict[int, Pool]
) -> None:
    """Well-behaved callables in between make the batches grow."""
    mixed = [kind for kind in kinds for kind in ["return"] * (filling // 4) + [kind]]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "starts")
        log.touch()
        callables = [samples.LoggedCallable(kind, i, str(log)) for i, kind in enumerate(mixed)]
        emitter = EventEmitter()
        results = pools[workers].run_parallel(callables, [1, 2], emitter)
        started = sorted(map(int, log.read_text().split()))
    events = emitter.drain()
    assert len(results) == len(events) == len(callables)
    for each, result, event in zip(callables, results, events, strict=True):
        check(each, result, event)
    assert started == [each.index for each in callables if each.kind != "unpicklable"]
    assert len({result.execution_id for result in results}) == len(results)
