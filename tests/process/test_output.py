"""Captured output of callables."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples

from enact_pool import Ok, Pool, run_parallel
from tests.hazards import state_callables


def greet(number: int) -> int:
    print("hello", number)
    print("mind", file=sys.stderr)
    return number


def print_by_all_means(_: object) -> None:
    print("Python")
    ctypes.CDLL(None).puts(b"C")
    subprocess.run(["echo", "a child"], check=True)
    subprocess.run("echo a shell > /dev/stderr", shell=True, check=True)
    os.write(1, b"no line \xff")


ALL_MEANS = "Python\nC\na child\nno line \\xff", "a shell\n"


class Then:
    """Prints in all ways, then calls a function."""

    def __init__(self, action: Callable[[Any], Any]) -> None:
        self.action, self.name = action, action.__name__

    def run(self, input: Any) -> Any:
        print_by_all_means(input)
        return self.action(input)


def hang(_: object) -> None:
    time.sleep(60)


def fail(_: object) -> None:
    raise ValueError


def close_streams(_: object) -> None:
    sys.stdout.close()
    sys.stderr.detach()  # type: ignore[union-attr]
    os.close(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def replace_streams(_: object) -> None:
    sys.stdout = sys.stderr = None


def print_to_a_full_pipe(_: object) -> None:
    """Print to a full pipe: its stream would block for ever."""
    _, into = os.pipe()
    os.set_blocking(into, False)
    try:
        while os.write(into, b"x" * 65536):
            pass
    except BlockingIOError:
        os.set_blocking(into, True)
    sys.stdout = open(into, "w")  # noqa: SIM115 - it is left open
    # The caller's filters, which the worker follows, turn an unclosed stream into an error.
    warnings.simplefilter("ignore", ResourceWarning)
    sys.stdout.write("never read")


def print_in_threads(_: object) -> None:
    def lines(name: str) -> None:
        for number in range(100):
            print(f"{name} {number}")

    threads = [threading.Thread(target=lines, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_each_result_has_the_output_of_its_callable_however_it_ended() -> None:
    """Quick callables, many in one batch, have only their own output."""
    ends = [samples.square, fail, samples.segfault, samples.exit_7, hang]
    callables: list[Any] = [greet] * 60
    for index, action in enumerate(ends):
        callables[5 + 10 * index] = Then(action)
    with Pool(2) as pool:
        pool.run_parallel([samples.square] * 100, 3)  # measures how quick they are
        results = pool.run_parallel(callables, 3, capture_output=True, timeout=2)
        plain = pool.run_parallel([greet], 3)[0]
    blamed_results = [
        result for index, result in enumerate(results) if callables[index] is not greet
    ]
    assert [(result.stdout, result.stderr) for result in blamed_results] == [ALL_MEANS] * 5
    kinds = [result.error and result.error.code for result in blamed_results]
    assert kinds == [None, None, "SIGSEGV", "exit_7", "timeout"]
    others = [result for result in results if result not in blamed_results]
    assert {(r.output, r.stdout, r.stderr) for r in others} == {(Ok(3), "hello 3\n", "mind\n")}
    assert (plain.stdout, plain.stderr) == ("", "")


@pytest.mark.parametrize(
    "action",
    [close_streams, replace_streams, print_to_a_full_pipe, state_callables.close_every_descriptor],
)
def test_changes_of_streams_are_undone_after_each_callable(
    action: Callable[[Any], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """After the run, the streams are the original ones."""
    with Pool(1) as pool:
        results = pool.run_parallel([greet, action, greet], 3, capture_output=True)
        assert [result.stdout for result in results] == ["hello 3\n", "", "hello 3\n"]
        assert capfd.readouterr() == ("", "")
        pool.run_parallel([greet], 4)
    assert capfd.readouterr() == ("hello 4\n", "mind\n")


def greet_from_a_worker_of_its_own(number: int) -> int:
    return len(run_parallel([greet], number, max_workers=1))


def test_output_of_nested_callables_belongs_to_the_outer_callable(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The nested callables run in idle workers; after the run nothing is captured."""
    with Pool(1) as pool:
        pool.run_parallel([greet_from_a_worker_of_its_own], 1)
        assert capfd.readouterr().out == "hello 1\n"
        callables = [greet_from_a_worker_of_its_own, greet, greet_from_a_worker_of_its_own]
        results = pool.run_parallel(callables, 2, capture_output=True)
        assert [result.stdout for result in results] == ["hello 2\n"] * 3
        pool.run_parallel([greet_from_a_worker_of_its_own], 3)
    assert capfd.readouterr() == ("hello 3\n", "mind\n")


def test_lines_of_threads_are_whole() -> None:
    (result,) = run_parallel([print_in_threads], 0, capture_output=True)
    expected = {f"{name} {number}" for name in "abcd" for number in range(100)}
    assert sorted(result.stdout.splitlines()) == sorted(expected)


def print_much(_: object) -> None:
    for start in range(0, 1_000_000, 10_000):
        sys.stdout.write("".join(f"{number:09}\n" for number in range(start, start + 10_000)))


def test_the_beginning_and_the_end_of_long_output_are_kept() -> None:
    (result,) = run_parallel([print_much], 0, capture_output=True)
    lines = result.stdout.splitlines()
    (gap,) = (index for index, line in enumerate(lines) if line.startswith("["))
    left_out = 10_000_000 - 10 * (len(lines) - 1)
    assert lines[gap] == f"[{left_out} bytes are left out here]"
    assert lines[:gap] == [f"{number:09}" for number in range(gap)]
    last = range(1_000_000 - (len(lines) - gap - 1), 1_000_000)
    assert lines[gap + 1 :] == [f"{number:09}" for number in last]
    assert 1_000_000 < len(result.stdout) < 1_100_000


