"""The pool as a backend of joblib, and therefore of scikit-learn."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sample_callables as samples
import sample_pickles as pickles
from joblib import Parallel, delayed, parallel_config

import enact_pool.joblib
from enact_pool import WorkerCrashError
from enact_pool.joblib import shared_arrays
from enact_pool.joblib.executor_cache import executor_cache


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    enact_pool.joblib.register()
    with parallel_config(backend="enact", n_jobs=2):
        yield
    enact_pool.joblib.shutdown()


def logged(log: str, index: int) -> int:
    samples.append(log, index)
    if index == 7:
        ctypes.string_at(0)
    return index


def test_values_are_in_order_and_workers_are_reused() -> None:
    factor = 3
    assert Parallel()(delayed(lambda n: n * factor)(n) for n in range(300)) == [
        n * 3 for n in range(300)
    ]
    pids = {*Parallel()(delayed(os.getpid)() for _ in range(20))}
    with Parallel() as parallel:
        for _ in range(2):
            pids |= {*parallel(delayed(os.getpid)() for _ in range(20))}
    (entry,) = executor_cache._entries
    assert pids <= {lane.pid for lane in entry.executor._pool._lane_pool.lanes()}
    values = Parallel(return_as="generator_unordered")(delayed(abs)(-n) for n in range(50))
    assert sorted(values) == list(range(50))


def test_a_dead_worker_costs_only_its_task_and_the_error_names_it(tmp_path: Path) -> None:
    tasks = [delayed(logged)(str(tmp_path / "other"), index) for index in range(12)]
    with pytest.raises(WorkerCrashError, match=r"SIGSEGV while running task 7: logged\('.*', 7\)"):
        Parallel(batch_size=12)(tasks)
    log = str(tmp_path / "log")
    tasks = [delayed(logged)(log, index) for index in range(12)]
    with parallel_config(backend="enact", n_jobs=2, on_crash=str):
        values = Parallel(batch_size=4)(tasks)
    assert "SIGSEGV while running task 7" in values.pop(7)
    assert values == [index for index in range(12) if index != 7]
    # Each task was started once, including those of the same batch.
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(12))


def test_the_error_names_the_task_that_exceeds_its_time_limit() -> None:
    options = {"task_timeout": 0.1, "max_tasks_per_child": 5}
    with (
        parallel_config(backend="enact", n_jobs=2, **options),
        pytest.raises(TimeoutError, match=r"task 0: pause\(\) exceeded its time limit of 0.1 s"),
    ):
        Parallel()([delayed(signal.pause)()])
    with pytest.raises(TypeError, match="no option 'nonsense'"):
        parallel_config(backend="enact", nonsense=1)


def test_an_error_of_on_crash_is_raised() -> None:
    def give_up(error: Exception) -> None:
        sys.exit(f"gave up: {error}")

    with (
        parallel_config(backend="enact", n_jobs=2, on_crash=give_up),
        pytest.raises(SystemExit, match=r"gave up: worker exited with code 5 .* task 3"),
    ):
        Parallel()(delayed(os._exit if n == 3 else abs)(n + 2) for n in range(6))


def raise_in_iterable() -> Iterator[Any]:
    for n in range(20):
        yield delayed(abs)(-n)
    raise LookupError("no more")


def test_errors_have_the_traceback_of_their_origin() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel()(delayed(lambda n: 1 // n)(n) for n in (1, 0))
    assert "<lambda>" in str(caught.value.__cause__)
    with pytest.raises(TypeError, match="pickle"):
        Parallel()(delayed(id)(threading.Lock()) for _ in range(5))
    with pytest.raises(LookupError, match="no more"):
        Parallel()(raise_in_iterable())
    with pytest.raises(WorkerCrashError, match=r"unpickling task 0: id\(<") as refused:
        Parallel()([delayed(id)(pickles.CrashesWhenLoaded())])
    assert refused.value.error.details["exit_code"] == 9


def exit_in_iterable(error: BaseException) -> Iterator[Any]:
    for n in range(20):
        yield delayed(abs)(-n)
    raise error


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
@pytest.mark.parametrize("error", [SystemExit("bad input"), KeyboardInterrupt("enough")])
def test_an_exit_in_the_iterable_ends_the_call(return_as: str, error: BaseException) -> None:
    with Parallel(return_as=return_as) as parallel:
        with pytest.raises(type(error), match=str(error)):
            list(parallel(exit_in_iterable(error)))
        assert sorted(parallel(delayed(abs)(-n) for n in range(20))) == list(range(20))


def test_an_exit_in_the_iterable_of_a_closed_generator_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, may_end = threading.Event(), threading.Event()

    def tasks() -> Iterator[Any]:
        for n in range(20):
            yield delayed(abs)(-n)
        asked.set()
        may_end.wait()
        sys.exit("bad input")

    values = Parallel(return_as="generator", batch_size=1)(tasks())
    asked.wait()
    try:
        with pytest.warns(UserWarning, match="have been cancelled"):
            values.close()
    finally:
        may_end.set()
    # Waits for the thread that takes tasks from the iterable.
    enact_pool.joblib.shutdown()
    (record,) = caplog.records
    assert record.message == "joblib could not continue a call"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "bad input"


def test_generators_may_read_from_each_other_and_be_closed(tmp_path: Path) -> None:
    inner = Parallel(return_as="generator")(delayed(abs)(-n) for n in range(40))
    outer = Parallel(return_as="generator")(delayed(abs)(n) for n in inner)
    assert list(outer) == list(range(40))
    waiting = samples.busy_until(str(tmp_path / "gate"))
    values = Parallel(return_as="generator")(
        delayed(abs)(n) if n < 2 else delayed(waiting)(None) for n in range(100)
    )
    assert [next(values), next(values)] == [0, 1]
    with pytest.warns(UserWarning, match="have been cancelled"):
        values.close()


def test_an_error_ends_only_the_tasks_of_its_own_call(tmp_path: Path) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    other: list[str] = []

    def wait_for_gate(path: str) -> str:
        samples.append(str(begun), path)
        return samples.busy_until(path)(None)

    def run_other() -> None:
        with parallel_config(backend="enact", n_jobs=3):
            other.extend(Parallel()([delayed(wait_for_gate)(str(gate))]))

    def fail(path: str) -> None:
        while not os.path.exists(path):
            pass
        raise ValueError("enough")

    thread = threading.Thread(target=run_other)
    thread.start()
    with pytest.raises(ValueError, match="enough"):
        # The last task runs for ever unless it is killed.
        Parallel(n_jobs=3)([delayed(fail)(str(begun)), delayed(wait_for_gate)("/no/such/gate")])
    gate.touch()
    thread.join()
    assert other == ["done"]
    assert len(executor_cache._entries) == 1


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_large_array_is_written_once_for_all_tasks(
    has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_arrays_made: list[Any] = []

    class Counted(shared_arrays.SharedArray):
        def __init__(self, array: Any) -> None:
            super().__init__(array)
            shared_arrays_made.append(array)

    monkeypatch.setattr("enact_pool.joblib.shared_arrays.SharedArray", Counted)
    if not has_proc:
        monkeypatch.setattr("enact_pool.joblib.shared_arrays._can_share_descriptors", lambda: False)
    array = np.arange(400_000.0).reshape(400, -1)

    def use(given: dict[str, Any], index: int) -> float:
        given["X"][0, 0] += index  # private to this task
        return float(given["X"][0, 0] + given["X"].sum())

    total = float(array.sum())
    values = Parallel()(delayed(use)({"X": array, "y": array.T[1:]}, n) for n in range(10))
    assert values == [total + 2 * n for n in range(10)]
    assert sum(which is array for which in shared_arrays_made) == 1
    assert array[0, 0] == 0
    shared_arrays_made.clear()
    assert Parallel(max_nbytes=None)(delayed(np.sum)(array) for _ in range(2)) == [total] * 2
    assert not shared_arrays_made


def test_workers_map_the_files_of_memory_maps(tmp_path: Path) -> None:
    shared = np.memmap(tmp_path / "map", dtype=float, mode="w+", shape=(8, 4))

    def fill(part: Any, value: int) -> None:
        part[:] = value

    Parallel()(delayed(fill)(shared[n], n) for n in range(8))
    assert shared[:, 0].tolist() == list(range(8))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the cyclic garbage collector: only reference counts free objects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def end_call(how: str, array: Any, common: Any) -> Any:
    if array[0] == 20:
        if how == "raises":
            raise ValueError
        if how == "crashes":
            os._exit(3)
        if how == "is closed":
            signal.pause()
    return array + common


@pytest.mark.parametrize("how", ["returns", "raises", "crashes", "is closed"])
def test_a_finished_call_keeps_no_objects(
    how: str, no_collector: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[weakref.ref[Any]] = []
    shared_arrays_made: list[weakref.ref[Any]] = []

    class Recorded(shared_arrays.SharedArray):
        def __init__(self, array: Any) -> None:
            super().__init__(array)
            shared_arrays_made.append(weakref.ref(self))

    monkeypatch.setattr("enact_pool.joblib.shared_arrays.SharedArray", Recorded)
    common = np.zeros(1000)

    def call() -> None:
        def tasks() -> Iterator[Any]:
            for n in range(40):
                array = np.full(1000, float(n))
                given.append(weakref.ref(array))
                yield delayed(end_call)(how, array, common)

        values = Parallel(max_nbytes=1000, batch_size=3, return_as="generator")(tasks())
        for n, value in enumerate(values):
            given.append(weakref.ref(value))
            if how == "is closed" and n == 4:
                with pytest.warns(UserWarning, match="have been cancelled"):
                    values.close()

    if how in ("raises", "crashes"):
        with pytest.raises(ValueError if how == "raises" else WorkerCrashError) as caught:
            call()
        # Its traceback has the frames of the call.
        del caught
    else:
        call()
    if how == "returns":
        assert [ref for ref in shared_arrays_made if ref() is not None] == []
    # Otherwise some workers are still dying, and the executor's thread has their tasks.
    enact_pool.joblib.shutdown()
    assert [ref for ref in given + shared_arrays_made if ref() is not None] == []
    assert len(shared_arrays_made) > 3


def nested() -> tuple[str, int, list[int]]:
    backend, _ = joblib.parallel.get_active_backend()
    values = Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(3))
    return type(backend).__name__, Parallel().n_jobs, values


def test_calls_within_tasks_use_threads() -> None:
    expected = "ThreadingBackend", 1, [0, 1, 2]
    assert Parallel()(delayed(nested)() for _ in range(2)) == [expected] * 2
    explicit = delayed(lambda: Parallel(n_jobs=2, backend="enact")([delayed(abs)(-1)]))
    assert Parallel()([explicit()]) == [[1]]


def leave_two_threads() -> Any:
    threading.Thread(target=signal.pause, name="user thread", daemon=True).start()
    return Parallel(n_jobs=2, backend="enact")(delayed(abs)(-n) for n in range(3))


def test_threads_of_the_backend_are_not_reported_as_left_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Parallel()([delayed(leave_two_threads)()]) == [[0, 1, 2]]
    messages = [record.message for record in caplog.records]
    assert messages == ["callable 0 (leave_two_threads) left running: thread user thread"]


def test_fits_of_scikit_learn_that_crash_get_the_error_score() -> None:
    pytest.importorskip("sklearn")
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection import GridSearchCV

    estimator = _fragile_estimator()
    X, y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    search = GridSearchCV(estimator, {"depth": [1, 2, 3]}, cv=2, error_score=-1)
    # When the search raises, either fit may be the first.
    named = r"SIGSEGV while running task \d: the fit of Fragile\(\) with {'depth': 2}, split \d of"
    with pytest.warns(FitFailedWarning, match=named):
        search.fit(X, y)
    assert search.cv_results_["mean_test_score"].tolist() == [0.5, -1, 0.5]
    with pytest.raises(WorkerCrashError, match=named):
        search.set_params(error_score="raise").fit(X, y)


def _fragile_estimator() -> Any:
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Fragile(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, depth: int = 0) -> None:
            self.depth = depth

        def fit(self, X: Any, y: Any) -> Fragile:
            if self.depth == 2:
                ctypes.string_at(0)
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: Any) -> Any:
            return np.zeros(len(X), int)

    return Fragile()


def test_register_without_joblib_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r"pip install 'enact_pool\[joblib\]'"):
        enact_pool.joblib.register()


def test_the_loky_of_joblib_is_unchanged() -> None:
    script = (
        "import joblib, enact_pool._api.pool, multiprocessing;"
        "print(type(multiprocessing.get_context('loky')).__module__)"
    )
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert printed.startswith("joblib.")


def test_a_wrong_option_is_named_beside_those_that_there_are() -> None:
    enact_pool.joblib.register()
    with pytest.raises(TypeError, match=r"no option 'on_crsh'; its options are: on_crash, task_"):
        parallel_config(backend="enact", on_crsh=str)
    with pytest.raises(TypeError, match="on_crash must be callable or None, not 5"):
        parallel_config(backend="enact", on_crash=5)
