"""Tracing: `TracingEmitter` turns the events of a run into OpenTelemetry spans.

    the caller's current span
      enact_pool.run              from ExecutionStart to ExecutionEnd
        the callable's name       when the callable ran, by its worker, and its outcome
          ...                     spans that the callable creates itself, in its worker

Most libraries create the span of a task in its worker (Celery's and Ray's instrumentation do),
where a crash would lose it. Here the parent creates the span, from the event of the outcome: with
exact times, whatever happened to the worker, and without any state for a callable that waits. So
that the callable's own spans can be children of this span, its id must be known before: ids are
counted up from a random one, and the tracer uses the counted id instead of a random one. This
requires the tracer of `opentelemetry-sdk`, or one with the same `id_generator`; with other tracers,
the spans that callables create are children of the run's span.

The exporter of a worker's own spans must be configured in the worker, by an initializer.
"""

from __future__ import annotations

import copy
import os
import time
from typing import Any, get_args

from attrs import define, field

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Status, StatusCode, Tracer, TracerProvider
except ImportError as error:
    raise ImportError("tracing needs OpenTelemetry: pip install 'enact_pool[otel]'") from error

import enact_pool
from enact_pool._events.emitter import Emitter, EmitterMode, check_emitter, is_live
from enact_pool._events.events import ExecutionCancelled, ExecutionFailed, StepEnd, StreamEvent
from enact_pool._events.live_events import ExecutionEnd, ExecutionStart, StepStart, WorkerEnd
from enact_pool._events.span import Span
from enact_pool._model.results import Outcome
from enact_pool._python.public_names import public
from enact_pool.otel.propagation import ContextPropagation, span_id_at

__all__ = ["TracingEmitter"]

# The events that an emitter receives if it is not live.
_OUTCOMES = (StepEnd, ExecutionFailed, ExecutionCancelled)

_Attributes = dict[str, "str | int | float"]


@public
class TracingEmitter:
    """An emitter that creates a span for each run and each callable, and passes events on.

    The span of a run is a child of the span that is current in the caller when the run begins. In
    the worker of a callable, the current context has the callable's own span and the caller's
    baggage. Spans of callables are created when the events of their outcomes are emitted, in that
    order. A callable that never started has a span without a duration if it failed, and none if it
    was cancelled: the run's span counts these callables. The span of an error or a crash ends with
    an error status and an exception event. A callable that was cancelled, or abandoned with its
    run, is not an error: see the attribute `enact_pool.outcome`.

    Any number of runs, in any threads, may use one `TracingEmitter`.

    Args:
        emitter: Receives all events, or only those of outcomes if it is not live. Default: none.
        tracer_provider: Creates the spans; default: the global provider. Without a configured
            provider there are no spans, but the context is propagated nevertheless.

    Raises:
        TypeError: `emitter` does not have a usable `emit`.
    """

    def __init__(
        self, emitter: Emitter | None = None, *, tracer_provider: TracerProvider | None = None
    ) -> None:
        check_emitter(emitter)
        self._emitter = emitter
        self._provider = tracer_provider
        self._runs: dict[str, _TracedRun] = {}

    @property
    def mode(self) -> EmitterMode:
        """Live, unless there are neither spans to create nor a context to propagate."""
        if self._tracer is not None or is_live(self._emitter):
            return "live"
        return "outcomes" if ContextPropagation.of(contexts.get_current(), None) is None else "live"

    @property
    def _tracer(self) -> Tracer | None:
        """The tracer; None if the provider creates no spans."""
        provider = self._provider or trace.get_tracer_provider()
        if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
            return None
        return provider.get_tracer("enact_pool", enact_pool.__version__)

    def emit(self, event: StreamEvent) -> None:
        """Receive the next event, in the thread of its run."""
        try:
            self._trace(event)
        finally:
            emitter = self._emitter
            if emitter is not None and (isinstance(event, _OUTCOMES) or is_live(emitter)):
                emitter.emit(event)

    def _trace(self, event: StreamEvent) -> None:
        if isinstance(event, ExecutionStart):
            self._begin(event)
        elif event.span is not None:
            run = self._runs.get(event.span.run_id)
            if run is not None:
                run.add_event(event, event.span)
        elif isinstance(event, WorkerEnd):
            run = self._runs.get(event.execution_id)
            if run is not None:
                run.add_worker_end(event)
        elif isinstance(event, ExecutionEnd):
            run = self._runs.pop(event.execution_id, None)
            if run is not None:
                run.end(event)

    def _begin(self, event: ExecutionStart) -> None:
        context = contexts.get_current()
        tracer, first = self._tracer, None
        if tracer is not None:
            run = _TracedRun.of(tracer, context, event)
            self._runs[event.execution_id] = run
            context, first = run.context, run.first
        propagation = ContextPropagation.of(context, first)
        if propagation is not None:
            event.wrap_calls(propagation)


