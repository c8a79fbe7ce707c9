"""Drivers: threads that make plans, run them, and check the results."""

from __future__ import annotations

import faulthandler
import os
import resource
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.chaos.fault_log import FaultLog, Span
from benchmarks.chaos.plans import Plan, make_plan
from benchmarks.chaos.result_checks import Report, problem_of_nested
from benchmarks.chaos.run_checks import EmitterError, check
from benchmarks.chaos.tasks import StartLog, Task, closure, run_task
from benchmarks.chaos.values import input_value
from enact_pool import (
    EventEmitter,
    Ok,
    ParallelResult,
    Pool,
    StreamEvent,
    imap_parallel,
    iter_parallel,
    map_parallel,
    run_parallel,
)
from enact_pool._api.default_pool import default_pool

__all__ = ["Driver"]

_MOST_DRIVERS = 1 << 6

# How many callables an emitter runs, and how many seconds a forked child may take for them.
_NESTED = 3
_CHILD_S = 30.0

# For how long, and at how many events, a slow emitter sleeps.
_EMIT_S = 0.005
_EMIT_EVERY = 20


class _Listener:
    """An emitter that keeps the events. Depending on `kind` it is slow, or raises an error.

    `action` is called at the second event.
    """

    def __init__(self, kind: str, action: Callable[[], None]) -> None:
        self._kind = kind
        self._action = action
        self.events: list[StreamEvent] = []

    def emit(self, event: StreamEvent) -> None:
        self.events.append(event)
        if self._kind == "slow" and len(self.events) % _EMIT_EVERY == 0:
            time.sleep(_EMIT_S)
        if self._kind == "raising" and len(self.events) == 3:
            raise EmitterError("at the third event")
        if len(self.events) == 2:
            self._action()


