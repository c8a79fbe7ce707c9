"""The pool as a backend of joblib, and of scikit-learn by that."""

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
from joblib import Parallel, delayed, parallel_config

import enact_pool.joblib
from enact_pool import WorkerCrashError
from enact_pool.joblib import loans
from enact_pool.joblib.kept import kept_executors


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    enact_pool.joblib.register()
    with parallel_config(backend="enact", n_jobs=2):
        yield
    enact_pool.joblib.shutdown()


def noted(log: str, index: int) -> int:
    samples.append(log, index)
    if index == 7:
        ctypes.string_at(0)
    return index


def test_tasks_give_their_values_in_order_and_workers_are_kept() -> None:
    factor = 3
    assert Parallel()(delayed(lambda n: n * factor)(n) for n in range(300)) == [
        n * 3 for n in range(300)
    ]
    pids = {*Parallel()(delayed(os.getpid)() for _ in range(20))}
    with Parallel() as parallel:
        for _ in range(2):
            pids |= {*parallel(delayed(os.getpid)() for _ in range(20))}
    (kept,) = kept_executors._kept
    assert pids <= {lane.pid for lane in kept.executor._pool._lane_pool.lanes()}
    values = Parallel(return_as="generator_unordered")(delayed(abs)(-n) for n in range(50))
    assert sorted(values) == list(range(50))


def test_a_dead_worker_costs_its_task_which_the_error_names(tmp_path: Path) -> None:
    tasks = [delayed(noted)(str(tmp_path / "other"), index) for index in range(12)]
    with pytest.raises(WorkerCrashError, match=r"SIGSEGV while running task 7: noted\('.*', 7\)"):
        Parallel(batch_size=12)(tasks)
    log = str(tmp_path / "log")
    tasks = [delayed(noted)(log, index) for index in range(12)]
    with parallel_config(backend="enact", n_jobs=2, on_crash=str):
        values = Parallel(batch_size=4)(tasks)
    assert "SIGSEGV while running task 7" in values.pop(7)
    assert values == [index for index in range(12) if index != 7]
    # Each was started once, those of the same batch too.
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(12))


def test_a_task_that_takes_too_long_is_named() -> None:
    options = {"task_timeout": 0.1, "max_tasks_per_child": 5}
    with (
        parallel_config(backend="enact", n_jobs=2, **options),
        pytest.raises(TimeoutError, match=r"task 0: pause\(\) exceeded its time limit of 0.1 s"),
    ):
        Parallel()([delayed(signal.pause)()])
    with pytest.raises(TypeError, match="no option 'nonsense'"):
        parallel_config(backend="enact", nonsense=1)


def test_what_on_crash_raises_is_raised() -> None:
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


