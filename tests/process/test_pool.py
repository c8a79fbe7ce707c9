"""Pools: shared by threads, nested, forked, left warm, closed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import psutil
import pytest
import sample_callables as samples
import sample_initializers as initializers
from loky import cpu_count

from enact_pool import (
    Err,
    EventEmitter,
    Ok,
    Pool,
    StepId,
    default_pool,
    iter_parallel,
    run_parallel,
)
from enact_pool._api.default_pool import _default_pool
from enact_pool._core.batch_sizing import Pace
from enact_pool._model.ids import fresh_ids
from tests.conftest import MARK, end_default_pool, processes


def pid_of(_: object) -> int:
    return os.getpid()


def nap_and_pid(_: object) -> int:
    time.sleep(0.01)
    return os.getpid()


def outputs(results: list[Any]) -> list[Any]:
    return [result.output.unwrap() for result in results]


# Workers


def test_workers_are_reused_by_the_next_run() -> None:
    with Pool(2) as pool:
        first, second = (set(outputs(pool.run_parallel([pid_of] * 50, 0))) for _ in range(2))
    assert len(first | second) <= 2
    assert os.getpid() not in first


def test_slow_callables_after_quick_ones_use_all_workers() -> None:
    """A few callables that were quick in the last run are all sent to one worker."""

    def sleep_and_pid(seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    with Pool(2) as pool:
        pool.run_parallel([sleep_and_pid] * 4, 0.1)
        pace = pool._lane_pool.pace
        key, *_ = pace._last
        pace.remember(key, 0.0)
        assert len(set(outputs(pool.run_parallel([sleep_and_pid] * 4, 0.1)))) == 2


def test_callables_count_as_slow_after_two_slow_runs() -> None:
    pace, these, those = Pace(), frozenset([1]), frozenset([2])
    assert pace.expected_seconds(these) is None
    for seconds, expected in [(2.0, 2.0), (1.0, 1.0), (3.0, 1.0), (4.0, 3.0)]:
        pace.remember(these, seconds)
        assert pace.expected_seconds(these) == expected
    pace.remember(these, None)
    assert pace.expected_seconds(these) == 3.0
    pace.remember(those, 5.0)
    assert pace.expected_seconds(those) == 5.0
    assert pace.expected_seconds(these) is None
    assert pace.expected_seconds(None) is None


def test_the_default_pool_is_reused_by_the_next_run() -> None:
    first, second = (outputs(run_parallel([pid_of], 0)) for _ in range(2))
    assert first == second


def test_a_run_after_the_default_pool_was_closed_creates_a_new_one() -> None:
    (first,) = outputs(run_parallel([pid_of], 0))
    closed = default_pool()
    closed.close()
    (second,) = outputs(run_parallel([pid_of], 0))
    assert second != first
    assert default_pool() is default_pool() is not closed
    assert repr(default_pool()) == f"<Pool max_workers={cpu_count()}>"
    with pytest.raises(RuntimeError, match="the pool is closed"):
        run_parallel([pid_of], 0, pool=closed)


def test_a_lazy_run_may_start_after_the_default_pool_was_closed() -> None:
    emitter = EventEmitter(mode="live")
    results = iter_parallel([len] * 3, "abc", emitter)
    default_pool().close()
    assert outputs(list(results)) == [3] * 3
    kinds = [type(event).__name__ for event in emitter.drain()]
    assert kinds.count("ExecutionStart") == kinds.count("ExecutionEnd") == 1


def test_closing_the_default_pool_costs_runs_of_other_threads_nothing() -> None:
    """Each callable runs once, whether its pool is closed before, while or after it runs."""
    is_over = threading.Event()
    got: list[list[Any]] = []

    def run() -> None:
        while not is_over.is_set():
            got.append(outputs(run_parallel([len] * 3, "abc")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        time.sleep(0.02)
        default_pool().close()
    is_over.set()
    for thread in threads:
        thread.join()
    assert len(got) > 2
    assert got == [[3] * 3] * len(got)


def test_a_closed_pool_error_of_a_signal_handler_reaches_the_caller() -> None:
    """The run is not started again."""
    log: list[object] = []
    closed = Pool(1)
    closed.close()

    def handler(_number: int, _frame: object) -> None:
        closed.run_parallel([len], "")

    class Emitter:
        def emit(self, event: object) -> None:
            log.append(event)
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(RuntimeError, match="the pool is closed"):
            run_parallel([len], "abc", Emitter())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(log) == 1


def test_a_run_starts_no_more_workers_than_it_has_callables(mark: str) -> None:
    before = processes(mark)
    with Pool(20) as pool:
        assert len(pool.run_parallel([samples.sleep_5_ms] * 3, 0)) == 3
        assert len(processes(mark)) - len(before) == 3


def test_max_workers_limits_a_run_and_grows_the_default_pool() -> None:
    with Pool(4) as pool:
        callables = [samples.sleep_5_ms] * 8
        run_parallel(callables, 0, pool=pool, max_workers=1)
        assert len(pool._lane_pool.lanes()) == 1
    cpus = cpu_count()
    run_parallel(callables, 0, max_workers=cpus + 2)
    assert default_pool().max_workers == cpus + 2


def test_max_workers_defaults_to_the_usable_cpus() -> None:
    with Pool() as pool:
        assert pool.max_workers == cpu_count()
        assert repr(pool) == f"<Pool max_workers={pool.max_workers}>"
    assert repr(pool) == f"<Pool max_workers={pool.max_workers} closed>"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"])
def test_workers_share_the_cpus_among_their_native_threads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user sets their number, in the environment or for the pool."""

    def limit(_: object) -> str | None:
        return os.environ.get(name)

    def thread_limit(pool: Pool) -> object:
        with pool:
            (result,) = pool.run_parallel([limit], 0)
        return result.output

    cpus = cpu_count()
    monkeypatch.delenv(name, raising=False)
    assert thread_limit(Pool(1)) == Ok(str(cpus))
    assert thread_limit(Pool(cpus)) == Ok("1")
    assert thread_limit(Pool(5 * cpus)) == Ok("1")
    assert thread_limit(Pool(1, env={name: "7"})) == Ok("7")
    monkeypatch.setenv(name, "9")
    assert thread_limit(Pool(1)) == Ok("9")
    assert thread_limit(Pool(1, env={name: "7"})) == Ok("7")


