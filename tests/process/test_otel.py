"""Tracing: a span for each callable, however it ends, and a context in its worker."""

from __future__ import annotations

import operator
import sys
import threading
from pathlib import Path

import pytest
import sample_callables as samples
import sample_pickles as pickles
import traced_callables
from opentelemetry import baggage, trace
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from enact_pool import EventEmitter, Ok, Pool, StepEnd, iter_parallel, map_parallel
from enact_pool.otel.tracing import TracingEmitter


class Traces:
    """A provider that keeps its spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("caller")

    def of_callables(self) -> dict[int, ReadableSpan]:
        """Return the callables' spans, by their indexes."""
        spans = [span for span in self.exporter.get_finished_spans() if _at(span, "index") != ""]
        by_index = {int(str(_at(span, "index"))): span for span in spans}
        assert len(by_index) == len(spans)
        return by_index

    def of_run(self) -> ReadableSpan:
        (span,) = [s for s in self.exporter.get_finished_spans() if s.name == "enact_pool.run"]
        return span


def _at(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(f"enact_pool.{name}", "")


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def _parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)


@pytest.fixture
def traces() -> Traces:
    return Traces()


def test_each_callable_has_a_span_whose_children_it_creates_in_its_worker(
    traces: Traces, tmp_path: Path
) -> None:
    log = tmp_path / "spans"
    callables = [
        traced_callables.return_baggage,
        traced_callables.awaited,
        traced_callables.raises,
        traced_callables.segfault,
        samples.busy_until(str(tmp_path / "never")),
    ]
    emitter = TracingEmitter(tracer_provider=traces.provider)
    with (
        Pool(1, initializer=traced_callables.export_to, initargs=[str(log)]) as pool,
        traces.tracer.start_as_current_span("caller") as caller,
    ):
        token = contexts.attach(baggage.set_baggage("user", "me"))
        results = pool.run_parallel(callables, 0, emitter, timeout=0.5)
        contexts.detach(token)
    assert results[0].output == Ok({"user": "me"})
    run, spans = traces.of_run(), traces.of_callables()
    trace_id = caller.get_span_context().trace_id
    assert _parent(run) == caller.get_span_context().span_id
    assert [_parent(span) for span in spans.values()] == [_id(run)] * 5
    assert {s.context.trace_id for s in [run, *spans.values()] if s.context} == {trace_id}
    assert [(name, id, parent) for name, id, _, parent in traced_callables.exported(log)] == [
        ("returned", trace_id, _id(spans[0])),
        ("awaited's own", trace_id, _id(spans[1])),
        ("last words", trace_id, _id(spans[3])),
    ]
    assert [(_at(spans[i], "outcome"), spans[i].status.status_code) for i in range(5)] == [
        ("ok", StatusCode.UNSET),
        ("ok", StatusCode.UNSET),
        ("failed", StatusCode.ERROR),
        ("crashed", StatusCode.ERROR),
        ("crashed", StatusCode.ERROR),
    ]
    names = "return_baggage", "awaited", "raises", "segfault", "busy"
    assert [spans[i].name for i in range(5)] == [*names]
    errors = [(spans[i].attributes or {}).get("error.type") for i in range(5)]
    assert errors == [None, None, "LookupError", "SIGSEGV", "timeout"]
    raised, crash, late = [spans[i].events[0].attributes or {} for i in (2, 3, 4)]
    assert (raised["exception.type"], raised["exception.message"]) == ("LookupError", "not here")
    # The traceback contains none of the frames around the callable.
    stacktrace = str(raised["exception.stacktrace"])
    assert (stacktrace.count("File "), "in raises" in stacktrace) == (1, True)
    assert str(crash["exception.stacktrace"]).count("File ") == 2  # ctypes, and `segfault`
    assert "time limit" in str(late["exception.message"])
    assert [event.name for event in run.events] == ["enact_pool.worker_end"] * 2
    # One after the other, within the run.
    times = [time for i in range(5) for time in (spans[i].start_time, spans[i].end_time)]
    within = [run.start_time, *times, run.end_time]
    assert all(map(operator.le, within, within[1:])), within  # type: ignore[arg-type]


