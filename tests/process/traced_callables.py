"""Callables for the tests of tracing, and the exporter of their spans in workers."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from enact_pool import run_parallel
from enact_pool.otel.tracing import TracingEmitter


class FileExporter(SpanExporter):
    """Appends the name, trace id, span id and parent's id of each span to a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(self._path, "a") as file:
            for span in spans:
                assert span.context is not None
                parent = span.parent.span_id if span.parent is not None else 0
                line = [span.name, span.context.trace_id, span.context.span_id, parent]
                file.write(json.dumps(line) + "\n")
        return SpanExportResult.SUCCESS


def export_to(path: str) -> None:
    """Export spans of this worker to a file; an initializer."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter(path)))
    trace.set_tracer_provider(provider)


def exported(path: Path) -> list[tuple[str, int, int, int]]:
    """Return the spans of workers: names, trace ids, span ids, parents' ids."""
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]


def make_span(name: str) -> None:
    with trace.get_tracer("user").start_as_current_span(name):
        pass


def return_baggage(_: object) -> dict[str, object]:
    make_span("returned")
    return dict(baggage.get_all())


async def awaited(_: object) -> None:
    make_span("awaited's own")


def raises(_: object) -> None:
    raise LookupError("not here")


def segfault(_: object) -> None:
    make_span("last words")
    ctypes.string_at(0)


def nested(_: object) -> None:
    run_parallel([awaited], 0, TracingEmitter())


def span_ids(_: object) -> tuple[int, int, int, int]:
    context = trace.get_current_span().get_span_context()
    return os.getpid(), context.trace_id, context.span_id, int(context.trace_flags)