def test_the_initializer_runs_once_in_each_worker(tmp_path: Path) -> None:
    """Before its first callable, and with the pool's environment."""
    log = tmp_path / "log"
    with Pool(2, initializer=samples.append_pid, initargs=(log,), env={"TASTE": "salt"}) as pool:
        tastes = outputs(pool.run_parallel([lambda _: (os.getpid(), os.environ["TASTE"])] * 50, 0))
    initialized = log.read_text().split()
    assert len(initialized) == len(set(initialized))
    assert {str(pid) for pid, _ in tastes} <= set(initialized)
    assert {taste for _, taste in tastes} == {"salt"}
    assert "TASTE" not in os.environ


def test_idle_workers_exit_and_are_replaced() -> None:
    """A worker that times out while it is sent a batch costs no result."""
    with Pool(1, idle_timeout=0.001) as pool:
        seen = {pid for _ in range(30) for pid in outputs(pool.run_parallel([pid_of], 0))}
        (lane,) = pool._lane_pool.lanes()
        os.waitid(os.P_PID, lane.pid, os.WEXITED | os.WNOWAIT)
        seen.update(outputs(pool.run_parallel([pid_of], 0)))
    assert len(seen) > 1


def test_workers_that_exit_idle_before_their_first_batch_are_not_failed_starts(
    tmp_path: Path,
) -> None:
    """Three workers that start while the caller's loop runs, and exit after their idle time."""
    gate = tmp_path / "gate"
    initargs = str(tmp_path / "first"), str(gate)
    with Pool(
        4, idle_timeout=0.01, initializer=initializers.wait_unless_first, initargs=initargs
    ) as pool:
        values: list[int] = []
        for result in iter_parallel([pid_of] * 1_000, 0, pool=pool):
            if not values:
                lanes = [lane for lane in pool._lane_pool.lanes() if not lane.ready]
                assert len(lanes) == 3
                gate.touch()
                for lane in lanes:
                    os.waitid(os.P_PID, lane.pid, os.WEXITED | os.WNOWAIT)
            values.append(result.output.unwrap())
    assert len(values) == 1_000


def test_close_lets_workers_run_their_exit_handlers(tmp_path: Path) -> None:
    log = str(tmp_path / "log")

    def register(_: object) -> None:
        import atexit

        atexit.register(samples.append, log, "bye")

    with Pool(1) as pool:
        pool.run_parallel([register], 0)
    assert Path(log).read_text() == "bye\n"


