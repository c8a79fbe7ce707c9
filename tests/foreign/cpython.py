"""`make foreign`: CPython's own tests of its process pool, run against `PoolExecutor`.

The interpreter includes them as `test.test_concurrent_futures`, and they are imported
from there; some distributions omit them. Tests that fail are listed below with the
reason; a listed test that passes is an error.
"""

from __future__ import annotations

import importlib
import sys
import threading
import unittest
import unittest.mock
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from types import ModuleType
from typing import Any

import psutil

from enact_pool import PoolExecutor
from enact_pool._api.executor_thread import ExecutorThread
from enact_pool._engine.futures import CallFuture

_SUITE = "test.test_concurrent_futures"
# Python 3.12 and later has a package.
_PARTS = ["as_completed", "deadlock", "future", "init", "process_pool", "shutdown", "wait"]

# The tests try four start methods; ours resembles this one.
_CASES = "ProcessPoolSpawn"

_NOT_BROKEN = "a dead worker costs only its call, and the executor stays usable"
_OWN_ERROR = "a value that cannot be rebuilt fails only its own call, with the reason"
_TYPE = "futures have their own type, whose name is in the message"
_INSIDES = "the test replaces parts of ProcessPoolExecutor that PoolExecutor lacks"

# Failing tests, by class and test without the start method: the reason, and a part of
# the failure's text.
DEVIATIONS = {
    "ProcessPoolExecutorTest.test_killed_child": (_NOT_BROKEN, "BrokenProcessPool not raised"),
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": (
        "workers are always started as new interpreters, whatever the context",
        "_mp_context",
    ),
    "ProcessPoolExecutorTest.test_python_finalization_error": (_INSIDES, "missing 1 required"),
    "ProcessPoolShutdownTest.test_cancel_futures": (
        "calls that have not started are cancelled, and at that time none has",
        "0 not greater than 0",
    ),
    "FailingInitializerTest.test_initializer": (
        "workers are started again for later calls, and may not fail then",
        "_broken",
    ),
    "FutureTests.test_multiple_set_exception": (_TYPE, "CallFuture"),
    "FutureTests.test_multiple_set_result": (_TYPE, "CallFuture"),
    "ExecutorDeadlockTest.test_error_at_task_unpickle": (_OWN_ERROR, "UnpicklingError"),
    "ExecutorDeadlockTest.test_exit_at_task_unpickle": (_OWN_ERROR, "SystemExit"),
    "ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": (
        _OWN_ERROR,
        "UnpicklingError",
    ),
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": (
        _OWN_ERROR,
        "SystemExit",
    ),
}


class _Process(psutil.Process):  # type: ignore[misc]
    """A worker, with the interface of a `multiprocessing.Process`."""

    def join(self) -> None:
        self.wait()


class _Joinable:
    """An object whose `join_thread` does nothing."""

    def join_thread(self) -> None: ...


class _Adapted(PoolExecutor):
    """A `PoolExecutor` with the attributes of `ProcessPoolExecutor` that the tests use."""

    _call_queue = _Joinable()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _made.add(self)

    @property
    def _processes(self) -> dict[int, _Process]:
        while True:
            # Read first: calls may finish as soon as they have workers.
            pending = self._pending
            lanes = list(self._pool._lane_pool.lanes())
            pids = [lane.pid for lane in lanes if lane.is_there]
            if len(pids) >= min(pending, self._max_workers):
                return {pid: _Process(pid) for pid in pids}
            # The executor's thread starts workers shortly after calls are submitted.
            threading.Event().wait(0.001)

    @property
    def _pending(self) -> int:
        if self._thread is None:
            return 0
        calls = self._thread.calls
        # While nothing is on its way from the queue to the run.
        with calls._turn.guard:
            return len(calls._waiting) + len(calls._futures)

    @property
    def _executor_manager_thread(self) -> ExecutorThread:
        assert self._thread is not None
        return self._thread


_made: weakref.WeakSet[_Adapted] = weakref.WeakSet()


