"""Events, spans and errors as JSON, as server-sent events, and back."""

from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sseclient import SSEClient

from enact_pool import (
    ExecutionCancelled,
    ExecutionEnd,
    ExecutionError,
    ExecutionErrorCategory,
    ExecutionFailed,
    ExecutionId,
    ExecutionStart,
    Span,
    StepEnd,
    StepId,
    StepStart,
    StreamEvent,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)


def without_pairs(text: str) -> str:
    """Return the text with each pair of surrogates replaced by the character that it encodes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# Often with lone surrogates, and characters that some readers treat as line ends.
odd = st.sampled_from("\ud800\udfff\n\r\0\x0b\x1c\x85\u2028\u2029\ufeff\\\":'")
texts = st.text(st.characters() | odd, max_size=12).map(without_pairs)
numbers = st.integers(0, 2**160 - 1)
execution_ids = numbers.map(ExecutionId.spell)
step_ids = numbers.map(StepId.spell)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers()
json_values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
errors = st.builds(
    ExecutionError,
    category=st.sampled_from(ExecutionErrorCategory),
    message=texts,
    code=st.none() | texts,
    attempt=integers,
    details=st.dictionaries(texts, json_values, max_size=3),
    occurred_at=integers,
)
spans = st.builds(
    Span,
    run_id=execution_ids,
    index=integers,
    name=texts,
    lane=st.none() | integers,
    worker_pid=st.none() | integers,
    queued_at=floats,
    started_at=st.none() | floats,
    finished_at=st.none() | floats,
    outcome=st.none() | st.sampled_from(["ok", "failed", "crashed", "cancelled"]),
    traceback=texts,
)
of_all = {
    "execution_id": execution_ids,
    "timestamp": integers,
    "span": st.none() | spans,
}
of_worker = {**of_all, "lane": integers, "worker_pid": integers}
# Also with ids that are still numbers, as in the events of a run.
kinds: list[st.SearchStrategy[StreamEvent]] = [
    st.builds(
        StepEnd,
        **{**of_all, "execution_id": numbers},
        step_id=numbers,
        output=st.none() | texts,
        duration_ms=floats,
    ),
    st.builds(ExecutionFailed, **of_all, error=errors),
    st.builds(ExecutionCancelled, **of_all, reason=texts),
    st.builds(ExecutionStart, **of_all, callables=st.none() | integers, max_workers=integers),
    st.builds(
        ExecutionEnd,
        **of_all,
        ok=integers,
        failed=integers,
        crashed=integers,
        cancelled=integers,
        duration_ms=floats,
    ),
    st.builds(StepStart, **of_all, step_id=step_ids),
    st.builds(WorkerStart, **of_worker),
    st.builds(WorkerEnd, **of_worker, reason=texts),
    st.builds(WorkerMemory, **of_worker, resident_bytes=integers),
]
events = st.one_of(kinds)


@given(events)
def test_an_event_equals_the_one_read_from_its_dict_and_its_json(event: StreamEvent) -> None:
    line = event.to_json()
    assert line.isascii()
    assert "\n" not in line
    for back in (
        StreamEvent.from_dict(event.to_dict()),
        StreamEvent.from_json(line),
        type(event).from_json(line),
    ):
        assert type(back) is type(event)
        assert back == event
        assert repr(back) == repr(event)


@given(spans, errors)
def test_a_span_and_an_error_equal_those_read_from_their_dicts(
    span: Span, error: ExecutionError
) -> None:
    assert Span.from_dict(json.loads(json.dumps(span.to_dict()))) == span
    assert ExecutionError.from_dict(json.loads(json.dumps(error.to_dict()))) == error


def test_a_pair_of_surrogates_is_read_as_the_character_that_it_encodes() -> None:
    event = ExecutionCancelled(ExecutionId.new(), "\ud83d\ude00")
    back = StreamEvent.from_json(event.to_json())
    assert isinstance(back, ExecutionCancelled)
    assert back.reason == "\U0001f600"


@given(st.lists(events, max_size=4), st.integers(1, 40))
def test_a_client_reads_server_sent_events(emitted: list[StreamEvent], chunk_size: int) -> None:
    stream = "".join(event.to_sse() for event in emitted).encode()
    chunks = [stream[at : at + chunk_size] for at in range(0, len(stream), chunk_size)]
    # Its types allow only files, but it accepts chunks as well.
    seen = list(SSEClient(chunks).events())  # type: ignore[arg-type]
    assert [StreamEvent.from_json(event.data) for event in seen] == emitted
    assert [event.event for event in seen] == [event.type for event in emitted]
    assert [event.id for event in seen] == [
        str(getattr(event, "step_id", event.execution_id)) for event in emitted
    ]


def test_a_server_sent_event_can_have_an_id_of_the_caller() -> None:
    event = ExecutionCancelled(ExecutionId.new(), "for a test")
    assert event.to_sse(17) == (
        f"id: 17\nevent: data-execution-cancelled\ndata: {event.to_json()}\n\n"
    )
    for id in ("a\nevent: other", "a\r", "\0"):
        with pytest.raises(ValueError, match="id of a server-sent event cannot be"):
            event.to_sse(id)


def test_a_number_that_is_not_finite_raises_both_ways() -> None:
    for number in (nan, inf, -inf):
        event = StepEnd(ExecutionId.new(), StepId.new(), "", number)
        with pytest.raises(ValueError, match="not JSON compliant"):
            event.to_json()
        with pytest.raises(ValueError, match=r"bad duration_ms: .* is not a finite number"):
            StreamEvent.from_dict(event.to_dict())
        with pytest.raises(ValueError, match="is not a JSON number"):
            StreamEvent.from_json(json.dumps(event.to_dict()))


def changed(event: StreamEvent, **fields: object) -> dict[str, Any]:
    return {**event.to_dict(), **fields}


STEP_END = StepEnd(ExecutionId.new(), StepId.new(), "", 1.5)
FAILED = ExecutionFailed(ExecutionId.new(), ExecutionError.kernel_internal("it died"))
SPAN = Span(ExecutionId.new(), 0, "a", None, None, 1.5, None, None)


# Mappings that are not events, and the error messages.
NO_EVENTS: list[tuple[Any, str]] = [
    ([], r"an event must be a mapping with its fields, not \[\]"),
    ({}, "an event must have a type"),
    ({"type": "data-nothing"}, "there is no event of type 'data-nothing'"),
    ({"type": [1]}, r"there is no event of type \[1\]"),
    ({"type": "data-step-end"}, "a data-step-end must have execution_id"),
    (changed(STEP_END, more=1), "a data-step-end has no field 'more'"),
    (
        changed(STEP_END, step_id="exec_"),
        "bad step_id: 'exec_' is not a valid StepId: expected 'step_'",
    ),
    (changed(STEP_END, execution_id=7), "a data-step-end has a bad execution_id: 7 is not a text"),
    (changed(STEP_END, output=b""), "bad output: b'' is not a text"),
    (changed(STEP_END, timestamp=True), "bad timestamp: True is not an integer"),
    (changed(STEP_END, timestamp=1.0), "bad timestamp: 1.0 is not an integer"),
    (changed(STEP_END, duration_ms="1"), "bad duration_ms: '1' is not a finite number"),
    (changed(STEP_END, span=None), "bad span: a span must be a mapping"),
    (changed(STEP_END, span={}), "bad span: a span must have run_id"),
    (
        changed(STEP_END, span={**SPAN.to_dict(), "outcome": "great"}),
        "bad span: a span has a bad outcome: 'great' is not one of ok, failed, ",
    ),
    (changed(FAILED, error="boom"), "bad error: an error must be a mapping"),
    (
        changed(FAILED, error={**FAILED.error.to_dict(), "category": "bad_luck"}),
        "an error has a bad category: 'bad_luck' is not one of llm_error, ",
    ),
    (
        changed(FAILED, error={**FAILED.error.to_dict(), "details": []}),
        r"an error has a bad details: \[\] is not a mapping",
    ),
]


def test_a_mapping_that_is_not_an_event_is_refused_with_the_reason() -> None:
    for wrong, message in NO_EVENTS:
        with pytest.raises(ValueError, match=message):
            StreamEvent.from_dict(wrong)


def test_a_text_that_is_not_an_event_is_refused() -> None:
    for text in ("", "{", "[" * 100_000, "1" * 10_000, STEP_END.to_json() + "x"):
        with pytest.raises(
            ValueError, match=r"the text is not (JSON|an event): .|an event must be"
        ):
            StreamEvent.from_json(text)


def test_an_event_class_reads_only_its_own_events() -> None:
    with pytest.raises(ValueError, match="a data-step-end was expected, not a data-execution-f"):
        StepEnd.from_dict(FAILED.to_dict())
