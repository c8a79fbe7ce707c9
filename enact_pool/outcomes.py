"""From answers and deaths to results and events, in the order of the callables."""

from __future__ import annotations

import pickle
from typing import Any

from enact_pool.callables import name_of
from enact_pool.death import Death
from enact_pool.errors import ExecutionError
from enact_pool.events import Emitter, StreamEvent
from enact_pool.ids import fresh_ids
from enact_pool.results import Err, Ok, ParallelResult
from enact_pool.schedule import Schedule
from enact_pool.texts import describe
from enact_pool.wire import Answer

__all__ = ["Outcome", "Outcomes"]

# A result, and the text that its event shows; None if nobody wants events.
Outcome = tuple[ParallelResult[Any], "str | None"]

# Looking up a member of an enum takes longer than all else in the hot loop.
_SHOWN, _ERROR = int(Answer.SHOWN), int(Answer.ERROR)


class Outcomes:
    """The outcomes of a run's callables: settled in any order, told in theirs."""

    def __init__(
        self, schedule: Schedule[Any, Outcome], callables: list[Any], emitter: Emitter | None
    ) -> None:
        self._schedule = schedule
        self._callables = callables
        self._emitter = emitter
        self._ids = fresh_ids.take(len(callables))
        self._results: list[ParallelResult[Any]] = []
        self._emitter_error: Exception | None = None

    def answered(self, task: int, kind: int, payload: bytes, ran_ms: float) -> None:
        """The worker has run the callable, which returned or raised."""
        if kind == _ERROR:
            self._settle(task, Err(*pickle.loads(payload)), ran_ms)
            return
        try:
            value = pickle.loads(payload)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            what = "the return value cannot be rebuilt: "
            self._settle(task, Err(*describe(error, __file__, what)), ran_ms)
            return
        text = None
        if kind == _SHOWN:
            value, text = value
        self._settle(task, Ok(value), ran_ms, text)

    def refused(self, task: int, err: Err) -> None:
        """The callable could not be run: it, or the input, does not travel."""
        self._settle(task, err, 0.0)

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

    def _settle(
        self, task: int, output: Ok[Any] | Err, ran_ms: float, text: str | None = None
    ) -> None:
        if text is None and self._emitter is not None:
            # A value without a text shows itself: see `texts.shows_itself`.
            text = str(output.value) if isinstance(output, Ok) else f"Error: {output.error}"
        name = name_of(self._callables[task])
        result = ParallelResult(name, self._ids[task], output, None, ran_ms)
        self._schedule.settle(task, (result, text))

    def _settle_failure(self, task: int, error: ExecutionError, stack: str, ran_ms: float) -> None:
        output = Err(error.message, traceback=stack)
        (fresh_id,) = fresh_ids.take(1)
        result: ParallelResult[Any] = ParallelResult("unknown", fresh_id, output, error, ran_ms)
        self._schedule.settle(task, (result, None))

    def tell(self) -> None:
        """Give out the outcomes whose turn has come."""
        released = list(self._schedule.release())
        if not released:
            return
        self._results.extend(result for result, _ in released)
        if self._emitter is None:
            return
        for step_id, (result, text) in zip(fresh_ids.take(len(released)), released, strict=True):
            event: StreamEvent
            # The ids are handed on as the numbers they are, not spelled out.
            if result.error is not None:
                event = StreamEvent.execution_failed(result._execution_id, result.error)
            else:
                event = StreamEvent.step_end(
                    result._execution_id, step_id, text, result.duration_ms
                )
            try:
                self._emitter.emit(event)
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
