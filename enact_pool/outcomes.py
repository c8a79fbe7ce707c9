"""From answers and deaths to results and events, in the order of the callables."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any

from enact_pool.callables import name_of
from enact_pool.death import Death
from enact_pool.errors import ExecutionError, now_ms
from enact_pool.events import Emitter, EventEmitter, ExecutionFailed, StepEnd, StreamEvent
from enact_pool.ids import fresh_ids
from enact_pool.results import Err, Ok, ParallelResult
from enact_pool.schedule import Schedule
from enact_pool.texts import describe
from enact_pool.wire import Answer

__all__ = ["Outcomes"]


class Outcomes:
    """The outcomes of a run's callables: settled in any order, told in theirs."""

    def __init__(
        self,
        schedule: Schedule[Any, ParallelResult[Any]],
        callables: list[Any],
        emitter: Emitter | None,
    ) -> None:
        self._schedule = schedule
        self._callables = callables
        self._emitter = emitter
        self._ids = fresh_ids.take(len(callables))
        self._results: list[ParallelResult[Any]] = []
        # What events show of returned values, if the worker has made a text.
        self._texts: dict[int, str] = {}
        self._emitter_error: Exception | None = None

    def answered(self, tasks: list[int], answers: list[tuple[tuple[int, ...], bytes]]) -> None:
        """The worker has run these callables, which returned or raised."""
        # What a quick callable costs is spent here: few calls, few lookups.
        ids, callables, loads = self._ids, self._callables, pickle.loads
        value_kind, shown_kind = Answer.VALUE, Answer.SHOWN
        results: dict[int, ParallelResult[Any]] = {}
        for task, ((_, kind, _, ran_ns, _), payload) in zip(tasks, answers, strict=True):
            output: Ok[Any] | Err
            try:
                value = loads(payload)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                what = "the return value cannot be rebuilt: "
                output = Err(*describe(error, __file__, what))
            else:
                if kind == value_kind:
                    output = Ok(value)
                elif kind == shown_kind:
                    value, self._texts[task] = value
                    output = Ok(value)
                else:
                    output = Err(*value)
            called = callables[task]
            name = called.__name__ if type(called) is FunctionType else name_of(called)
            results[task] = ParallelResult(name, ids[task], output, None, ran_ns / 1e6)
        self._schedule.settle(results)

    def refused(self, task: int, err: Err) -> None:
        """The callable could not be run: it, or the input, does not travel."""
        name = name_of(self._callables[task])
        self._schedule.settle({task: ParallelResult(name, self._ids[task], err)})

    def died(self, task: int, death: Death, circumstances: str, ran_ms: float) -> None:
        """The callable's worker is dead, and it is to blame."""
        name = name_of(self._callables[task])
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
        details = {"index": task, "name": name_of(self._callables[task])}
        message = f"no worker could be started: {reason}"
        error = ExecutionError.kernel_internal(message, code="start_failed", details=details)
        self._settle_failure(task, error, "", 0.0)

    def _settle_failure(self, task: int, error: ExecutionError, stack: str, ran_ms: float) -> None:
        output = Err(error.message, traceback=stack)
        (fresh_id,) = fresh_ids.take(1)
        result: ParallelResult[Any] = ParallelResult("unknown", fresh_id, output, error, ran_ms)
        self._schedule.settle({task: result})

    def tell(self) -> None:
        """Give out the outcomes whose turn has come."""
        released = self._schedule.release()
        if not released:
            return
        first = len(self._results)
        self._results.extend(released)
        if self._emitter is None:
            return
        step_ids, now, texts = fresh_ids.take(len(released)), now_ms(), self._texts
        # The ids are handed on as the numbers they are, not spelled out.
        events: list[StreamEvent] = [
            StepEnd(
                result._execution_id,
                step_id,
                texts.pop(task, result.output),
                result.duration_ms,
                timestamp=now,
            )
            if result.error is None
            else ExecutionFailed(result._execution_id, result.error, timestamp=now)
            for task, (result, step_id) in enumerate(zip(released, step_ids, strict=True), first)
        ]
        if type(self._emitter) is EventEmitter:
            self._emit(self._emitter.emit_all, events)
        else:
            for event in events:
                self._emit(self._emitter.emit, event)

    def _emit(self, emit: Callable[[Any], object], what: object) -> None:
        try:
            emit(what)
        except Exception as error:
            # The run goes on, and the later events are emitted.
            if self._emitter_error is None:
                self._emitter_error = error

    def results(self) -> list[ParallelResult[Any]]:
        """The results; raises the first exception of the emitter, with them in `results`."""
        if self._emitter_error is not None:
            vars(self._emitter_error)["results"] = self._results
            raise self._emitter_error
        return self._results
