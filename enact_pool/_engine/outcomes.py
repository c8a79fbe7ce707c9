"""From answers and deaths to results and events, in the order of the callables."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from enact_pool._core.schedule import Schedule
from enact_pool._engine.sources import TaskSource
from enact_pool._events.emitter import Emitter, EventBatch, EventEmitter, is_live
from enact_pool._events.events import ExecutionCancelled, ExecutionFailed, StreamEvent
from enact_pool._lanes.death import Death
from enact_pool._model.errors import ExecutionError, now_ms
from enact_pool._model.ids import ExecutionId, TaskIds, fresh_ids
from enact_pool._model.limits import LimitViolation
from enact_pool._model.results import CANCELLED, TOLD, Err, Ok, ParallelResult, Tally
from enact_pool._observe.live import LiveEvents
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.source_lines import with_sources
from enact_pool._python.texts import describe, duration_text
from enact_pool._wire.frames import NONE, Ending

if TYPE_CHECKING:
    from enact_pool._observe.log_receiver import LogReceiver

__all__ = ["Outcomes", "Rebuilt"]

# Who has put another one in its place, or overrides it, is given each event by it.
_EMIT = EventEmitter.emit


class Rebuilt:
    """A value that has come in a parcel, in the place of a pickle."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Outcomes:
    """The outcomes of a run's callables: settled in any order, told in theirs."""

    def __init__(
        self,
        schedule: Schedule[Any, ParallelResult[Any]],
        work: TaskSource,
        emitter: Emitter | None,
        max_workers: int,
        *,
        forward_logs: bool,
    ) -> None:
        self._schedule = schedule
        self._work = work
        self._emitter = emitter
        self._ids = TaskIds()
        # None if nobody is to be told of what happens as it happens.
        self.live: LiveEvents | None = None
        if is_live(emitter):
            self.live = LiveEvents(max_workers, self.name, self._ids.of)
        # What callables log; None if nobody wants to know.
        self.records: LogReceiver | None = None
        if forward_logs:
            from enact_pool._observe.log_receiver import LogReceiver

            self.records = LogReceiver(self.name, self.id)
        # What events show of returned values, if the worker has made a text; by
        # the ids of their results.
        self._texts: dict[ExecutionId | int, str] = {}
        # What callables have printed that have no result yet.
        self._printed: dict[int, tuple[bytes, bytes]] = {}
        # What has run and is no result yet: tasks, nanoseconds, endings, payloads.
        self._ran: tuple[list[int], list[int], bytearray, list[bytes | Rebuilt]]
        self._ran = [], [], bytearray(), []
        # Of those that are known, told or not; None if nobody wants to see it.
        self.tally: Tally | None = None
        # Whether an outcome is not `Ok`, and whether one has an `ExecutionError`.
        self.has_failed = False
        self._has_errors = False
        # Why some were cancelled.
        self._cancel_reason = ""
        self.emitter_error: Exception | None = None

    def expect(self, tasks: range) -> None:
        """These tasks will have outcomes."""
        self._ids.expect(tasks)
        if self.live is not None:
            self.live.queued(tasks, self._work.total)

    def answered(
        self,
        tasks: list[int],
        ran_ns: list[int],
        endings: bytearray,
        payloads: list[bytes | Rebuilt],
    ) -> None:
        """These callables have run: for so long, and with these endings and payloads.

        There may be more of those than of callables.
        """
        count = len(tasks)
        all_tasks, all_ran_ns, all_endings, all_payloads = self._ran
        all_tasks += tasks
        all_ran_ns += ran_ns[:count]
        all_endings += endings[:count]
        all_payloads += payloads[:count]

    @property
    def unmade(self) -> int:
        """How many callables have run of which there is no result yet."""
        return len(self._ran[0])

    def make_results(self) -> None:
        """Settle the callables that have run."""
        if not self.unmade:
            return
        (tasks, ran_ns, endings, payloads), self._ran = self._ran, ([], [], bytearray(), [])
        # What a quick callable costs is spent here: most of this runs in C.
        ids = self._ids.pop(tasks)
        outputs: list[Any] = [None] * len(tasks)
        errors: dict[int, Err] = {}
        # Very many callables have nothing to return.
        if not payloads.count(NONE) == endings.count(Ending.VALUE) == len(tasks):
            outputs, errors = _rebuilt(payloads)
            if max(endings) > Ending.VALUE:
                self._take_endings(ids, endings, outputs, errors)
            if not TOLD.isdisjoint(map(id, map(type, outputs))):
                outputs = [Ok(value) if id(type(value)) in TOLD else value for value in outputs]
        for index, err in errors.items():
            outputs[index] = err
            self.has_failed = True
        if self.tally is not None:
            self.tally.failed += len(errors)
            self.tally.ok += len(tasks) - len(errors)
        durations = [ns / 1e6 for ns in ran_ns]
        names = self._work.settle(tasks)
        if self.live is not None:
            self.live.settled(tasks, ids, names)
        results = map(ParallelResult, names, ids, outputs, repeat(None), durations)
        self._settle_all(dict(zip(tasks, results, strict=True)))

    def _settle_all(self, results: dict[int, ParallelResult[Any]]) -> None:
        for task in self._printed.keys() & results.keys() if self._printed else ():
            results[task]._printed = self._printed.pop(task)
        self._schedule.settle(results)

    def printed(self, task: int, printed: tuple[bytes, bytes]) -> None:
        """The callable, which is about to have an outcome, has printed this."""
        self._printed.setdefault(task, printed)

    def _take_endings(
        self, ids: list[int], endings: Iterable[int], values: list[Any], errors: dict[int, Err]
    ) -> None:
        """Take apart what came otherwise than as a value alone."""
        for index, (id, ending, value) in enumerate(zip(ids, endings, values, strict=True)):
            if index in errors:
                continue
            try:
                if ending == Ending.ERROR:
                    text, kind, traceback, *exception = value
                    errors[index] = Err(text, kind, with_sources(traceback), *exception)
                elif ending == Ending.SHOWN or ending == Ending.LARGE_SHOWN:
                    values[index], self._texts[id] = value
            except (TypeError, ValueError) as error:
                # A callable has overwritten what its worker had noted.
                errors[index] = Err(f"the answer of its worker makes no sense: {error}")

    def name(self, task: int) -> str:
        """The name of a callable that has no outcome yet."""
        return self._work.name(task)

    def withdrawn(self, task: int) -> None:
        """Nobody wants an outcome of this callable any more."""
        self._work.settle([task])
        self._ids.pop([task])
        if self.live is not None:
            self.live.withdrawn(task)

    def id(self, task: int) -> int:
        """The number of the execution id of a callable that has no outcome yet."""
        return self._ids.of(task)

    def refused(self, task: int, err: Err) -> None:
        """The callable could not be run: it, or the input, does not travel."""
        self.has_failed = True
        if self.tally is not None:
            self.tally.failed += 1
        self._settle(task, err)

    def cancelled(self, tasks: list[int], reason: str, ran_ms: float = 0.0) -> None:
        """These callables were killed after so many milliseconds, or never started."""
        self._cancel_reason = reason
        if self.tally is not None:
            self.tally.cancelled += len(tasks)
        for task in tasks:
            self._settle(task, CANCELLED, ran_ms=ran_ms)

    def exceeded(self, task: int, excess: LimitViolation, doing: str, ran_ms: float) -> None:
        """The callable has broken a limit, and its worker was killed for it."""
        self.has_failed = True
        if self.tally is not None:
            self.tally.crashed += 1
        name = self.name(task)
        message = f"callable {task} ({name}) {excess.says} while {doing}, and was killed"
        details = {"index": task, "name": name, "ran_ms": ran_ms, **excess.details}
        error = ExecutionError(excess.category, message, code=excess.code, details=details)
        self._settle(task, Err(message), error, ran_ms)

    def _settle(
        self, task: int, err: Err, error: ExecutionError | None = None, ran_ms: float = 0.0
    ) -> None:
        """The callable has come to this, under its own name and id."""
        self._has_errors |= error is not None
        (name,) = self._work.settle([task])
        (id,) = self._ids.pop([task])
        if self.live is not None:
            self.live.settled([task], [id], [name])
        self._settle_all({task: ParallelResult(name, id, err, error, ran_ms)})

    def died(
        self, task: int, death: Death, circumstances: str, ran_ms: float, *, seen_late: bool
    ) -> None:
        """The callable's worker is dead, and it is to blame; maybe for a while, if `seen_late`."""
        (name,) = self._work.settle([task])
        details = {
            "index": task,
            "name": name,
            "ran_ms": ran_ms,
            "exit_code": death.exit_code,
            "signal": death.signal,
            "stack": death.stack,
            "out_of_memory": death.out_of_memory,
        }
        message = f"{circumstances} callable {task} ({name})"
        if ran_ms:
            at_most = "at most " if seen_late else ""
            message += f", {at_most}{duration_text(ran_ms)} after it began"
        error = ExecutionError.kernel_internal(message, code=death.code, details=details)
        stack = with_sources(death.stack, of_files=True)
        self._settle_failure(task, name, error, stack, ran_ms)

    def not_started(self, task: int, reason: str) -> None:
        """There is no worker to run the callable."""
        (name,) = self._work.settle([task])
        details = {"index": task, "name": name}
        message = f"no worker could be started: {reason}"
        error = ExecutionError.kernel_internal(message, code="start_failed", details=details)
        self._settle_failure(task, name, error, "", 0.0)

    def _settle_failure(
        self, task: int, name: str, error: ExecutionError, stack: str, ran_ms: float
    ) -> None:
        self.has_failed = self._has_errors = True
        if self.tally is not None:
            self.tally.crashed += 1
        self._ids.pop([task])  # which is not told
        output = Err(error.message, traceback=stack)
        (fresh_id,) = fresh_ids.take(1)
        if self.live is not None:
            self.live.settled([task], [fresh_id], [name])
        result: ParallelResult[Any] = ParallelResult("unknown", fresh_id, output, error, ran_ms)
        self._settle_all({task: result})

    @property
    def runs_emitter(self) -> bool:
        """Whether an emitter of the caller's runs code of its own, which may print."""
        return self._emitter is not None and type(self._emitter) is not EventEmitter

    @property
    def has_news(self) -> bool:
        """Whether there is something to be told that is no outcome."""
        if self.records is not None and self.records.has_untold:
            return True
        return self.live is not None and self.live.has_events

    def tell(self, results: list[ParallelResult[Any]]) -> None:
        """Emit what is new, and the events of these outcomes, whose turn has come."""
        self._tell_records()
        if self.live is not None:
            self._emit_each(self.live.take())
        if self._emitter is not None and results:
            self._emit(self._emitter, results)

    def tell_end(self) -> None:
        """Tell what was logged and not told yet, and that the run is over."""
        self._tell_records()
        if self.live is not None:
            self._emit_each(self.live.ended())

    def _tell_records(self) -> None:
        if self.records is not None:
            for record in self.records.take():
                self._hand_over(self.records.tell, record)

    def _emit_each(self, events: Iterable[StreamEvent]) -> None:
        assert self._emitter is not None
        for event in events:
            self._hand_over(self._emitter.emit, event)

    def _emit(self, emitter: Emitter, results: list[ParallelResult[Any]]) -> None:
        # Of what results have, no more than events need: values may be large.
        ids = [result._execution_id for result in results]
        outputs: list[Any] = [result._output for result in results]
        if self._texts:
            outputs = [self._texts.pop(id, output) for id, output in zip(ids, outputs, strict=True)]
        durations = [result.duration_ms for result in results]
        now = now_ms()
        others: dict[int, StreamEvent] = {}
        if self._has_errors:
            for index, result in enumerate(results):
                if result.error is not None:
                    others[index] = ExecutionFailed(ids[index], result.error, now)
        if self._cancel_reason:
            for index, output in enumerate(outputs):
                if output is CANCELLED:
                    others[index] = ExecutionCancelled(ids[index], self._cancel_reason, now)
        step_ids = fresh_ids.take(len(results))
        # Tuples of plain values are nothing to the garbage collector, lists are.
        columns = tuple(ids), step_ids, tuple(outputs), tuple(durations)
        events = EventBatch(*columns, others, now)
        emit = emitter.emit
        if self.live is not None:
            self._emit_each(map(self.live.in_place, ids, events))
        elif isinstance(emitter, EventEmitter) and getattr(emit, "__func__", None) is _EMIT:
            self._hand_over(emitter.emit_batch, events)
        else:
            self._emit_each(events)

    def _hand_over(self, emit: Callable[[Any], object], what: object) -> None:
        try:
            emit(what)
        except Exception as error:
            raise_interrupt(error)
            # The run goes on, and the later ones are handed over.
            if self.emitter_error is None:
                self.emitter_error = error


def _rebuilt(payloads: list[bytes | Rebuilt]) -> tuple[list[Any], dict[int, Err]]:
    """The values, and by their indices what is in the place of those that cannot be had."""
    if not set(map(type, payloads)) - {bytes}:
        return _loaded(payloads, pickle.loads)
    return _loaded(payloads, _value)


def _loaded(
    payloads: list[bytes | Rebuilt], rebuild: Callable[[Any], Any]
) -> tuple[list[Any], dict[int, Err]]:
    values: list[Any] = []
    errors: dict[int, Err] = {}
    rest = iter(payloads)
    while len(values) < len(payloads):
        try:
            # Keeps those before one that cannot be rebuilt.
            values.extend(map(rebuild, rest))
            if len(values) < len(payloads):
                raise StopIteration  # as one of them has, which only ends the map
        except BaseException as error:
            raise_interrupt(error)
            errors[len(values)] = Err(*describe(error, "the return value cannot be rebuilt: "))
            values.append(None)
    return values, errors


def _value(payload: bytes | Rebuilt) -> Any:
    return pickle.loads(payload) if isinstance(payload, bytes) else payload.value
