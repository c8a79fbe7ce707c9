"""The caller's OpenTelemetry context, made current in workers while the callables of a run run.

Workers import this module if there is a context to propagate. It needs only OpenTelemetry's API.
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

# Not the global propagator: workers may have another one. Both ends use these.
_PROPAGATORS = TraceContextTextMapPropagator(), W3CBaggagePropagator()


def span_id_at(first: int, index: int) -> int:
    """Return the id of a callable's span, by its place in the run; `first` is random."""
    # The id 0 is invalid: it means that there is no span.
    return (first + index) % ((1 << 64) - 1) + 1


class ContextPropagation:
    """A call wrapper (see `ExecutionStart.wrap_calls`) that runs callables in a context.

    The current span is the callable's own, by the id that the span will have (see `span_id_at`); or
    that of the context, if `first` is None. The baggage is that of the context.
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
        """Return the wrapper for a context; None if the context contains nothing to propagate."""
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