def test_a_cancelled_callable_has_a_span_without_an_error_if_it_had_started(
    traces: Traces, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    wait = samples.busy_until(str(started))

    def run_until_cancelled(_: object) -> None:
        started.touch()
        threading.Event().wait()

    def fail_then(_: object) -> None:
        wait(_)
        raise ValueError("the end")

    emitter = TracingEmitter(tracer_provider=traces.provider)
    with Pool(2) as pool:
        pool.run_parallel([run_until_cancelled, fail_then, *[abs] * 50], 0, emitter, fail_fast=True)
    run, spans = traces.of_run(), traces.of_callables()
    seen = {index: (_at(span, "outcome"), span.status.status_code) for index, span in spans.items()}
    assert seen[0] == ("cancelled", StatusCode.UNSET)
    assert "fail_fast" in str(_at(spans[0], "reason"))
    assert seen[1] == ("failed", StatusCode.ERROR)
    ran = [span for index, span in spans.items() if index > 1]
    counts = [_at(run, outcome) for outcome in ("ok", "failed", "crashed", "cancelled")]
    assert counts == [len(ran), 1, 0, 51 - len(ran)]


def test_no_span_stays_open_when_a_run_is_abandoned(traces: Traces) -> None:
    ends = EventEmitter()
    emitter = TracingEmitter(ends, tracer_provider=traces.provider)

    def wait_if_second(index: int) -> None:
        if index == 1:
            threading.Event().wait()

    with Pool(2) as pool:
        results = iter_parallel(
            [lambda _, n=n: wait_if_second(n) for n in range(9)],
            0,
            emitter,
            ordered=False,
            pool=pool,
        )
        assert next(results).output == Ok(None)
        # The waiting callable starts while the run waits for others.
        list(zip(range(7), results, strict=False))
        results.close()
    spans = traces.of_callables()
    assert sorted(spans) == list(range(9))
    assert _at(spans[1], "outcome") == "abandoned"
    assert spans[1].status.status_code is StatusCode.UNSET
    assert traces.of_run().end_time == spans[1].end_time
    assert [type(event) for event in ends.drain()] == [StepEnd] * 8


def test_a_callable_that_cannot_run_has_a_span_without_a_duration(traces: Traces) -> None:
    emitter = TracingEmitter(tracer_provider=traces.provider)
    with Pool(1) as pool:
        pool.run_parallel([pickles.Unpicklable()], 0, emitter)
    (span,) = traces.of_callables().values()
    assert (span.status.status_code, _at(span, "outcome")) == (StatusCode.ERROR, "failed")
    assert span.start_time == span.end_time
    assert "process.pid" not in (span.attributes or {})


def test_runs_of_several_threads_and_of_callables_belong_to_their_callers(
    traces: Traces, tmp_path: Path
) -> None:
    log = tmp_path / "spans"
    emitter = TracingEmitter(tracer_provider=traces.provider)
    seen: list[tuple[int, list[object]]] = []

    def follow(pool: Pool) -> None:
        with traces.tracer.start_as_current_span("thread") as span:
            results = map_parallel(traced_callables.span_ids, range(40), emitter, pool=pool)
            trace_id = span.get_span_context().trace_id
            seen.append((trace_id, [result.output.unwrap()[1] for result in results]))

    with Pool(2, initializer=traced_callables.export_to, initargs=[str(log)]) as pool:
        threads = [threading.Thread(target=follow, args=[pool]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with traces.tracer.start_as_current_span("outermost"):
            pool.run_parallel([traced_callables.nested], 0, emitter)
    for trace_id, trace_ids in seen:
        assert trace_ids == [trace_id] * 40
    (outer,) = [s for s in traces.exporter.get_finished_spans() if s.name == "nested"]
    (inner,) = [span for span in traced_callables.exported(log) if span[0] == "enact_pool.run"]
    assert inner[3] == _id(outer)


def test_without_a_provider_only_an_existing_context_is_propagated() -> None:
    ends = EventEmitter()
    emitter = TracingEmitter(ends, tracer_provider=trace.NoOpTracerProvider())
    with Pool(1) as pool:
        assert emitter.mode == "outcomes"
        # The worker does not import what it does not need, either.
        results = pool.run_parallel([lambda _: "opentelemetry" in sys.modules], 0, emitter)
        assert [result.output for result in results] == [Ok(False)]
        token = contexts.attach(baggage.set_baggage("user", "me"))
        results = pool.run_parallel([lambda _: dict(baggage.get_all())], 0, emitter)
        contexts.detach(token)
        assert [result.output for result in results] == [Ok({"user": "me"})]
    assert [type(event) for event in ends.drain()] == [StepEnd] * 2
