"""An executor under interrupts, finalizers, races, forks, and exits at any moment."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import pytest
import sample_callables as samples
from tqdm import tqdm

from enact_pool import Err, Pool, PoolExecutor, RemoteError


def note(path: str, index: int) -> int:
    samples.append(path, index)
    return index


def settled(futures: list[Future[Any]]) -> list[Future[Any]]:
    assert not wait(futures, timeout=30).not_done
    return futures


def test_cancelled_calls_never_start_and_others_start_once(tmp_path: Path) -> None:
    """The calls are very short, and threads cancel the calls of other threads."""
    log = str(tmp_path / "log")
    futures: list[Future[int]] = []
    answers: list[tuple[int, bool]] = []

    def cancel(seed: int) -> None:
        choose = random.Random(seed)
        while len(futures) < 2000:
            if futures:
                index = max(0, len(futures) - 1 - choose.randrange(20))
                answers.append((index, futures[index].cancel()))

    threads = [threading.Thread(target=cancel, args=(seed,)) for seed in range(3)]
    with PoolExecutor(2) as executor:
        for thread in threads:
            thread.start()
        for index in range(2000):
            futures.append(executor.submit(note, log, index))
        for thread in threads:
            thread.join()
        settled(futures)
    started = Counter(map(int, Path(log).read_text().split()))
    assert set(started.values()) == {1}
    assert [f.cancelled() for f in futures] == [index not in started for index in range(2000)]
    assert all(f.cancelled() or f.result() == index for index, f in enumerate(futures))
    assert 0 < len(started) < 2000
    assert all(futures[index].cancelled() == answer for index, answer in answers)


def test_callbacks_may_submit_cancel_and_raise() -> None:
    steps: list[str] = []
    executor = PoolExecutor(1)
    others = [executor.submit(samples.sleep_5_ms, n) for n in range(20)]

    def callback(future: Future[Any]) -> None:
        steps.append("submits")
        executor.submit(abs, -1).add_done_callback(lambda _: steps.append("submitted"))
        others[-1].add_done_callback(lambda _: steps.append("cancelled"))
        others[-2].add_done_callback(lambda _: others[-3].cancel())
        assert others[-1].cancel()
        assert others[-2].cancel()
        assert others[-3].cancelled()
        steps.append("shuts down")
        executor.shutdown(wait=True)
        raise SystemExit("ignored")

    others[0].add_done_callback(callback)
    settled(others)
    executor.shutdown()
    assert steps == ["submits", "cancelled", "shuts down", "submitted"]
    assert [f.result() for f in others[:-3]] == list(range(17))


@contextmanager
def pestered(handler: Callable[[], object]) -> Iterator[None]:
    """Run a signal handler in the main thread at random moments, once at a time."""
    is_over, may_send, main = threading.Event(), threading.Event(), threading.main_thread()

    def handle(*_: object) -> None:
        try:
            handler()
        finally:
            may_send.set()

    def pester() -> None:
        choose = random.Random(1)
        while not is_over.wait(choose.random() * 0.001):
            may_send.clear()
            assert main.ident is not None
            signal.pthread_kill(main.ident, signal.SIGUSR1)
            may_send.wait(10)

    may_send.set()
    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=pester)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        may_send.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_signal_handlers_may_submit_and_cancel() -> None:
    """At any moment of the main thread's work with the executor."""
    inner: list[Future[int]] = []
    outer: list[Future[int]] = []

    def handle() -> None:
        inner.append(executor.submit(abs, -1))
        inner[-1].running()
        inner[len(inner) // 2].cancel()
        if outer:
            outer[-1].cancel()

    with PoolExecutor(2) as executor:
        with pestered(handle):
            while len(inner) < 100:
                outer.append(executor.submit(abs, -1))
                outer[-1].running()
                outer[len(outer) // 2].cancel()
        for future in settled(inner + outer):
            assert future.cancelled() or future.result() == 1


class _Interrupt(Exception):
    pass


def test_an_interrupt_at_any_moment_loses_no_future() -> None:
    futures: list[Future[int]] = []
    interrupted = 0
    # The number of interrupts in a row.
    armed = 0

    def interrupt() -> None:
        nonlocal armed
        if armed:
            armed -= 1
            raise _Interrupt

    with PoolExecutor(2) as executor:
        with pestered(interrupt):
            while interrupted < 200:
                try:
                    try:
                        armed = 1 + interrupted % 3
                        futures.append(executor.submit(abs, -1))
                        futures[-1].cancel()
                        futures[len(futures) // 2].running()
                        values = executor.map(abs, range(5))
                        # As garbage, it could not raise the interrupt.
                        with closing(cast("Generator[int, None, None]", values)):
                            for _ in values:
                                futures.append(executor.submit(abs, -1))
                    except _Interrupt:
                        interrupted += 1
                    armed = 0
                except _Interrupt:
                    armed = 0
        for future in settled(futures):
            assert future.cancelled() or future.result() == 1
        assert executor.submit(abs, -2).result(timeout=30) == 2


class Finalized:
    """An object in a cycle: the garbage collector finalizes it, in any thread."""

    def __init__(self, finalize: Callable[[], object]) -> None:
        self.finalize, self.cycle = finalize, self

    def __del__(self) -> None:
        self.finalize()


def test_finalizers_may_submit_and_cancel() -> None:
    """Including the executor's own thread, in which the garbage collector also runs."""
    futures: list[Future[int]] = []
    finalized: list[Future[int]] = []
    threads = set()

    def finalize() -> None:
        threads.add(threading.current_thread().name)
        finalized.append(executor.submit(abs, -1))
        finalized[-1].running()
        futures[-1].cancel()

    made = 0
    before = gc.get_threshold()
    with PoolExecutor(2) as executor:
        gc.set_threshold(20, 2, 2)
        try:
            while len(threads) < 2 or len(finalized) < 300:
                futures.append(executor.submit(abs, -1))
                Finalized(finalize)
                made += 1
        finally:
            gc.set_threshold(*before)
        # The collector does nothing while it runs in another thread.
        while len(finalized) < made:
            gc.collect()
        for future in settled(futures + finalized):
            assert future.cancelled() or future.result() == 1
    assert "enact_pool-executor" in threads


class Peculiar(Exception):
    """Cannot be rebuilt from its arguments."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def raise_peculiar() -> None:
    raise Peculiar(1, 2)


def raise_annotated() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        second = ValueError("second", 2)
        vars(second)["__notes__"] = ["as noted"]
        vars(second)["state"] = {"of": "it"}
        raise second from error


def test_exceptions_keep_their_state_and_notes_or_become_text() -> None:
    with PoolExecutor(1) as executor:
        error = executor.submit(raise_annotated).exception()
        assert isinstance(error, ValueError)
        assert error.args == ("second", 2)
        assert vars(error) == {"__notes__": ["as noted"], "state": {"of": "it"}}
        assert "KeyError: 'first'" in str(error.__cause__)
        peculiar = executor.submit(raise_peculiar).exception()
        assert isinstance(peculiar, RemoteError)
        assert "Peculiar: 1 and 2" in str(peculiar)


class Frozen(Exception):
    """Refuses to set attributes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class OwnCause(Exception):
    __cause__ = property(lambda _: None)


def interrupt() -> None:
    raise KeyboardInterrupt


class Interrupts(Exception):
    """Interrupts the process that rebuilds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return interrupt, ()


class Exits(Exception):
    """Exits the process that pickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise SystemExit(7)


def raise_one(kind: type[Exception]) -> None:
    raise kind("as it is")


@pytest.mark.parametrize(
    ("call", "args", "raised"),
    [
        (raise_one, (Frozen,), Frozen),
        (raise_one, (OwnCause,), OwnCause),
        (raise_one, (Interrupts,), RemoteError),
        (raise_one, (Exits,), RemoteError),
        (Interrupts, (), RemoteError),
        (Exits, (), SystemExit),
        (id, (Exits(),), SystemExit),
    ],
)
def test_a_call_that_raises_in_the_executors_thread_costs_only_itself(
    call: Callable[..., Any], args: tuple[Any, ...], raised: type[BaseException]
) -> None:
    with PoolExecutor(1) as executor:
        one, other = settled([executor.submit(call, *args), executor.submit(abs, -1)])
        assert type(one.exception()) is raised
        assert other.result() == 1
        assert executor.submit(abs, -2).result(timeout=30) == 2


def test_large_arguments_and_values_arrive_complete() -> None:
    large = os.urandom(1 << 25)
    with PoolExecutor(2) as executor:
        futures = [executor.submit(bytes.swapcase, large) for _ in range(3)]
        assert all(f.result() == large.swapcase() for f in futures)


_shared: dict[str, Any] = {}


def share(lock: Any, queue: Any) -> None:
    _shared.update(lock=lock, queue=queue)


def put(text: str) -> bool:
    with _shared["lock"]:
        _shared["queue"].put(text)
    return bool(_shared["lock"].acquire(block=False))


class Counted:
    @classmethod
    def name(cls) -> str:
        _told.append(cls.__name__)
        return f"{cls.__name__} {len(_told)}"


_told: list[str] = []


def test_class_methods_find_their_module() -> None:
    """The module with its state: they are called in it, not copied."""
    with PoolExecutor(1) as executor:
        assert executor.submit(Counted.name).result() == "Counted 1"
        assert executor.submit(len, [1]).result() == 1
        assert executor.submit(Counted.name).result() == "Counted 2"


def test_initializers_accept_locks_and_queues() -> None:
    context = get_context("spawn")
    lock, queue = context.Lock(), context.SimpleQueue()
    with PoolExecutor(1, initializer=share, initargs=(lock, queue)) as executor:
        assert executor.submit(put, "hello").result() is True
        assert queue.get() == "hello"
        assert lock.acquire(block=False) is False
        executor.submit(os._exit, 1).exception()
        lock.release()
        assert executor.submit(put, "again").result() is True
        assert queue.get() == "again"
    queue.close()


_SPAWN = re.escape('multiprocessing.get_context("spawn")')


@pytest.mark.parametrize(
    "make",
    [
        lambda: get_context("fork").Lock(),
        lambda: get_context("fork").RLock(),
        lambda: get_context("fork").Event(),
        lambda: get_context("fork").BoundedSemaphore(),
        tqdm.get_lock,
    ],
    ids=["lock", "rlock", "event", "semaphore", "tqdm"],
)
def test_locks_that_a_clean_interpreter_cannot_open_are_refused(make: Callable[[], Any]) -> None:
    """On Python 3.10, using them in a worker would be a segmentation fault."""
    lock = make()
    expected = rf"objects of multiprocessing's fork context cannot be shared .*{_SPAWN}"
    with pytest.raises(RuntimeError, match=expected):
        PoolExecutor(1, initializer=print, initargs=(lock,))
    with pytest.raises(RuntimeError, match=expected):
        PoolExecutor(1, initializer=lambda: print(lock))


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_lock_of_threads_is_refused_for_an_initializer(make: Callable[[], Any]) -> None:
    expected = rf"objects of threading cannot be shared with workers; use one .*{_SPAWN}"
    with pytest.raises(TypeError, match=f"(?i)^r?lock {expected}"):
        PoolExecutor(1, initializer=print, initargs=(make(),))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_error_of_a_lock_in_a_call_explains_how_to_send_locks(method: str) -> None:
    context: Any = get_context(method)
    expected = rf"pass it in the `initargs` of a pool, created by {_SPAWN}"
    lock, queue = context.Lock(), context.SimpleQueue()
    with PoolExecutor(1) as executor:
        for function, argument in ((print, lock), (lambda _: print(lock), 0), (print, queue)):
            error = executor.submit(function, argument).exception()
            assert isinstance(error, RuntimeError)
            assert re.search(expected, str(error))
    with Pool(1) as pool:
        for callables, input in (([print], lock), ([lambda _: print(lock)], 0)):
            (result,) = pool.run_parallel(callables, input)
            assert isinstance(result.output, Err)
            assert re.search(expected, result.output.error)
    queue.close()


def test_workers_that_exited_while_idle_are_replaced() -> None:
    with PoolExecutor(1, idle_timeout=0.05) as executor:
        pid = executor.submit(os.getpid).result()
        while executor._pool._lane_pool.lanes():
            threading.Event().wait(0.005)
        assert executor.submit(os.getpid).result() not in (pid, os.getpid())


EXITS = {
    "calls that run are waited for": (
        "executor.submit(late, 'done')",
        "done\n",
    ),
    "shut down without waiting": (
        "executor.submit(late, 'done')\nexecutor.shutdown(wait=False)",
        "done\n",
    ),
    "dropped": (
        "executor.submit(late, 'done')\ndel executor",
        "done\n",
    ),
    "dropped by a daemon thread": (
        "import threading\ndef submit():\n    PoolExecutor(1).submit(late, 'done')\n"
        "thread = threading.Thread(target=submit, daemon=True)\n"
        "thread.start()\nthread.join()",
        "done\n",
    ),
    # The call is either in time or is refused.
    "first used while it exits": (
        "import threading\ndef submit():\n"
        "    try:\n        executor.submit(abs, 1).result()\n"
        "    except RuntimeError as error:\n        assert 'shutdown' in str(error)\n"
        "threading.Thread(target=submit).start()",
        "",
    ),
    "too late": (
        "import atexit\n@atexit.register\ndef last():\n"
        "    for e in (executor, PoolExecutor(1)):\n"
        "        try:\n            e.submit(abs, 1)\n"
        "        except RuntimeError as error:\n            print(error)\n"
        "executor.submit(abs, 1)",
        "cannot schedule new futures after shutdown\n"
        "cannot schedule new futures after interpreter shutdown\n",
    ),
}
EXIT = """
import time
from enact_pool import PoolExecutor
executor = PoolExecutor(1)
def late(text):
    time.sleep(0.1)
    print(text, flush=True)
"""


@pytest.mark.parametrize("end", EXITS)
def test_the_interpreter_may_exit_at_any_moment(end: str) -> None:
    code, expected = EXITS[end]
    ended = subprocess.run(
        [sys.executable, "-c", EXIT + code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (expected, "", 0)


FORK = """
import gc, os, resource, threading, time
from enact_pool import PoolExecutor
executor = PoolExecutor(1)
gate = "{gate}"
def busy():
    while not os.path.exists(gate):
        time.sleep(0.001)
    return "done"
futures = [executor.submit(busy) for _ in range(3)]
while not futures[0].running():
    time.sleep(0.001)
if pid := os.fork():
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    before = time.process_time()
    time.sleep(0.2)
    print(time.process_time() - before < 0.1)
    open(gate, "w").close()
    print([future.result() for future in futures])
else:
    assert futures[2].cancel() and futures[2].cancelled()
    assert not futures[0].running()
    assert executor.submit(abs, -1).result() == 1
    del executor
    gc.collect()
    os._exit(5)
"""


def test_a_forked_child_does_not_disturb_its_parent(tmp_path: Path) -> None:
    """The child uses the executor and the futures that it has inherited."""
    script = FORK.format(gate=tmp_path / "gate")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("5\nTrue\n['done', 'done', 'done']\n", "")


def test_a_timeout_of_result_does_not_end_the_call(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with PoolExecutor(1) as executor:
        future = executor.submit(samples.busy_until(str(gate)), None)
        # The built-in one, from 3.11 on.
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(timeout=0.01)
        gate.touch()
        assert future.result(timeout=30) == "done"