class _SpanIds:
    """An SDK tracer's id generator that returns `next` as the next span id, if it is set."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self.next: int | None = None

    def generate_span_id(self) -> int:
        id, self.next = self.next, None
        return int(self._generator.generate_span_id()) if id is None else id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)


@define
class _Failure:
    """An error for a span: a short cause, the type and the text of an exception, and its stack."""

    cause: str
    type: str
    message: str
    stack: str

    @classmethod
    def of(cls, event: StreamEvent) -> _Failure | None:
        """Return the failure of a callable; None if it did not fail."""
        if isinstance(event, StepEnd) and event.err is not None:
            err = event.err
            # "_OTHER" is the semantic conventions' value for an unknown cause.
            return cls(err.type or "_OTHER", err.type, err.error, err.traceback)
        if isinstance(event, ExecutionFailed):
            error = event.error
            category, stack = error.category.value, error.details.get("stack")
            return cls(error.code or category, category, error.message, str(stack or ""))
        return None


@define
class _TracedRun:
    """A run with its span, and the state for the spans of its callables."""

    _tracer: Tracer
    _ids: _SpanIds | None
    _span: trace.Span
    context: Context
    # The ids of the callables' spans are counted from it; None if the tracer cannot use them.
    first: int | None
    # The start events of callables without an outcome, by their indexes.
    _started: dict[int, StepStart] = field(factory=dict, init=False)
    # The latest end of a span, in nanoseconds.
    _latest: int = field(default=0, init=False)

    @classmethod
    def of(cls, tracer: Tracer, parent: Context, event: ExecutionStart) -> _TracedRun:
        """Start the span of a run that begins."""
        ids, first = None, None
        if hasattr(tracer, "id_generator"):
            # A copy: other code uses the same tracer.
            sdk_tracer: Any = copy.copy(tracer)
            ids = sdk_tracer.id_generator = _SpanIds(sdk_tracer.id_generator)
            tracer = sdk_tracer
            first = int.from_bytes(os.urandom(8), "big")
        attributes: _Attributes = {
            "enact_pool.execution_id": str(event.execution_id),
            "enact_pool.max_workers": event.max_workers,
        }
        if event.callables is not None:
            attributes["enact_pool.callables"] = event.callables
        span = tracer.start_span("enact_pool.run", parent, attributes=attributes)
        return cls(tracer, ids, span, trace.set_span_in_context(span, parent), first)

    def add_event(self, event: StreamEvent, at: Span) -> None:
        """Process the start or the outcome of a callable."""
        if isinstance(event, StepStart):
            self._started[at.index] = event
            return
        self._started.pop(at.index, None)
        if not isinstance(event, ExecutionCancelled):
            self._add(event, at, at.outcome or "", _Failure.of(event))
        elif at.started_at is not None:
            self._add(event, at, "cancelled", cancelled_for=event.reason)

    def add_worker_end(self, event: WorkerEnd) -> None:
        """Add the exit of a worker to the span of the run."""
        attributes: _Attributes = {
            "process.pid": event.worker_pid,
            "enact_pool.lane": event.lane,
            "enact_pool.reason": event.reason,
        }
        self._span.add_event("enact_pool.worker_end", attributes)

    def end(self, event: ExecutionEnd) -> None:
        """End the span of the run."""
        now = time.time_ns()
        for started in self._started.values():
            if started.span is not None:
                self._add(started, started.span, "abandoned", ends_ns=now)
        for outcome in get_args(Outcome):
            self._span.set_attribute(f"enact_pool.{outcome}", getattr(event, outcome))
        # The clock of the events may be ahead of this clock.
        self._span.end(max(now, self._latest))

    def _add(
        self,
        event: StreamEvent,
        at: Span,
        outcome: str,
        failure: _Failure | None = None,
        *,
        cancelled_for: str = "",
        ends_ns: int | None = None,
    ) -> None:
        """Create the span of a callable."""
        now = time.time_ns()
        starts_ns = now if at.started_at is None else round(at.started_at * 1e6)
        if ends_ns is None:
            ends_ns = starts_ns if at.finished_at is None else round(at.finished_at * 1e6)
        self._latest = max(self._latest, ends_ns)
        attributes: _Attributes = {
            "code.function.name": at.name,
            "enact_pool.execution_id": str(event.execution_id),
            "enact_pool.index": at.index,
            "enact_pool.outcome": outcome,
        }
        if at.started_at is not None and at.worker_pid is not None and at.lane is not None:
            attributes["process.pid"] = at.worker_pid
            attributes["enact_pool.lane"] = at.lane
            attributes["enact_pool.queued_ms"] = at.started_at - at.queued_at
        if failure is not None:
            attributes["error.type"] = failure.cause
        if cancelled_for:
            attributes["enact_pool.reason"] = cancelled_for
        if self._ids is not None and self.first is not None:
            self._ids.next = span_id_at(self.first, at.index)
        span = self._tracer.start_span(
            at.name, self.context, attributes=attributes, start_time=starts_ns
        )
        if failure is not None:
            exception = {"exception.message": failure.message}
            if failure.type:
                exception["exception.type"] = failure.type
            if failure.stack:
                exception["exception.stacktrace"] = failure.stack
            span.add_event("exception", exception, ends_ns)
            span.set_status(Status(StatusCode.ERROR, failure.message))
        span.end(ends_ns)
