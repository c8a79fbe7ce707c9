"""Events of outcomes: one for each result, in the order in which results are released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from enact_pool._events.emitter import Emitter, EventBatch, EventEmitter
from enact_pool._events.events import ExecutionCancelled, ExecutionFailed, StreamEvent
from enact_pool._model.errors import now_ms
from enact_pool._model.ids import fresh_ids
from enact_pool._model.results import ParallelResult, outcome_of
from enact_pool._observe.delivery import Delivery

if TYPE_CHECKING:
    from enact_pool._observe.live import LiveEvents

__all__ = ["OutcomeEvents"]

# If a subclass overrides `emit`, or a patch replaced it, it is called for each event: see below.
_EMIT = EventEmitter.emit


class OutcomeEvents:
    """Emits the events of outcomes; with `live`, these events have spans."""

    wants_texts = True

    def __init__(self, emitter: Emitter, delivery: Delivery, live: LiveEvents | None) -> None:
        self._emitter = emitter
        self._delivery = delivery
        self._live = live
        # The texts of returned values, by task, until their results are released.
        self._texts: dict[int, str] = {}
        self._cancel_reason = ""

    @property
    def error(self) -> BaseException | None:
        """What the emitter has raised first."""
        return self._delivery.error

    def run_cancelled(self, reason: str) -> None:
        """Keep the reason for the events of cancelled tasks."""
        self._cancel_reason = reason

    def tasks_settled(
        self,
        tasks: Sequence[int],
        names: Sequence[str],
        results: Sequence[ParallelResult[Any]],
        texts: Mapping[int, str],
    ) -> None:
        """Keep the texts of returned values."""
        if texts:
            self._texts.update(texts)

    def results_released(self, tasks: Sequence[int], results: list[ParallelResult[Any]]) -> None:
        """Emit the events of these results."""
        # Events keep only the fields that they need: the values of results may be large.
        ids = [result._execution_id for result in results]
        outputs: list[Any] = [result._output for result in results]
        if self._texts:
            outputs = [
                self._texts.pop(task, output) for task, output in zip(tasks, outputs, strict=True)
            ]
        durations = [result.duration_ms for result in results]
        now = now_ms()
        others: dict[int, StreamEvent] = {}
        errors = [result.error for result in results]
        if errors.count(None) < len(errors):
            for index, error in enumerate(errors):
                if error is not None:
                    others[index] = ExecutionFailed(ids[index], error, now)
        if self._cancel_reason:
            for index, result in enumerate(results):
                if outcome_of(result) == "cancelled":
                    others[index] = ExecutionCancelled(ids[index], self._cancel_reason, now)
        step_ids = fresh_ids.take(len(results))
        # The garbage collector does not track tuples of plain values.
        columns = tuple(ids), step_ids, tuple(outputs), tuple(durations)
        events = EventBatch(*columns, others, now)
        emitter, call = self._emitter, self._delivery.call
        emit = emitter.emit
        if self._live is not None:
            for task, event in zip(tasks, events, strict=True):
                call(emit, self._live.with_span(task, event))
        elif isinstance(emitter, EventEmitter) and getattr(emit, "__func__", None) is _EMIT:
            call(emitter.emit_batch, events)
        else:
            for event in events:
                call(emit, event)