def test_close_kills_workers_that_do_not_exit() -> None:
    """A thread that is left running prevents the exit of the interpreter."""

    def leave_thread(_: object) -> None:
        threading.Thread(target=time.sleep, args=(60,)).start()

    with Pool(1) as pool:
        assert pool.run_parallel([leave_thread], 0)[0].output == Ok(None)


def test_a_worker_that_cannot_exit_after_its_idle_time_is_replaced() -> None:
    """A thread that is left running prevents the exit of its interpreter."""

    def leave_thread(_: object) -> int:
        threading.Thread(target=time.sleep, args=(60,)).start()
        return os.getpid()

    with Pool(1, idle_timeout=0.01) as pool:
        (first,) = outputs(pool.run_parallel([leave_thread], 0))
        (lane,) = pool._lane_pool.lanes()
        select.select([lane.answers], [], [], 30)  # until the worker has closed its end
        assert outputs(pool.run_parallel([pid_of] * 3, 0)) != [first] * 3


def test_programs_that_callables_start_can_be_interrupted() -> None:
    """A worker ignores Ctrl-C; the programs that it starts do not inherit that."""

    def run_program(_: object) -> int:
        command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode

    def interrupt_itself(_: object) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "goes on"

    with Pool(1) as pool:
        results = outputs(pool.run_parallel([run_program, interrupt_itself], 0))
    assert results == [-signal.SIGINT, "goes on"]


def test_interrupts_at_any_moment_leave_a_usable_pool(mark: str) -> None:
    """A timer sends Ctrl-C at random moments, again and again."""
    program = """
        import signal
        from enact_pool import Pool
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        pool, interrupts = Pool(2), 0
        while interrupts < 150:
            try:
                # Once more if the first one hits a place where Python ignores exceptions.
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + interrupts % 37 * 0.0003, 0.2)
                while True:
                    pool.run_parallel([abs] * 4, -1)
            except KeyboardInterrupt:
                interrupts += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert [r.output.value for r in pool.run_parallel([abs] * 20, -1)] == [1] * 20
        assert len(pool._lane_pool.lanes()) == len(pool._lane_pool.book.idle()) <= 2
        print("usable")
    """
    process = script(program, mark=mark)
    out, err = process.communicate(timeout=50)
    assert (out, process.returncode) == ("usable\n", 0), err


def test_output_of_callables_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Pool(2) as pool:
        pool.run_parallel([lambda x: print(f"hello {x}")], "reader")
    assert capfd.readouterr().out == "hello reader\n"


def test_a_pool_without_references_ends_its_workers(mark: str) -> None:
    before = processes(mark)
    Pool(1).run_parallel([samples.square], 2)
    left = [pid for pid in processes(mark) if pid not in before]
    psutil.wait_procs([psutil.Process(pid) for pid in left], timeout=5)
    assert processes(mark) == before


# Threads


