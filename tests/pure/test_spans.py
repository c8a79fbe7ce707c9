"""The spans that a tracing emitter creates from the events of a run; no process is started."""

from __future__ import annotations

import gc
import pickle
import time
import weakref
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

from enact_pool import (
    Err,
    EventEmitter,
    ExecutionEnd,
    ExecutionId,
    ExecutionStart,
    Span,
    StepEnd,
    StepId,
    StepStart,
    StreamEvent,
    WorkerMemory,
)
from enact_pool.otel.tracing import TracingEmitter

RUN, STEP = ExecutionId.new(), StepId.new()


def provider_and_exporter(
    sampler: Sampler | None = None,
) -> tuple[TracerProvider, InMemorySpanExporter]:
    provider, exporter = TracerProvider(sampler=sampler), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def start() -> ExecutionStart:
    """Return an event whose wrappers are stored in `_wrappers`."""
    wrappers: list[Any] = []
    run = ExecutionStart(RUN, 1, 2, take_wrapper=wrappers.append)
    _wrappers[id(run)] = wrappers
    return run


_wrappers: dict[int, list[Any]] = {}


def begun() -> StepStart:
    at = Span(RUN, 0, "len", 1, 77, 1_000.25, 1_000.5, None)
    return StepStart(ExecutionId.new(), STEP, span=at)


def ended(finished_at: float = 1_002.75) -> StepEnd:
    at = Span(RUN, 0, "len", 1, 77, 1_000.25, 1_000.5, finished_at, "ok")
    return StepEnd(ExecutionId.new(), STEP, 3, 2.25, span=at)


def raised() -> StepEnd:
    at = Span(RUN, 0, "len", 1, 77, 1_000.25, 1_000.5, 1_002.75, "failed", "Traceback ...")
    return StepEnd(ExecutionId.new(), STEP, Err("no", "TypeError", "Traceback ..."), 2.25, span=at)


def end() -> ExecutionEnd:
    return ExecutionEnd(RUN, 1, 0, 0, 0, 3.0)


class Remembers:
    """An emitter that passes each event on, and raises if it is configured to."""

    def __init__(self, mode: str, then: Any = None, fails: bool = False) -> None:
        self.mode = mode
        self.events: list[StreamEvent] = []
        self._then, self._fails = then, fails

    def emit(self, event: StreamEvent) -> None:
        self.events.append(event)
        assert event.to_json()
        if self._then is not None:
            self._then.emit(event)
        if self._fails:
            raise OSError("full")


def current_in_worker(event: ExecutionStart, index: int) -> trace.SpanContext:
    """Return the span that a callable finds in its worker."""
    (wrapper,) = _wrappers[id(event)]
    handover = pickle.loads(pickle.dumps(wrapper))
    return handover(  # type: ignore[no-any-return]
        index, lambda: trace.get_current_span().get_span_context()
    )


