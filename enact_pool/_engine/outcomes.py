"""The outcomes of tasks, and the results that are made of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from enact_pool._core.observer import Hooks
from enact_pool._core.postmortem import Verdict
from enact_pool._core.release_order import ReleaseOrder
from enact_pool._engine.task_source import TaskSource
from enact_pool._lanes.base import StartError
from enact_pool._lanes.death import Death
from enact_pool._model.errors import ExecutionError
from enact_pool._model.ids import fresh_ids
from enact_pool._model.limits import LimitViolation
from enact_pool._model.results import CANCELLED, OUTCOME_TYPE_IDS, Err, Ok, ParallelResult
from enact_pool._python.durations import duration_text
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.source_lines import add_source_lines
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import NONE, Ending

__all__ = ["Outcomes", "Rebuilt"]


class Rebuilt:
    """A large value that was rebuilt, in the place of its pickle."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Outcomes:
    """Makes the results of a run's tasks, and settles the tasks.

    Attributes:
        has_failed: Whether a task has ended as anything but ok.
    """

    def __init__(
        self, order: ReleaseOrder[ParallelResult[Any]], source: TaskSource, hooks: Hooks
    ) -> None:
        self._order = order
        self._source = source
        self._hooks = hooks
        self.has_failed = False
        # Execution ids are made when tasks are submitted, as numbers. Most runs submit all at
        # once: then each id is an addition away from its task, and none has to be kept.
        self._id_of_first: int | None = None
        self._later_ids: dict[int, int] = {}

    def expect(self, tasks: range) -> None:
        """Make ids for tasks that are new."""
        ids = fresh_ids.take(len(tasks))
        if self._id_of_first is None:
            self._id_of_first = ids.start - tasks.start
        else:
            self._later_ids.update(zip(tasks, ids, strict=True))
        for hook in self._hooks.tasks_queued:
            hook(tasks, self._source.total)

    def id_of(self, task: int) -> int:
        """Return the number of the execution id of a task that is not settled."""
        return self._later_ids.get(task, (self._id_of_first or 0) + task)

    def _take_ids(self, tasks: Iterable[int]) -> list[int]:
        distance, later = self._id_of_first or 0, self._later_ids
        if not later:
            return [distance + task for task in tasks]
        return [later.pop(task, distance + task) for task in tasks]

    def answered(
        self,
        tasks: list[int],
        ran_ns: list[int],
        endings: bytearray,
        payloads: list[bytes | Rebuilt],
    ) -> None:
        """Settle tasks that have run: for so long, and with these endings and payloads."""
        # What a quick task costs the caller is spent here: most of this runs in C.
        ids = self._take_ids(tasks)
        count = len(tasks)
        outputs: list[Any] = [None] * count
        errors: dict[int, Err] = {}
        texts: dict[int, str] = {}
        # Very many callables have nothing to return.
        if not payloads.count(NONE) == endings.count(Ending.VALUE) == count:
            outputs, errors = _rebuilt(payloads)
            if max(endings) > Ending.VALUE:
                _unpack(tasks, endings, outputs, errors, texts)
            if not OUTCOME_TYPE_IDS.isdisjoint(map(id, map(type, outputs))):
                outputs = [
                    Ok(value) if id(type(value)) in OUTCOME_TYPE_IDS else value for value in outputs
                ]
        if errors:
            self.has_failed = True
            for index, err in errors.items():
                outputs[index] = err
        durations = [ns / 1e6 for ns in ran_ns]
        names = self._source.settle(tasks)
        results = list(map(ParallelResult, names, ids, outputs, repeat(None), durations))
        for hook in self._hooks.tasks_settled:
            hook(tasks, names, results, texts)
        self._order.settle(tasks, results)

    def refused(self, task: int, err: Err) -> None:
        """Settle a task that could not be sent: it, or the input, cannot be pickled."""
        self.has_failed = True
        self._settle(task, err)

    def cancelled(self, tasks: list[int], reason: str, ran_ms: float = 0.0) -> None:
        """Settle tasks that were killed after so many milliseconds, or never started."""
        for hook in self._hooks.run_cancelled:
            hook(reason)
        for task in tasks:
            self._settle(task, CANCELLED, ran_ms=ran_ms)

    def violated(self, verdict: Verdict, violation: LimitViolation, left_running: str) -> None:
        """Settle a task whose worker was killed for a limit violation.

        Args:
            verdict: What that means for the task.
            violation: Which limit, and by how much.
            left_running: What may be the cause instead, as a clause; mostly empty.
        """
        self.has_failed = True
        task, name = verdict.task, self._source.name(verdict.task)
        message = (
            f"callable {task} ({name}) {violation.predicate} while {verdict.doing}, and was killed"
        ) + _also(left_running)
        details = {"index": task, "name": name, "ran_ms": verdict.ran_ms, **violation.details}
        error = ExecutionError(violation.category, message, code=violation.code, details=details)
        self._settle(task, Err(message), error, verdict.ran_ms)

    def _settle(
        self, task: int, err: Err, error: ExecutionError | None = None, ran_ms: float = 0.0
    ) -> None:
        """Settle a task under its own name and id."""
        names = self._source.settle([task])
        (id,) = self._take_ids([task])
        self._settle_one(task, names, ParallelResult(names[0], id, err, error, ran_ms))

    def crashed(
        self, verdict: Verdict, death: Death, fault: str, left_running: str, *, seen_late: bool
    ) -> None:
        """Settle a task whose worker has died.

        Args:
            verdict: What the worker's death means for the task.
            death: How the worker died.
            fault: The message instead, if it was killed for a fault.
            left_running: What may be the cause instead, as a clause; mostly empty.
            seen_late: Whether it may have been dead for a while.
        """
        task = verdict.task
        names = self._source.settle([task])
        (name,) = names
        details = {
            "index": task,
            "name": name,
            "ran_ms": verdict.ran_ms,
            "exit_code": death.exit_code,
            "signal": death.signal,
            "stack": death.stack,
            "out_of_memory": death.out_of_memory,
        }
        message = f"worker {fault or death} while {verdict.doing} callable {task} ({name})"
        if verdict.doing in ("unpickling", "receiving"):
            message += " or its input"
        if verdict.ran_ms:
            at_most = "at most " if seen_late else ""
            message += f", {at_most}{duration_text(verdict.ran_ms)} after it began"
        message += _also(left_running)
        error = ExecutionError.kernel_internal(message, code=death.code, details=details)
        stack = add_source_lines(death.stack, of_files=True)
        self._settle_crash(task, names, error, stack, verdict.ran_ms)

    def not_started(self, task: int, cause: StartError) -> None:
        """Settle a task that no worker could be started for."""
        names = self._source.settle([task])
        details = {"index": task, "name": names[0]}
        message = f"no worker could be started: {cause.reason}"
        error = ExecutionError.kernel_internal(message, code="start_failed", details=details)
        self._settle_crash(task, names, error, add_source_lines(cause.traceback), 0.0)

    def _settle_crash(
        self, task: int, names: list[str], error: ExecutionError, stack: str, ran_ms: float
    ) -> None:
        self.has_failed = True
        self._take_ids([task])  # its execution did not end: the crash has an id of its own
        output = Err(error.message, traceback=stack)
        (fresh_id,) = fresh_ids.take(1)
        result: ParallelResult[Any] = ParallelResult("unknown", fresh_id, output, error, ran_ms)
        self._settle_one(task, names, result)

    def _settle_one(self, task: int, names: list[str], result: ParallelResult[Any]) -> None:
        for hook in self._hooks.tasks_settled:
            hook([task], names, [result], {})
        self._order.settle([task], [result])

    def withdrawn(self, task: int) -> None:
        """Forget a task that will have no result."""
        self._source.settle([task])
        self._take_ids([task])
        self._order.withdraw()
        for hook in self._hooks.task_withdrawn:
            hook(task)


def _also(clause: str) -> str:
    return clause and f"; {clause}"


def _unpack(
    tasks: Sequence[int],
    endings: Iterable[int],
    values: list[Any],
    errors: dict[int, Err],
    texts: dict[int, str],
) -> None:
    """Unpack the payloads that are no plain values: errors, and values with a text."""
    for index, (task, ending, value) in enumerate(zip(tasks, endings, values, strict=False)):
        if index in errors:
            continue
        try:
            if ending == Ending.ERROR:
                text, kind, traceback, *exception = value
                errors[index] = Err(text, kind, add_source_lines(traceback), *exception)
            elif ending == Ending.SHOWN or ending == Ending.LARGE_SHOWN:
                values[index], texts[task] = value
        except (TypeError, ValueError) as error:
            # A callable has overwritten what its worker had noted.
            what = "the worker's memory was damaged: its answer cannot be decoded"
            errors[index] = Err(f"{what} ({error})")


def _rebuilt(payloads: list[bytes | Rebuilt]) -> tuple[list[Any], dict[int, Err]]:
    """Return the values; and for those that cannot be rebuilt an error, by index."""
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
