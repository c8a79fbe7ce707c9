"""From answers and deaths to results and events, in the order of the callables."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from enact_pool.death import Death
from enact_pool.errors import ExecutionError, now_ms
from enact_pool.events import Emitter, EventEmitter, ExecutionFailed, StepEnd, StreamEvent
from enact_pool.ids import ExecutionId, fresh_ids
from enact_pool.interrupts import is_interrupt
from enact_pool.results import Err, Ok, ParallelResult
from enact_pool.schedule import Schedule
from enact_pool.texts import describe
from enact_pool.wire import Answer
from enact_pool.work import Work

if TYPE_CHECKING:
    from enact_pool.parcel import Parcel

__all__ = ["Outcomes"]


class Outcomes:
    """The outcomes of a run's callables: settled in any order, told in theirs."""

    def __init__(
        self,
        schedule: Schedule[Any, ParallelResult[Any]],
        work: Work,
        emitter: Emitter | None,
    ) -> None:
        self._schedule = schedule
        self._work = work
        self._emitter = emitter
        self._ids: dict[int, int] = {}
        # What events show of returned values, if the worker has made a text; by
        # the ids of their results.
        self._texts: dict[ExecutionId | int, str] = {}
        self.emitter_error: Exception | None = None

    def expect(self, tasks: range) -> None:
        """These tasks will have outcomes."""
        self._ids.update(zip(tasks, fresh_ids.take(len(tasks)), strict=True))

    def answered(
        self, tasks: list[int], answers: list[tuple[tuple[int, ...], bytes | Parcel]]
    ) -> None:
        """The worker has run these callables, which returned or raised."""
        # What a quick callable costs is spent here: few calls, few lookups.
        ids, texts, loads = self._ids, self._texts, pickle.loads
        value_kind, shown_kind = Answer.VALUE, Answer.SHOWN
        results: dict[int, ParallelResult[Any]] = {}
        names = self._work.names(tasks)
        for task, name, ((_, kind, _, ran_ns, _), payload) in zip(
            tasks, names, answers, strict=True
        ):
            id = ids.pop(task)
            output: Ok[Any] | Err
            try:
                value = loads(payload) if isinstance(payload, bytes) else payload.rebuild()
            except BaseException as error:
                if is_interrupt(error):
                    raise
                what = "the return value cannot be rebuilt: "
                output = Err(*describe(error, what))
            else:
                if kind == value_kind or kind == Answer.LARGE_VALUE:
                    output = Ok(value)
                elif kind == shown_kind or kind == Answer.LARGE_SHOWN:
                    value, texts[id] = value
                    output = Ok(value)
                else:
                    output = Err(*value)
            results[task] = ParallelResult(name, id, output, None, ran_ns / 1e6)
        self._settle(results)

    def refused(self, task: int, err: Err) -> None:
        """The callable could not be run: it, or the input, does not travel."""
        (name,) = self._work.names([task])
        self._settle({task: ParallelResult(name, self._ids.pop(task), err)})

    def died(self, task: int, death: Death, circumstances: str, ran_ms: float) -> None:
        """The callable's worker is dead, and it is to blame."""
        (name,) = self._work.names([task])
        details = {
            "index": task,
            "name": name,
            "exit_code": death.exit_code,
            "signal": death.signal,
            "stack": death.stack,
        }
        message = f"{circumstances} callable {task} ({name})"
        error = ExecutionError.kernel_internal(message, code=death.code, details=details)
        self._settle_failure(task, error, death.stack, ran_ms)

    def not_started(self, task: int, reason: str) -> None:
        """There is no worker to run the callable."""
        (name,) = self._work.names([task])
        details = {"index": task, "name": name}
        message = f"no worker could be started: {reason}"
        error = ExecutionError.kernel_internal(message, code="start_failed", details=details)
        self._settle_failure(task, error, "", 0.0)

    def _settle_failure(self, task: int, error: ExecutionError, stack: str, ran_ms: float) -> None:
        output = Err(error.message, traceback=stack)
        (fresh_id,) = fresh_ids.take(1)
        result: ParallelResult[Any] = ParallelResult("unknown", fresh_id, output, error, ran_ms)
        del self._ids[task]
        self._settle({task: result})

    def _settle(self, results: dict[int, ParallelResult[Any]]) -> None:
        self._work.settle(results)
        self._schedule.settle(results)

    def tell(self, results: list[ParallelResult[Any]]) -> None:
        """Emit the events of these outcomes, whose turn has come."""
        if self._emitter is not None:
            self._emit(self._emitter, results)

    def _emit(self, emitter: Emitter, results: list[ParallelResult[Any]]) -> None:
        step_ids, now, texts = fresh_ids.take(len(results)), now_ms(), self._texts
        # The ids are handed on as the numbers they are, not spelled out.
        events: list[StreamEvent] = [
            StepEnd(
                result._execution_id,
                step_id,
                texts.pop(result._execution_id, result.output),
                result.duration_ms,
                timestamp=now,
            )
            if result.error is None
            else ExecutionFailed(result._execution_id, result.error, timestamp=now)
            for result, step_id in zip(results, step_ids, strict=True)
        ]
        if type(emitter) is EventEmitter:
            self._hand_over(emitter.emit_all, events)
        else:
            for event in events:
                self._hand_over(emitter.emit, event)

    def _hand_over(self, emit: Callable[[Any], object], what: object) -> None:
        try:
            emit(what)
        except Exception as error:
            if is_interrupt(error):
                raise
            # The run goes on, and the later events are emitted.
            if self.emitter_error is None:
                self.emitter_error = error
