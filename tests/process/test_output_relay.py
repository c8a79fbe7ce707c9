"""Output of tasks reaches objects that replace stdout and stderr before the results do."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from enact_pool import (
    EventEmitter,
    Ok,
    Pool,
    PoolExecutor,
    StepEnd,
    imap_parallel,
    map_parallel,
    run_parallel,
)
from enact_pool._lanes.output_relay import Relay, relays, replaced_streams

KILOBYTES = 300


def say(text: Any) -> Any:
    print("said", text)
    return text


def dot(text: Any) -> Any:
    """Print an incomplete line."""
    print(".", end="")
    return text


def dot_after(seconds: float) -> None:
    time.sleep(seconds)
    print(".", end="")


def say_to_both(text: Any) -> None:
    for number in range(3):
        print(text, "out", number)
        print(text, "err", number, file=sys.stderr)


def say_from_c(text: Any) -> None:
    os.write(1, f"from {text}\n".encode())
    subprocess.run(["echo", "of a process"], check=True)


def die_in_a_line(_: object) -> None:
    print("half a", end=" ", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def say_much(character: str) -> int:
    for _ in range(KILOBYTES):
        print(character * 1023)
    return KILOBYTES


def say_in_a_pool_of_its_own(text: str) -> None:
    with Pool(1) as pool:
        pool.run_parallel([say], text)


def say_later(path: str) -> None:
    """Leave a thread that prints once a file exists, and reports by another file."""

    def speak() -> None:
        while not os.path.exists(path):
            time.sleep(0.002)
        try:
            print("later", flush=True)
        except OSError as error:
            Path(path + ".report").write_text(repr(error))
        else:
            Path(path + ".report").write_text("printed")

    threading.Thread(target=speak, daemon=True).start()


def leave_a_process_that_prints(_: object) -> int:
    return subprocess.Popen(["yes"], stdin=subprocess.DEVNULL).pid


def the_relay() -> Relay:
    (relay,) = relays.active
    return relay


def waited_for(path: str) -> str:
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        if os.path.exists(path) and (text := Path(path).read_text()):
            return text
        time.sleep(0.005)
    raise AssertionError(f"{path} was not written")


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset PYTHONUNBUFFERED, with which workers would never buffer output."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


class Slow(io.StringIO):
    """A slow console."""

    def write(self, text: str) -> int:
        time.sleep(0.05)
        return super().write(text)


class Broken:
    """A console whose `write` raises."""

    def __init__(self) -> None:
        self.calls = 0

    def write(self, text: str) -> int:
        self.calls += 1
        raise LookupError(f"{self.calls}: no console")

    def flush(self) -> None:
        """Do nothing."""


def test_output_of_tasks_is_in_the_object_when_the_run_returns(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Pool(2) as pool:
        pool.run_parallel([say], "before")
        with redirect_stdout(io.StringIO()) as text:
            pool.run_parallel([say, say, dot], "run")
            assert sorted(text.getvalue().replace(".", "")) == sorted("said run\n" * 2)
            assert text.getvalue().count(".") == 1
            pool.run_parallel([say_from_c], "C")
            assert text.getvalue().endswith("from C\nof a process\n")
        with redirect_stdout(io.StringIO()) as other:
            pool.run_parallel([say], "other")
        pool.run_parallel([say], "after")
    assert other.getvalue() == "said other\n"
    assert capfd.readouterr().out == "said before\nsaid after\n"
    assert not relays.active


def test_output_of_a_task_arrives_before_its_result_is_yielded() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(2) as pool:
        for result in imap_parallel(dot, range(20), pool=pool):
            assert result.output.is_ok
            assert text.getvalue().count(".") > result.output.unwrap()
        assert text.getvalue() == "." * 20


def test_half_a_line_arrives_while_the_worker_runs_the_next_task() -> None:
    class Looking(EventEmitter):
        def emit(self, event: Any) -> None:
            seen.append(text.getvalue())

    seen: list[str] = []
    with Pool(1) as pool:
        map_parallel(dot_after, [0] * 100, pool=pool, capture_output=True)
        # The first run measures that they are quick: the second sends them together.
        with redirect_stdout(Slow()) as text:
            map_parallel(dot_after, [0, 0, 0.5], Looking(), pool=pool)
    assert seen == ["..", "..", "..."]


def test_a_lazy_run_that_never_starts_leaves_no_relay(capfd: pytest.CaptureFixture[str]) -> None:
    """A lazy run that starts late prints to the stdout of the time when it was created."""
    with Pool(1) as pool:
        with redirect_stdout(io.StringIO()) as text:
            unused = imap_parallel(say, [1], pool=pool)
            late = imap_parallel(say, [2, 3], pool=pool)
            begun = imap_parallel(say, range(100), pool=pool)
            next(begun)
            begun.close()
            text.truncate(0)
        assert not relays.active
        assert [result.output for result in late] == [Ok(2), Ok(3)]
        unused.close()
    assert text.getvalue().lstrip("\0") == "said 2\nsaid 3\n"
    assert capfd.readouterr().out == ""


def test_output_of_a_call_arrives_before_its_future_is_done(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with PoolExecutor(2) as executor:
        executor.submit(say, "before").result()
        for number in range(5):
            with redirect_stdout(io.StringIO()) as text:
                assert executor.submit(dot, number).result() == number
                assert text.getvalue() == "."
                list(executor.map(say, [number] * 3))
            assert text.getvalue() == "." + f"said {number}\n" * 3
        executor.submit(say, "after").result()
        with redirect_stdout(io.StringIO()) as late:
            future = executor.submit(say, "late")
        others = [executor.submit(say, "other") for _ in range(3)]
        future.result()
        assert late.getvalue() == "said late\n"
        for other in others:
            other.result()
    out = capfd.readouterr().out
    assert out == "said before\nsaid after\n" + "said other\n" * 3
    assert not relays.active


def test_successive_calls_share_one_relay_and_later_ones_end_it() -> None:
    with PoolExecutor(1) as executor:
        with redirect_stdout(io.StringIO()):
            executor.submit(say, 1).result()
            relay = the_relay()
            executor.submit(say, 2).result()
            assert the_relay() is relay
            executor.submit(say, 3).cancel()
        executor.submit(len, "").result()
        executor.submit(len, "").result()
        assert not relays.active


def test_stderr_is_relayed_and_stdout_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with redirect_stderr(io.StringIO()) as text:
        run_parallel([say_to_both], "a")
    assert text.getvalue() == "a err 0\na err 1\na err 2\n"
    assert capfd.readouterr() == ("a out 0\na out 1\na out 2\n", "")


def test_one_object_for_both_gets_lines_in_the_order_of_printing() -> None:
    with io.StringIO() as text, redirect_stdout(text), redirect_stderr(text):
        run_parallel([say_to_both], "a")
        expected = [f"a {name} {number}" for number in range(3) for name in ("out", "err")]
        assert text.getvalue().splitlines() == expected


def test_two_objects_receive_their_own_output() -> None:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        run_parallel([say_to_both], "a")
    assert out.getvalue() == "a out 0\na out 1\na out 2\n"
    assert err.getvalue() == "a err 0\na err 1\na err 2\n"


def test_an_error_of_the_object_is_raised_at_the_end_of_the_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken: Any = Broken()
    with Pool(1) as pool:
        with redirect_stdout(broken), pytest.raises(LookupError, match="1: no console") as caught:
            pool.run_parallel([say, say], 3)
        assert [result.output for result in vars(caught.value)["results"]] == [Ok(3), Ok(3)]
        pool.run_parallel([say], 4)
    assert capfd.readouterr().out == "said 4\n"
    assert not relays.active


def test_a_slow_object_receives_all_output_before_the_result() -> None:
    with redirect_stdout(Slow()) as text:
        run_parallel([say] * 3, "slow")
        assert text.getvalue() == "said slow\n" * 3


def test_half_a_line_before_a_crash_is_shown() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(1) as pool:
        (dead, other) = pool.run_parallel([die_in_a_line, say], "x")
    assert dead.error is not None
    assert other.output == Ok("x")
    assert text.getvalue() == "half a said x\n"


def test_output_larger_than_a_pipe_and_multibyte_characters_arrive_unchanged() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(2) as pool:
        pool.run_parallel([say_much], "ä")
    assert text.getvalue() == ("ä" * 1023 + "\n") * KILOBYTES


def test_undecodable_bytes_are_replaced() -> None:
    with redirect_stdout(io.StringIO()) as text:
        run_parallel([lambda _: os.write(1, b"a\xffb\xc3")], 0)
    assert text.getvalue() == "a\ufffdb\ufffd"


def test_runs_of_several_threads_share_a_relay() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(2) as pool:
        begun = imap_parallel(say, [0], pool=pool)
        next(begun)
        relay = the_relay()
        runs = [
            threading.Thread(target=pool.run_parallel, args=([say] * 5, name)) for name in "abc"
        ]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
        assert the_relay() is relay
        begun.close()
        assert not relays.active
    lines = sorted(text.getvalue().splitlines())
    assert lines == ["said 0", *(f"said {name}" for name in "abc" for _ in range(5))]


def test_a_pool_in_a_worker_prints_to_the_same_object() -> None:
    with redirect_stdout(io.StringIO()) as text:
        run_parallel([say_in_a_pool_of_its_own], "nested")
    assert text.getvalue() == "said nested\n"


def test_captured_output_is_not_relayed() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(1) as pool:
        (result,) = pool.run_parallel([say], 1, capture_output=True)
        pool.run_parallel([say], 2)
    assert result.stdout == "said 1\n"
    assert text.getvalue() == "said 2\n"


def test_output_arrives_before_the_event_of_its_task() -> None:
    class Looking(EventEmitter):
        def emit(self, event: Any) -> None:
            seen.append((type(event), text.getvalue()))

    seen: list[tuple[type, str]] = []
    with redirect_stdout(io.StringIO()) as text:
        run_parallel([dot], 1, Looking())
        run_parallel([dot], 1, Looking("live"))
    assert [printed for kind, printed in seen if kind is StepEnd] == [".", ".."]


def test_a_thread_left_running_prints_to_the_descriptor_after_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    signal_file = str(tmp_path / "go")
    with Pool(1) as pool:
        with redirect_stdout(io.StringIO()) as text:
            pool.run_parallel([say_later], signal_file)
            assert not relays.active
        time.sleep(0.05)  # the worker restores the descriptors when it is idle
        Path(signal_file).touch()
        assert waited_for(signal_file + ".report") == "printed"
    assert text.getvalue() == ""
    assert capfd.readouterr().out == "later\n"


def test_a_process_left_printing_does_not_delay_the_end_of_the_run() -> None:
    with redirect_stdout(io.StringIO()) as text, Pool(1) as pool:
        begun = time.monotonic()
        (result,) = pool.run_parallel([leave_a_process_that_prints], 0)
        assert time.monotonic() - begun < 10
    assert result.output.is_ok
    assert set(text.getvalue()) <= {"y", "\n"}


def test_a_forked_child_has_its_own_relay(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    with redirect_stdout(io.StringIO()) as text, Pool(1) as pool:
        begun = imap_parallel(say, [1, 2], pool=pool)
        next(begun)
        child = os.fork()
        if not child:
            try:
                with Pool(1) as own:
                    own.run_parallel([say], "child")
                answer.write_text(text.getvalue())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        list(begun)
    assert answer.read_text().endswith("said child\n")
    assert text.getvalue() == "said 1\nsaid 2\n"


def test_an_interrupted_run_leaves_no_relay() -> None:
    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            if not self.tell():
                os.kill(os.getpid(), signal.SIGINT)
            return super().write(text)

    interrupts = 0
    with Pool(1) as pool:
        for _ in range(10):
            with redirect_stdout(Interrupting()):
                try:
                    pool.run_parallel([dot] * 5, 1)
                except KeyboardInterrupt:
                    interrupts += 1
            pool.run_parallel([len], "")
            assert not relays.active
    assert interrupts == 10


def test_the_program_can_exit_while_calls_print_to_an_object() -> None:
    program = (
        "import io, sys, time\n"
        "from enact_pool import PoolExecutor\n"
        "def say(n): print('said', n); return n\n"
        "class Console(io.StringIO):\n"
        "    def write(self, text): sys.__stderr__.write(text)\n"
        "sys.stdout = Console()\n"
        "executor = PoolExecutor(1)\n"
        "futures = [executor.submit(say, n) for n in range(3)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=50, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == ["said 0", "said 1", "said 2"]


def test_capsys_captures_what_tasks_print(capsys: pytest.CaptureFixture[str]) -> None:
    run_parallel([say_to_both], "a")
    out, err = capsys.readouterr()
    assert out == "a out 0\na out 1\na out 2\n"
    assert err == "a err 0\na err 1\na err 2\n"


class _NoDescriptor(io.StringIO):
    def fileno(self) -> Any:
        return None


class _Negative(io.StringIO):
    def fileno(self) -> int:
        return -1


class _Exiting(io.StringIO):
    def fileno(self) -> int:
        raise SystemExit


@pytest.mark.parametrize("make", [io.StringIO, _NoDescriptor, _Negative, _Exiting, Broken])
def test_an_object_without_a_descriptor_can_replace_stdout(make: Callable[[], Any]) -> None:
    with redirect_stdout(make()) as console:
        assert replaced_streams() == (console, None)
        with redirect_stderr(make()) as other:
            assert replaced_streams() == (console, other)
    assert replaced_streams() is None


@pytest.mark.parametrize("stream", [None, object()])
def test_an_object_that_cannot_be_written_to_means_the_descriptor(
    stream: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with redirect_stdout(stream):
        assert replaced_streams() is None
        run_parallel([say], 1)
    closed = io.StringIO()
    closed.close()
    with redirect_stdout(closed):
        assert replaced_streams() is None
        run_parallel([say], 2)
    assert capfd.readouterr().out == "said 1\nsaid 2\n"


def test_a_replaced_object_is_not_kept_alive() -> None:
    with open(os.dup(1), "w") as file, redirect_stdout(file):
        assert replaced_streams() is None
        kept: list[weakref.ref[Any]] = [weakref.ref(file)]
    del file
    with Pool(1) as pool:
        with redirect_stdout(io.StringIO()) as text:
            pool.run_parallel([say], 1)
            kept.append(weakref.ref(text))
        del text
        gc.collect()
        assert [each() for each in kept] == [None, None]