def print_more_than_memory_is_for(_: object) -> int:
    """Continue when the file of the output uses little memory."""
    for _number in range(64):
        os.write(1, b"x" * (1 << 20))
    while os.fstat(1).st_blocks * 512 > 8 << 20:
        time.sleep(0.005)
    return os.fstat(1).st_size


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_output_that_is_dropped_uses_no_memory_for_long() -> None:
    callables = [print_more_than_memory_is_for, greet]
    with Pool(1) as pool:
        big, small = pool.run_parallel(callables, 3, capture_output=True, timeout=20)
    assert big.output == Ok(64 << 20)
    assert len(big.stdout) - big.stdout.count("x") < 60
    assert small.stdout == "hello 3\n"


def lock(_: object) -> None:
    """Lock the file like `flock /dev/stdout`; the lock outlives the callable."""
    fcntl.flock(os.open("/dev/stdout", os.O_WRONLY), fcntl.LOCK_SH)
    print("locked")


def print_anywhere(_: object) -> None:
    """Make later output overwrite the beginning of the file."""
    fcntl.fcntl(1, fcntl.F_SETFL, 0)
    print("anywhere")


def print_by_a_shell(_: object) -> None:
    """Open the file again, which truncates it."""
    subprocess.run("echo shell > /dev/stdout", shell=True, check=True)


@pytest.mark.parametrize(
    ("action", "text"),
    [(lock, "locked\n"), (print_anywhere, "anywhere\n"), (print_by_a_shell, "shell\n")],
)
def test_changes_of_the_output_file_cause_no_harm(action: Callable[[Any], Any], text: str) -> None:
    callables = [action, action, greet, action, greet, greet]
    results = run_parallel(callables, 3, max_workers=1, capture_output=True, timeout=20)
    greeting = "hello 3\n"
    assert [r.stdout for r in results] == [text, text, greeting, text, greeting, greeting]


def silence(_: object) -> None:
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def count_descriptors(_: object) -> int:
    return len(os.listdir("/dev/fd"))


def test_streams_that_callables_leave_use_no_descriptors() -> None:
    callables: list[Any] = [count_descriptors, *[silence] * 50, count_descriptors]
    results = run_parallel(callables, 0, max_workers=1, capture_output=True)
    assert results[0].output == results[-1].output


LINES = 50_000
PRINT_LINES = f"""
import os
for number in range({LINES}):
    os.write(1, b"%d\\n" % number)
"""
# In a worker.
left: list[subprocess.Popen[bytes]] = []


def leave_a_process_that_prints(_: object) -> None:
    left.append(subprocess.Popen([sys.executable, "-S", "-c", PRINT_LINES]))


def wait_for_more(_: object) -> None:
    size = os.fstat(1).st_size
    while os.fstat(1).st_size == size and left[0].poll() is None:
        pass


def wait_for_the_end(_: object) -> int:
    return left.pop().wait()


def test_no_output_of_a_process_that_was_left_running_is_lost() -> None:
    """The output of the next callable is printed while that of the previous one is sent."""
    callables = [leave_a_process_that_prints, *[wait_for_more] * 200, wait_for_the_end]
    results = run_parallel(callables, 0, max_workers=1, capture_output=True)
    assert results[-1].output == Ok(0)
    printed = "".join(result.stdout for result in results)
    assert printed.split() == [str(number) for number in range(LINES)]


# In a worker: a reference to `sys.stdout` that a module keeps.
kept: list[Any] = []


def write_to_what_was_kept(text: str) -> None:
    if not kept:
        kept.append(sys.stdout)
    kept[0].write(text)


def test_streams_that_modules_keep_print_in_later_runs_too() -> None:
    callables = [len, write_to_what_was_kept, len]
    with Pool(1) as pool:
        for text in ("one", "two"):
            results = pool.run_parallel(callables, text, capture_output=True)
            assert [result.stdout for result in results] == ["", text, ""]


def print_half_a_mebibyte(_: object) -> None:
    print("x" * (1 << 19))


def size_in_memory(_: object) -> int:
    return os.fstat(1).st_blocks * 512


def test_output_that_was_sent_uses_no_memory() -> None:
    callables: list[Any] = [*[print_half_a_mebibyte] * 20, size_in_memory]
    results = run_parallel(callables, 0, max_workers=1, capture_output=True)
    assert {len(result.stdout) for result in results[:-1]} == {(1 << 19) + 1}
    assert results[-1].output.unwrap() <= 2 << 20


class Counting:
    """An emitter that counts the open descriptors of this process."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def emit(self, _event: object) -> None:
        self.counts.append(len(os.listdir("/dev/fd")))


@pytest.mark.parametrize(("forward_logs", "more"), [(False, 0), (True, 4)])
def test_a_run_that_captures_output_needs_few_descriptors(forward_logs: bool, more: int) -> None:
    """Two for each worker if logs are forwarded, and only during the run."""
    with Pool(2) as pool:
        pool.run_parallel([samples.square] * 100, 3)
        before = len(os.listdir("/dev/fd"))
        for _ in range(2):
            seen: list[int] = []
            callables = [greet] * 10
            pool.run_parallel(
                callables, 3, Counting(seen), capture_output=True, forward_logs=forward_logs
            )
            assert max(seen) <= before + more
            assert len(os.listdir("/dev/fd")) == before
