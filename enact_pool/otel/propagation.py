"""The caller's OpenTelemetry context, as the callables of a run have it in their workers.

Workers import this, when there is a context to hand over: no more than OpenTelemetry's API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["ContextPropagation", "span_id_at"]

T = TypeVar("T")

# Not the global propagator: that may be another one in the workers, and both ends are ours.
_PROPAGATORS = TraceContextTextMapPropagator(), W3CBaggagePropagator()


def span_id_at(first: int, index: int) -> int:
    """The id of the span of a callable, by its place in its run; `first` is random."""
    # The id 0 means that there is no span.
    return (first + index) % ((1 << 64) - 1) + 1


class ContextPropagation:
    """A call wrapper (see `ExecutionStart.wrap_calls`) that lets a callable run in a context.

    Its current span is the context's, or if `first` is given the callable's own, by
    the id that it will have (see `span_id_at`); and the baggage is the context's.
    """

    def __init__(self, carrier: dict[str, str], first: int | None) -> None:
        self._carrier = carrier
        self._first = first
        context = Context()
        for propagator in _PROPAGATORS:
            context = propagator.extract(carrier, context)
        self._context = context
        self._parent = trace.get_current_span(context).get_span_context()

    @classmethod
    def of(cls, context: Context, first: int | None) -> ContextPropagation | None:
        """For a context; None if nothing in it travels."""
        carrier: dict[str, str] = {}
        for propagator in _PROPAGATORS:
            propagator.inject(carrier, context)
        return cls(carrier, first) if carrier else None

    def __reduce__(self) -> tuple[type[ContextPropagation], tuple[dict[str, str], int | None]]:
        return ContextPropagation, (self._carrier, self._first)

    def __call__(self, index: int, call: Callable[[], T]) -> T:
        token = contexts.attach(self._context_at(index))
        try:
            return call()
        finally:
            contexts.detach(token)

    def _context_at(self, index: int) -> Context:
        if self._first is None:
            return self._context
        parent = self._parent
        own = SpanContext(
            parent.trace_id,
            span_id_at(self._first, index),
            is_remote=True,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        return trace.set_span_in_context(NonRecordingSpan(own), self._context)