def _shut_down(case: type[unittest.TestCase]) -> Callable[[unittest.TestCase], None]:
    """Run the end of a test, which failing tests do not reach."""

    def tear_down(test: unittest.TestCase) -> None:
        # Keep no executor here: the test looks for threads that are left.
        deque(map(_Adapted.shutdown, list(_made)), maxlen=0)
        case.tearDown(test)

    return tear_down


# Two modules: a test is skipped if its module is the standard library's.
_Tested = type("ProcessPoolExecutor", (_Adapted,), {})
_Named = type("ProcessPoolExecutor", (_Adapted,), {})


def _modules() -> Iterator[ModuleType]:
    suite = importlib.import_module(_SUITE)
    if hasattr(suite, "__path__"):
        for part in _PARTS:
            yield importlib.import_module(f"{_SUITE}.test_{part}")
    else:
        yield suite


def _with_ours(script: str) -> str:
    """Return a script that uses our executor instead of `ProcessPoolExecutor`."""
    theirs = "from concurrent.futures import ProcessPoolExecutor"
    if theirs not in script:
        raise AssertionError("the script has changed")
    # One of them forgets to import it.
    return "import multiprocessing\n" + script.replace(
        theirs, "from enact_pool import PoolExecutor as ProcessPoolExecutor"
    )


def _adapt(module: ModuleType) -> None:
    # Only for the tests of futures.
    for user in (module, getattr(sys.modules[_SUITE], "util", module)):
        vars(user)["Future"] = CallFuture
    run = getattr(module, "assert_python_ok", None)
    if run is not None:
        vars(module)["assert_python_ok"] = lambda option, script: run(option, _with_ours(script))


def _tests(module: ModuleType) -> Iterator[unittest.TestCase]:
    for name, case in list(vars(module).items()):
        if isinstance(case, type) and issubclass(case, unittest.TestCase):
            if name.startswith(_CASES):
                body: dict[str, Any] = {
                    "executor_type": _Tested,
                    "tearDown": _shut_down(case),
                    "__module__": module.__name__,
                }
                adapted = type(name, (case,), body)
                # In workers, the name is that of the original.
                setattr(module, name, adapted)
                yield from _tests_of(adapted)
            elif name == "FutureTests":
                yield from _tests_of(case)


def _tests_of(case: type[unittest.TestCase]) -> Iterator[unittest.TestCase]:
    return map(case, unittest.defaultTestLoader.getTestCaseNames(case))


def _name(test: unittest.TestCase) -> str:
    return f"{type(test).__name__.removeprefix(_CASES)}.{test._testMethodName}"


def main() -> int:
    """Run the tests; return the exit code."""
    try:
        modules = list(_modules())
    except ImportError as error:
        print(f"skipped: this Python comes without its own tests ({error})")
        return 0
    tests: dict[str, unittest.TestCase] = {}
    for module in modules:
        _adapt(module)
        tests.update((_name(test), test) for test in _tests(module))
    if len(tests) < 50:
        raise AssertionError(f"only {len(tests)} tests found")
    wanted = sys.argv[1:]
    if wanted:
        tests = {name: test for name, test in tests.items() if any(w in name for w in wanted)}
    with unittest.mock.patch.object(futures, "ProcessPoolExecutor", _Named):
        result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(tests.values()))
    failed = {_name(test): text for test, text in result.failures + result.errors}
    wrong = []
    for name, text in failed.items():
        reason, expected = DEVIATIONS.get(name, ("", ""))
        if not reason or expected not in text:
            wrong.append(f"{name} fails:\n{text}")
    skipped = {_name(test): why for test, why in result.skipped}
    for name, (reason, _) in DEVIATIONS.items():
        if name in tests and name not in failed:
            wrong.append(f"{name} passes, though {reason}")
    for name in failed:
        print(f"deviates: {name}")
    for name, why in skipped.items():
        print(f"skipped: {name}: {why}")
    print("\n\n".join(wrong))
    print(len(tests), "tests", len(failed), "deviate", len(skipped), "skipped", len(wrong), "wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