def test_a_callables_span_has_the_times_of_its_worker_and_its_place() -> None:
    provider, exporter = provider_and_exporter()
    emitter = TracingEmitter(tracer_provider=provider)
    for event in (start(), begun(), outcome := ended(), end()):
        emitter.emit(event)
    span, run = exporter.get_finished_spans()
    assert (span.name, run.name) == ("len", "enact_pool.run")
    assert (span.start_time, span.end_time) == (1_000_500_000, 1_002_750_000)
    assert span.attributes == {
        "code.function.name": "len",
        "process.pid": 77,
        "enact_pool.execution_id": outcome.execution_id,
        "enact_pool.index": 0,
        "enact_pool.lane": 1,
        "enact_pool.outcome": "ok",
        "enact_pool.queued_ms": 0.25,
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "enact_pool"


def test_a_callable_finds_its_own_span_before_that_span_is_created() -> None:
    provider, exporter = provider_and_exporter()
    emitter = TracingEmitter(tracer_provider=provider)
    with provider.get_tracer("caller").start_as_current_span("caller"):
        emitter.emit(run := start())
        found = current_in_worker(run, 0)
        emitter.emit(ended())
    span, _caller = exporter.get_finished_spans()
    assert span.context is not None
    assert (span.context.trace_id, span.context.span_id) == (found.trace_id, found.span_id)
    assert found.is_remote
    # Other spans of the same tracer have ids of the usual kind.
    tracer = provider.get_tracer("enact_pool", span.instrumentation_scope.version)  # type: ignore[union-attr]
    assert tracer.id_generator is provider.id_generator  # type: ignore[attr-defined]


class PlainTracer(trace.Tracer):
    """A tracer of another library, which chooses its ids itself."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self.start_span = tracer.start_span  # type: ignore[method-assign]
        self.start_as_current_span = tracer.start_as_current_span  # type: ignore[method-assign]

    def start_span(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError


class PlainProvider(trace.TracerProvider):
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *args: Any, **options: Any) -> trace.Tracer:
        return PlainTracer(self._provider.get_tracer(*args, **options))


def test_with_a_tracer_without_an_id_generator_a_callable_finds_the_runs_span() -> None:
    provider, exporter = provider_and_exporter()
    emitter = TracingEmitter(tracer_provider=PlainProvider(provider))
    emitter.emit(run := start())
    found = current_in_worker(run, 0)
    emitter.emit(ended())
    emitter.emit(end())
    span, of_run = exporter.get_finished_spans()
    assert of_run.context is not None
    assert found.span_id == of_run.context.span_id
    assert span.parent is not None
    assert span.parent.span_id == found.span_id


def test_a_trace_that_is_not_sampled_is_not_sampled_in_workers() -> None:
    provider, exporter = provider_and_exporter(ALWAYS_OFF)
    emitter = TracingEmitter(tracer_provider=provider)
    emitter.emit(run := start())
    assert not current_in_worker(run, 0).trace_flags.sampled
    emitter.emit(ended())
    emitter.emit(end())
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("mode", ["outcomes", "live"])
@pytest.mark.parametrize("fails", [False, True])
def test_events_are_passed_on_by_the_mode_of_the_other_emitter(mode: str, fails: bool) -> None:
    provider, exporter = provider_and_exporter()
    other = Remembers(mode, fails=fails)
    emitter = TracingEmitter(other, tracer_provider=provider)
    assert emitter.mode == "live"
    events = [start(), WorkerMemory(RUN, 0, 77, 1), begun(), ended(), end()]
    raised = 0
    for event in events:
        try:
            emitter.emit(event)
        except OSError:
            raised += 1
    assert other.events == (events if mode == "live" else [events[3]])
    assert raised == fails * len(other.events)
    assert len(exporter.get_finished_spans()) == 2


def test_an_outer_emitter_changes_nothing() -> None:
    """A live emitter that reads events before it passes them on."""
    provider, exporter = provider_and_exporter()
    inner = EventEmitter()
    outer = Remembers("live", TracingEmitter(inner, tracer_provider=provider))
    run = start()
    for event in (run, begun(), raised(), end()):
        outer.emit(event)
    assert len(_wrappers[id(run)]) == 1
    span, _run = exporter.get_finished_spans()
    assert span.events[0].attributes == {
        "exception.type": "TypeError",
        "exception.message": "no",
        "exception.stacktrace": "Traceback ...",
    }
    assert len(inner.drain()) == 1


def test_a_run_ends_no_earlier_than_its_callables() -> None:
    """The times of callables are from another clock, which may be ahead."""
    provider, exporter = provider_and_exporter()
    emitter = TracingEmitter(tracer_provider=provider)
    in_a_minute = time.time() * 1e3 + 60_000
    for event in (start(), ended(in_a_minute), end()):
        emitter.emit(event)
    span, run = exporter.get_finished_spans()
    assert span.end_time == run.end_time == round(in_a_minute * 1e6)


def test_nothing_is_kept_of_a_callable_with_an_outcome() -> None:
    provider, _exporter = provider_and_exporter()
    emitter = TracingEmitter(tracer_provider=provider)
    run, first, last = start(), begun(), ended()
    kept = [weakref.ref(event) for event in (run, first, last)]
    emitter.emit(run)
    emitter.emit(first)
    emitter.emit(last)
    del run, first, last
    gc.collect()
    assert [event() for event in kept] == [None] * 3
