"""Tracing: `TracingEmitter` turns the events of a run into OpenTelemetry spans.

    the caller's current span
      enact_pool._engine.run              from ExecutionStart to ExecutionEnd
        the callable's name       when it ran, as its worker says, and what it came to
          ...                     spans that it makes itself, in its worker

Most libraries make the span of a task in its worker (Celery's and Ray's instrumentation
do), where a crash would take it along. Here the parent makes it, of the event in which
the callable has ended: with its exact times, whatever became of the worker, and nothing
is held for a callable that waits. So that the callable's own spans can be its children,
its id has to be known before: ids are counted from a random one on, and the tracer is
given the one that is due instead of a random one. That takes the tracer of
`opentelemetry-sdk`, or one that has an `id_generator` as it has; with others, the spans
that callables make themselves are children of the run's.

What a worker's spans are exported with is to be configured there: in an initializer.
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

# What an emitter that is not live is told.
_OUTCOMES = (StepEnd, ExecutionFailed, ExecutionCancelled)

_Attributes = dict[str, "str | int | float"]


@public
class TracingEmitter:
    """An emitter that makes a span for each run and each callable, and passes events on.

    A run's span is a child of the span that is current in the caller when the run
    begins. A callable finds its own span, and the caller's baggage, in its worker's
    current context. Spans of callables are made when they are told of, in their
    order. Those that never started have one without a duration if they failed, and
    none if they were cancelled: the run's span counts these. Errors and crashes end
    a span with an error status and an exception event; being cancelled, or given up
    with its run, is no error, and told by the attribute `enact_pool.outcome`.

    `emitter` is given all events, or if it is not live, those that it would be given
    alone. `tracer_provider` defaults to the global one. With none configured, there
    are no spans, and the context is handed over all the same.

    Any number of runs, of any threads, may have the same one.
    """

    def __init__(
        self, emitter: Emitter | None = None, *, tracer_provider: TracerProvider | None = None
    ) -> None:
        """Raises `TypeError` for an emitter that cannot emit."""
        check_emitter(emitter)
        self._emitter = emitter
        self._provider = tracer_provider
        self._runs: dict[str, _TracedRun] = {}

    @property
    def mode(self) -> EmitterMode:
        """Live, unless nothing would come of it: neither a span nor a context to hand over."""
        if self._tracer is not None or is_live(self._emitter):
            return "live"
        return "outcomes" if ContextPropagation.of(contexts.get_current(), None) is None else "live"

    @property
    def _tracer(self) -> Tracer | None:
        """What makes spans; None if the provider says that nothing does."""
        provider = self._provider or trace.get_tracer_provider()
        if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
            return None
        return provider.get_tracer("enact_pool", enact_pool.__version__)

    def emit(self, event: StreamEvent) -> None:
        """Take the next event, in the thread of its run."""
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
                run.take(event, event.span)
        elif isinstance(event, WorkerEnd):
            run = self._runs.get(event.execution_id)
            if run is not None:
                run.lose_worker(event)
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
        handover = ContextPropagation.of(context, first)
        if handover is not None:
            event.wrap_calls(handover)


class _SpanIds:
    """An SDK tracer's generator of ids, but for the span ids that are set beforehand."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual
        self.next: int | None = None

    def generate_span_id(self) -> int:
        id, self.next = self.next, None
        return int(self._usual.generate_span_id()) if id is None else id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)


@define
class _Failure:
    """What is told of an error: a short cause, an exception's type and text, and where it was."""

    cause: str
    type: str
    message: str
    stack: str

    @classmethod
    def of(cls, event: StreamEvent) -> _Failure | None:
        """What a callable has come to; None if it has not failed."""
        if isinstance(event, StepEnd) and event.err is not None:
            err = event.err
            # The word that the conventions have for an unknown cause.
            return cls(err.type or "_OTHER", err.type, err.error, err.traceback)
        if isinstance(event, ExecutionFailed):
            error = event.error
            category, stack = error.category.value, error.details.get("stack")
            return cls(error.code or category, category, error.message, str(stack or ""))
        return None


@define
class _TracedRun:
    """A run with its span, and what is needed for those of its callables."""

    _tracer: Tracer
    _ids: _SpanIds | None
    _span: trace.Span
    context: Context
    # What makes the ids of the callables' spans; None if the tracer cannot be told them.
    first: int | None
    # What has begun and was not told of since, by its index.
    _begun: dict[int, StepStart] = field(factory=dict, init=False)
    # The latest end of a span, in nanoseconds.
    _latest: int = field(default=0, init=False)

    @classmethod
    def of(cls, tracer: Tracer, parent: Context, event: ExecutionStart) -> _TracedRun:
        """A run that begins."""
        ids, first = None, None
        if hasattr(tracer, "id_generator"):
            # A copy: others have the same tracer.
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

    def take(self, event: StreamEvent, at: Span) -> None:
        """What has become of a callable."""
        if isinstance(event, StepStart):
            self._begun[at.index] = event
            return
        self._begun.pop(at.index, None)
        if not isinstance(event, ExecutionCancelled):
            self._add(event, at, at.outcome or "", _Failure.of(event))
        elif at.started_at is not None:
            self._add(event, at, "cancelled", cancelled_for=event.reason)

    def lose_worker(self, event: WorkerEnd) -> None:
        """A worker has ended."""
        attributes: _Attributes = {
            "process.pid": event.worker_pid,
            "enact_pool.lane": event.lane,
            "enact_pool.reason": event.reason,
        }
        self._span.add_event("enact_pool.worker_end", attributes)

    def end(self, event: ExecutionEnd) -> None:
        """The run is over."""
        now = time.time_ns()
        for begun in self._begun.values():
            assert begun.span is not None
            self._add(begun, begun.span, "abandoned", ends_ns=now)
        for outcome in get_args(Outcome):
            self._span.set_attribute(f"enact_pool.{outcome}", getattr(event, outcome))
        # The clock that times are told by may be ahead of this one.
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
        """Make the span of a callable."""
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