def test_what_is_raised_comes_with_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel()(delayed(lambda n: 1 // n)(n) for n in (1, 0))
    assert "<lambda>" in str(caught.value.__cause__)
    with pytest.raises(TypeError, match="pickle"):
        Parallel()(delayed(id)(threading.Lock()) for _ in range(5))
    with pytest.raises(LookupError, match="no more"):
        Parallel()(raise_in_iterable())
    with pytest.raises(WorkerCrashError, match=r"unpickling task 0: id\(<") as refused:
        Parallel()([delayed(id)(samples.CrashesWhenLoaded())])
    assert refused.value.error.details["exit_code"] == 9


def exit_in_iterable(error: BaseException) -> Iterator[Any]:
    for n in range(20):
        yield delayed(abs)(-n)
    raise error


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
@pytest.mark.parametrize("error", [SystemExit("bad input"), KeyboardInterrupt("enough")])
def test_what_ends_the_iterable_ends_the_call(return_as: str, error: BaseException) -> None:
    with Parallel(return_as=return_as) as parallel:
        with pytest.raises(type(error), match=str(error)):
            list(parallel(exit_in_iterable(error)))
        assert sorted(parallel(delayed(abs)(-n) for n in range(20))) == list(range(20))


def test_what_ends_the_iterable_of_a_call_that_was_given_up_is_logged(
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
    # Which waits for the thread that takes tasks out of it.
    enact_pool.joblib.shutdown()
    (record,) = caplog.records
    assert record.message == "joblib could not go on with a call"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "bad input"


def test_generators_may_feed_on_each_other_and_be_given_up(tmp_path: Path) -> None:
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


def test_an_error_ends_the_tasks_of_its_own_call_alone(tmp_path: Path) -> None:
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
        # The last one is at work for ever, unless it is killed.
        Parallel(n_jobs=3)([delayed(fail)(str(begun)), delayed(wait_for_gate)("/no/such/gate")])
    gate.touch()
    thread.join()
    assert other == ["done"]
    assert len(kept_executors._kept) == 1


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_large_array_is_written_once_for_all_tasks(
    has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[Any] = []

    class Counted(loans.Loan):
        def __init__(self, array: Any) -> None:
            super().__init__(array)
            lent.append(array)

    monkeypatch.setattr("enact_pool.joblib.loans.Loan", Counted)
    if not has_proc:
        monkeypatch.setattr("enact_pool.joblib.loans._shows_descriptors", lambda: False)
    array = np.arange(400_000.0).reshape(400, -1)

    def use(given: dict[str, Any], index: int) -> float:
        given["X"][0, 0] += index  # its own
        return float(given["X"][0, 0] + given["X"].sum())

    total = float(array.sum())
    values = Parallel()(delayed(use)({"X": array, "y": array.T[1:]}, n) for n in range(10))
    assert values == [total + 2 * n for n in range(10)]
    assert sum(which is array for which in lent) == 1
    assert array[0, 0] == 0
    lent.clear()
    assert Parallel(max_nbytes=None)(delayed(np.sum)(array) for _ in range(2)) == [total] * 2
    assert not lent


def test_memory_maps_are_mapped_by_the_workers_too(tmp_path: Path) -> None:
    shared = np.memmap(tmp_path / "map", dtype=float, mode="w+", shape=(8, 4))

    def fill(part: Any, value: int) -> None:
        part[:] = value

    Parallel()(delayed(fill)(shared[n], n) for n in range(8))
    assert shared[:, 0].tolist() == list(range(8))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is let go of is gone at once, or it stays."""
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
        if how == "is given up":
            signal.pause()
    return array + common


@pytest.mark.parametrize("how", ["returns", "raises", "crashes", "is given up"])
def test_a_call_that_is_over_keeps_nothing(
    how: str, no_collector: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[weakref.ref[Any]] = []
    lent: list[weakref.ref[Any]] = []

    class Noted(loans.Loan):
        def __init__(self, array: Any) -> None:
            super().__init__(array)
            lent.append(weakref.ref(self))

    monkeypatch.setattr("enact_pool.joblib.loans.Loan", Noted)
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
            if how == "is given up" and n == 4:
                with pytest.warns(UserWarning, match="have been cancelled"):
                    values.close()

    if how in ("raises", "crashes"):
        with pytest.raises(ValueError if how == "raises" else WorkerCrashError) as caught:
            call()
        # Its traceback has the call's own frames.
        del caught
    else:
        call()
    if how == "returns":
        assert [loan for loan in lent if loan() is not None] == []
    # Else some workers are dying still, and the executor's thread has their tasks.
    enact_pool.joblib.shutdown()
    assert [ref for ref in given + lent if ref() is not None] == []
    assert len(lent) > 3


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
    threading.Thread(target=signal.pause, name="of its own", daemon=True).start()
    return Parallel(n_jobs=2, backend="enact")(delayed(abs)(-n) for n in range(3))


def test_threads_of_the_backend_are_not_told_as_left_by_a_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Parallel()([delayed(leave_two_threads)()]) == [[0, 1, 2]]
    told = [record.message for record in caplog.records]
    assert told == ["callable 0 (leave_two_threads) left running: thread of its own"]


def test_scikit_learns_fits_that_crash_get_their_error_score() -> None:
    pytest.importorskip("sklearn")
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection import GridSearchCV

    estimator = _fragile_estimator()
    X, y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    search = GridSearchCV(estimator, {"depth": [1, 2, 3]}, cv=2, error_score=-1)
    # When it raises, whichever was first.
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


def test_without_joblib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r"pip install 'enact_pool\[joblib\]'"):
        enact_pool.joblib.register()


def test_joblibs_own_loky_is_left_as_it_is() -> None:
    script = (
        "import joblib, enact_pool._api.pool, multiprocessing;"
        "print(type(multiprocessing.get_context('loky')).__module__)"
    )
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert printed.startswith("joblib.")