def in_threads(count: int, target: Callable[[int], object]) -> list[object]:
    """Run the target in `count` threads at once; return their outcomes."""
    came_to: list[object] = [None] * count
    barrier = threading.Barrier(count)

    def one(number: int) -> None:
        barrier.wait()
        try:
            came_to[number] = target(number)
        except BaseException as error:
            came_to[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came_to


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_share_a_pool(workers: int) -> None:
    """Crashes in the run of one thread do not affect the others."""

    def run(number: int) -> list[Any]:
        callables = [lambda x, i=i: (x, i) for i in range(200)]
        callables[50] = samples.exit_7  # type: ignore[assignment]
        emitter = EventEmitter()
        results = pool.run_parallel(callables, number, emitter)
        assert [e.execution_id for e in emitter.drain()] == [r.execution_id for r in results]
        return results

    with Pool(workers) as pool:
        for number, results in enumerate(in_threads(4, run)):
            assert isinstance(results, list), results
            crashed = results.pop(50)
            assert crashed.error.code == "exit_7"
            assert outputs(results) == [(number, i) for i in range(200) if i != 50]
        assert len(pool._lane_pool.lanes()) <= workers


def test_threads_share_the_default_pool() -> None:
    came_to = in_threads(4, lambda number: outputs(run_parallel([samples.square] * 100, number)))
    assert came_to == [[number**2] * 100 for number in range(4)]


def test_a_second_thread_leases_a_worker_while_the_first_run_continues(tmp_path: Path) -> None:
    """The first run cannot end before the second one; it releases a worker."""
    gate = tmp_path / "gate"

    def first(pool: Pool) -> object:
        # One callable waits for the gate; many others wait for the second worker.
        busy = samples.busy_until(str(gate))

        def until_gate(_: object) -> str:
            return "open" if gate.exists() else samples.sleep_5_ms("shut")  # type: ignore[return-value]

        return outputs(pool.run_parallel([busy, *[until_gate] * 3000], 0))[0]

    def second(pool: Pool) -> object:
        while len(pool._lane_pool.lanes()) < 2:
            time.sleep(0.001)
        results = outputs(pool.run_parallel([samples.square] * 3, 2))
        gate.touch()
        return results

    with Pool(2) as pool:
        came_to = in_threads(2, lambda number: (first, second)[number](pool))
    assert came_to == ["done", [4] * 3]


def test_threads_take_turns_if_there_are_more_than_workers(tmp_path: Path) -> None:
    """A short run does not wait for the end of earlier long ones."""
    gate = tmp_path / "gate"

    def run(number: int) -> object:
        if number < 2:
            # The long runs continue until the third is done.
            def until_gate(_: object) -> str:
                return "open" if gate.exists() else samples.sleep_5_ms("shut")  # type: ignore[return-value]

            results = outputs(pool.run_parallel([until_gate] * 4000, 0))
            return results[-1]
        while len(pool._lane_pool.lanes()) < 2:
            time.sleep(0.001)
        result = outputs(pool.run_parallel([samples.square], 3))
        gate.touch()
        return result

    with Pool(2) as pool:
        assert in_threads(3, run) == ["open", "open", [9]]
        lanes = pool._lane_pool.lanes()
        assert sorted(map(id, pool._lane_pool.book.idle())) == sorted(map(id, lanes))


def test_close_lets_runs_of_other_threads_finish(tmp_path: Path, mark: str) -> None:
    gate = tmp_path / "gate"
    pool = Pool(2)

    def run(number: int) -> object:
        if number == 0:
            return outputs(pool.run_parallel([samples.busy_until(str(gate))] * 4, 0))
        while not pool._lane_pool.lanes():
            time.sleep(0.001)
        pool.close()
        with pytest.raises(RuntimeError, match="closed"):
            pool.run_parallel([len], "")
        gate.touch()
        return "closed"

    assert in_threads(2, run) == [["done"] * 4, "closed"]
    assert not pool._lane_pool.lanes()


# Nesting


def test_callables_may_run_callables(caplog: pytest.LogCaptureFixture) -> None:
    """With the worker's default pool, which has its share of the CPUs, and is reused."""

    def outer(x: int) -> list[int]:
        results = run_parallel([partial(mul, i) for i in range(5)], x)
        return [result.output.unwrap() for result in results]

    def count(_: object) -> int:
        run_parallel([pid_of] * 20, 0)
        return default_pool().max_workers

    with Pool(2) as pool:
        assert outputs(pool.run_parallel([outer] * 4, 2)) == [[0, 2, 4, 6, 8]] * 4
        share = max(1, cpu_count() // 2)
        assert outputs(pool.run_parallel([count] * 2, 0)) == [share] * 2
    assert not caplog.records, "its workers were reported as left running"


def test_a_nested_crash_costs_only_a_nested_result() -> None:
    def outer(_: object) -> list[str]:
        results = run_parallel([samples.square, samples.segfault, samples.square], 2)
        return [result.error.code if result.error else "ok" for result in results]  # type: ignore[misc]

    with Pool(2) as pool:
        assert outputs(pool.run_parallel([outer] * 3, 0)) == [["ok", "SIGSEGV", "ok"]] * 3


def test_endless_nesting_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the machine runs out of processes."""

    def deeper(level: int) -> str:
        output = run_parallel([deeper], level + 1, max_workers=1)[0].output
        return output.error if isinstance(output, Err) else output.value

    with Pool(1, env={"LOKY_MAX_DEPTH": "3"}) as pool:
        (text,) = outputs(pool.run_parallel([deeper], 0))
    assert "pools are nested 3 deep" in text


# Forks and exits


def test_a_forked_child_has_its_own_workers() -> None:
    """It does not affect the parent's workers, also when it exits."""
    with Pool(2) as pool:
        before = set(outputs(pool.run_parallel([pid_of] * 50, 0)))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                own = set(outputs(pool.run_parallel([pid_of] * 50, 0)))
                status = 0 if own and not own & before else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert set(outputs(pool.run_parallel([pid_of] * 50, 0))) == before


def test_a_run_raises_in_a_child_that_its_emitter_forked() -> None:
    class Forks:
        def __init__(self) -> None:
            self.children: list[int] = []

        def emit(self, _: object) -> None:
            if not self.children:
                self.children.append(os.fork())

    emitter, parent = Forks(), os.getpid()
    with Pool(2) as pool:
        try:
            results = pool.run_parallel([pid_of] * 50, 0, emitter)
        except RuntimeError as error:
            if os.getpid() == parent:
                raise
            status = 1
            try:
                own = outputs(pool.run_parallel([len], "abc"))
                status = 0 if "forked" in str(error) and own == [3] else 2
            finally:
                os._exit(status)
        if os.getpid() != parent:
            os._exit(3)
    assert len(results) == 50
    assert os.waitstatus_to_exitcode(os.waitpid(emitter.children[0], 0)[1]) == 0


def test_a_fork_while_another_thread_reaps_a_worker_leaves_no_lock_held() -> None:
    with Pool(1) as pool:
        pool.run_parallel([len], "")
        lane: Any = pool._lane_pool.lanes()[0]
        is_held, is_over = threading.Event(), threading.Event()

        def reap_slowly() -> None:
            with lane._lock:
                is_held.set()
                is_over.wait(30)

        undertaker = threading.Thread(target=reap_slowly)
        undertaker.start()
        is_held.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(len(pool._lane_pool.lanes()))
        deadline = time.monotonic() + 20
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        is_over.set()
        undertaker.join()
    assert ended == (child, 0)


def test_a_fork_while_another_thread_starts_a_worker_leaves_no_lock_held() -> None:
    """The child can start its own workers."""
    for _ in range(10):
        with Pool(1) as pool:
            begun = threading.Event()

            def run(pool: Pool = pool, begun: threading.Event = begun) -> None:
                begun.set()
                pool.run_parallel([len], "abc")

            starting = threading.Thread(target=run)
            starting.start()
            begun.wait()
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    with Pool(1) as own:
                        status = 0 if outputs(own.run_parallel([len], "abc")) == [3] else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            starting.join()


def test_an_emitter_may_wait_for_a_thread_that_uses_the_same_workers() -> None:
    """The emitter's run cannot release a worker meanwhile, so another one starts."""
    received: list[object] = []

    class Delegates:
        def emit(self, _: object) -> None:
            def run() -> None:
                received.extend(outputs(pool.run_parallel([len], "abc")))

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    with Pool(1) as pool:
        assert outputs(pool.run_parallel([len] * 2, "abcd", Delegates())) == [4, 4]
    assert received == [3, 3]


def test_a_signal_handler_may_run_callables() -> None:
    """Wherever its thread is: also where the default pool is looked up."""
    with _default_pool._lock:
        assert outputs(run_parallel([len], "abc")) == [3]
    end_default_pool()


class InterruptsWhenRebuilt:
    """Sends its parent a signal while the parent unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return signal.raise_signal, (signal.SIGUSR1,)


def test_an_exception_of_a_signal_handler_reaches_the_caller_and_no_result() -> None:
    def handler(_number: int, _frame: object) -> None:
        raise TimeoutError("the caller's own")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with Pool(1) as pool:
            with pytest.raises(TimeoutError, match="the caller's own"):
                pool.run_parallel([lambda _: InterruptsWhenRebuilt()] * 3, 0)
            assert outputs(pool.run_parallel([len], "abc")) == [3]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_max_workers_of_a_run_does_not_affect_other_runs() -> None:
    pids = set(outputs(run_parallel([nap_and_pid] * 50, 0, max_workers=cpu_count() + 2)))
    assert len(pids) == cpu_count() + 2
    pids = set(outputs(run_parallel([nap_and_pid] * 50, 0)))
    assert len(pids) <= cpu_count()
    end_default_pool()


def test_output_before_a_crash_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def crash(_: object) -> None:
        os._exit(1)

    with Pool(1) as pool:
        pool.run_parallel([lambda _: print("said"), crash], 0)
    assert capfd.readouterr().out == "said\n"


def script(text: str, *arguments: str, mark: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark},
        **options,
    )


@pytest.mark.parametrize(
    "end",
    [
        "",
        "raise SystemExit(0)",
        "import threading; threading.Thread(target=lambda: None).start()",
        "child = os.fork(); child and os.waitpid(child, 0)",
        "child = os.fork(); child or sys.exit(0); os.waitpid(child, 0)",
        "child = os.fork(); child or run_parallel([len], ''); child and os.waitpid(child, 0)",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
    ],
)
def test_an_interpreter_exits_quietly_with_a_warm_pool(end: str, mark: str) -> None:
    program = f"""
        import os, sys
        from enact_pool import Pool, run_parallel
        pool = Pool(2)
        pool.run_parallel([abs] * 10, -2)
        assert [r.output.value for r in run_parallel([abs] * 10, -2)] == [2] * 10
        {end}
    """
    process = script(program, mark=mark)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (0, "")


def test_a_forked_child_makes_different_ids() -> None:
    ids = [StepId.spell(number) for number in fresh_ids.take(3)]
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            (number,) = fresh_ids.take(1)
            os.write(write_end, StepId.spell(number).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs = StepId(os.read(read_end, 100).decode())
    os.close(read_end)
    os.close(write_end)
    (ours,) = (StepId.spell(number) for number in fresh_ids.take(1))
    assert len({*ids, theirs, ours}) == 5


def test_a_forked_child_does_not_keep_workers_of_a_dead_parent_alive(
    tmp_path: Path, mark: str
) -> None:
    program = f"""
        import os, signal, time
        from enact_pool import Pool
        pool = Pool(2)
        pool.run_parallel([abs] * 10, 1)
        child = os.fork()
        if child == 0:
            signal.pause()
        open({str(tmp_path / "child")!r}, "w").write(str(child))
        time.sleep(60)
    """
    before = processes(mark)
    process = script(program, mark=mark)
    log = tmp_path / "child"
    while not log.exists() or not log.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    child = int(log.read_text())
    workers = [
        psutil.Process(pid)
        for pid, command in processes(mark).items()
        if pid not in before and "enact_pool-worker" in command
    ]
    assert workers
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    os.kill(child, signal.SIGKILL)
    process.communicate()
    assert not alive


def test_workers_exit_when_their_parent_is_killed(tmp_path: Path, mark: str) -> None:
    """Also workers that are stuck in C code, and idle ones."""
    log = tmp_path / "log"
    program = """
        import ctypes, os, sys
        from enact_pool import Pool
        def stuck(_):
            with open(sys.argv[1], "a") as log:
                log.write(f"{os.getpid()}\\n")
            # PyDLL keeps the GIL: no Python code runs in this worker any more.
            ctypes.PyDLL(None).sleep(60)
        idle = Pool(2)
        idle.run_parallel([abs] * 10, 1)
        Pool(2).run_parallel([stuck] * 2, 0)
    """.replace("sys.argv[1]", repr(str(log)))
    before = processes(mark)
    process = script(program, mark=mark)
    while not log.exists() or len(log.read_text().split()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    started = [psutil.Process(pid) for pid in processes(mark) if pid not in before]
    process.kill()
    process.communicate()
    psutil.wait_procs(started, timeout=5)
    assert processes(mark).keys() <= before.keys()


def test_an_interrupt_from_the_keyboard_ends_a_run(tmp_path: Path, mark: str) -> None:
    """Ctrl-C reaches the whole process group; only the parent reacts, with its traceback."""
    log = tmp_path / "log"
    program = f"""
        import time
        from enact_pool import Pool
        def sleep(_):
            open({str(log)!r}, "a").write("up\\n")
            time.sleep(60)
        Pool(2).run_parallel([sleep] * 4, 0)
    """
    before = processes(mark)
    process = script(program, mark=mark, start_new_session=True)
    while not log.exists() or len(log.read_text().split()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1
    assert err.strip().endswith("KeyboardInterrupt")
    assert processes(mark).keys() <= before.keys()


def test_a_script_needs_no_main_guard(tmp_path: Path, mark: str) -> None:
    """Its functions and classes are sent both ways."""
    path = tmp_path / "script.py"
    path.write_text(
        textwrap.dedent(
            """
            from enact_pool import run_parallel

            class Point:
                def __init__(self, x):
                    self.x = x

            def move(point):
                point.x += 1
                return point

            for result in run_parallel([move] * 3, Point(1)):
                assert type(result.output.value) is Point
                print(result.agent_name, result.output.value.x)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("move 2\n" * 3, "")


def test_a_worker_that_exited_does_not_kill_a_program_by_sigpipe(mark: str) -> None:
    """For programs with the default SIGPIPE handler; workers exit after their idle time."""
    program = script(
        """
        import signal, time
        from enact_pool import Pool

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        with Pool(1, idle_timeout=0.05) as pool:
            for _ in range(3):
                print(pool.run_parallel([len], "abc")[0].output.unwrap())
                time.sleep(0.3)
        """,
        mark=mark,
    )
    out, err = program.communicate(timeout=30)
    assert (out, err, program.returncode) == ("3\n" * 3, "", 0)