class Driver:
    """The work of one thread. The same seed and number make the same plans."""

    def __init__(
        self, seed: int, number: int, folder: Path, shared: Pool, faults: FaultLog
    ) -> None:
        self.name = f"driver-{number}"
        self._random = Random(f"{seed} {number}")
        self._seed = seed
        self._number = number
        self._shared = shared
        self._faults = faults
        self._log = StartLog(folder / self.name)
        self._step = 0
        # Nested tasks that have started: those of a killed worker may be logged late.
        self._nested: set[tuple[int, int, int]] = set()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def step(self) -> None:
        """Make the next plan, run it, and check the results."""
        self._step += 1
        # No other driver's plan has this number.
        number = self._step * _MOST_DRIVERS + self._number
        plan = make_plan(self._random, number, self._where(number), self._log.path)
        report = self._run(plan)
        check(report, self._faults)
        self._faults.count("runs")
        self._faults.count("callables", len(plan.tasks))
        self._faults.count("results", len(report.results))

    def _where(self, plan: int) -> str:
        return f"seed {self._seed}, {self.name}, step {plan // _MOST_DRIVERS}"

    def check_late_starts(self) -> None:
        """Check that no task of earlier steps starts while nothing runs."""
        self._starts_of(None)
        self._nested.clear()

    def _starts_of(self, plan: Plan | None) -> dict[int, list[int]]:
        """Return which tasks of the plan were started, and by which workers."""
        starts: dict[int, list[int]] = {}
        count = 0
        for number, index, nested, worker in self._log.new_entries():
            count += 1
            where = self._where(number)
            if nested:
                if (number, index, nested) in self._nested:
                    self._faults.report_violation(where, f"task {index}.{nested} started again")
                self._nested.add((number, index, nested))
            elif plan is None or number != plan.number:
                self._faults.report_violation(where, f"task {index} started after its run")
            else:
                starts.setdefault(index, []).append(worker)
        self._faults.count("starts", count)
        self._faults.record_starts(worker for workers in starts.values() for worker in workers)
        return starts

    def _run(self, plan: Plan) -> Report:
        """Run the plan."""
        results: list[ParallelResult[Any]] = []
        raised: BaseException | None = None
        self._starts_of(None)
        with ExitStack() as stack:
            if plan.place == "shared":
                pool = self._shared
            elif plan.place == "default":
                pool = default_pool()
            else:
                pool = Pool(plan.workers, idle_timeout=plan.idle_timeout)
                stack.enter_context(pool)
            listener = self._listener(plan, pool)
            canceller = _Canceller(plan.cancels_after, pool, self._faults)
            begin = time.monotonic()
            with canceller:
                try:
                    self._call(plan, pool, listener, results)
                except BaseException as error:
                    raised = error
                    results += vars(error).get("results", [])
            span = Span(begin, time.monotonic())
            starts = self._starts_of(plan)
        events: list[StreamEvent] | None = None
        if isinstance(listener, EventEmitter):
            events = list(listener.drain())
        elif listener is not None:
            events = listener.events
        if raised is not None:
            # Its traceback keeps frames, which keep lanes.
            raised = raised.with_traceback(None)
        return Report(plan, span, id(pool), results, events, raised, starts)

    def _listener(self, plan: Plan, pool: Pool) -> Any:
        if plan.emitter == "none":
            return None
        if plan.emitter == "events":
            return EventEmitter()
        actions: dict[str, Callable[[], None]] = {
            "nesting": lambda: self._nest(plan, pool),
            "forking": lambda: self._fork(plan),
        }
        return _Listener(plan.emitter, actions.get(plan.emitter, lambda: None))

    def _nest(self, plan: Plan, pool: Pool) -> None:
        """Run callables on the same pool, within a run."""
        begin = time.monotonic()
        for result in pool.run_parallel([abs] * _NESTED, -3):
            span = Span(begin, time.monotonic())
            if problem := problem_of_nested(result, span, pool, self._faults):
                self._faults.report_violation(plan.where, f"in an emitter: {problem}: {result!r}")

    def _fork(self, plan: Plan) -> None:
        """Run callables in a forked child, which has no other thread."""
        child = os.fork()
        if child == 0:
            _run_and_exit()
        _, status = os.waitpid(child, 0)
        self._faults.count("forks")
        if status:
            what = f"a forked child ended with {os.waitstatus_to_exitcode(status)}"
            self._faults.report_violation(plan.where, f"{what}\n    {plan!r}")

    def _call(
        self, plan: Plan, pool: Pool, listener: Any, results: list[ParallelResult[Any]]
    ) -> None:
        options: dict[str, Any] = {
            "pool": None if plan.place == "default" else pool,
            "timeout": plan.timeout,
            "max_memory": plan.max_memory,
            "max_tasks_per_worker": plan.max_tasks,
            "fail_fast": plan.fail_fast,
            "max_workers": plan.max_workers,
        }
        if plan.is_lazy:
            options["ordered"] = plan.ordered
        call: Callable[..., Any]
        found: Any
        items: Iterable[Any]
        if plan.is_map:
            call = imap_parallel if plan.is_lazy else map_parallel
            found = call(run_task, plan.tasks, listener, **options)
        else:
            call = iter_parallel if plan.is_lazy else run_parallel
            items = [_as_closure(task) for task in plan.tasks] if plan.as_closures else plan.tasks
            found = call(items, input_value(*plan.input), listener, **options)
        if not plan.is_lazy:
            results += found
            return
        try:
            for result in found if plan.stops_after != 0 else ():
                results.append(result)
                if plan.pause_s:
                    time.sleep(plan.pause_s)
                if len(results) == plan.stops_after:
                    break
        finally:
            found.close()


def _run_and_exit() -> None:
    """Run callables in a forked child; exit with 0 if their results are right."""
    try:
        # No alarm: signals are blocked while a worker is started.
        threading.Thread(target=_exit_if_it_hangs, daemon=True).start()
        # The descriptor limit was lowered for the parent alone.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        results = run_parallel([abs] * _NESTED, -3)
        os._exit(0 if [result.output for result in results] == [Ok(3)] * _NESTED else 3)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(4)


def _exit_if_it_hangs() -> None:
    time.sleep(_CHILD_S)
    faulthandler.dump_traceback()
    os._exit(5)


def _as_closure(task: Task) -> Any:
    if task.kind in ("unpicklable", "unloadable"):
        return task
    return closure(task.kind, task.plan, task.index, task.amount, task.log)


class _Canceller:
    """Cancels a pool after some seconds (None: never), in its own thread."""

    def __init__(self, seconds: float | None, pool: Pool, faults: FaultLog) -> None:
        self._pool = pool
        self._faults = faults
        self._timer = None if seconds is None else threading.Timer(seconds, self._cancel)

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _cancel(self) -> None:
        with self._faults.during("cancel", id(self._pool)):
            self._pool.cancel()
