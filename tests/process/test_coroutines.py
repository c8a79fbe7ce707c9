"""Coroutines that callables return: those of one worker share an event loop."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from enact_pool import Err, Ok, Pool, PoolExecutor, map_parallel, run_parallel

# State that callables keep in their worker, as a user's module would.
kept: Any = builtins


def outputs(callables: Sequence[Callable[[Any], Any]], given: object = None) -> list[Any]:
    """Run callables in one worker, one after the other, and return their outputs."""
    with Pool(1) as pool:
        results = pool.run_parallel(callables, given)
    return [r.output.value if isinstance(r.output, Ok) else r.output.error for r in results]


async def number_of_loops(_: object) -> int:
    """Return how many loops coroutines have used in this worker."""
    # Not the loops themselves: keeping them would delay the closing of their descriptors.
    loops: list[Any] = vars(kept).setdefault("loops", [])
    loop = weakref.ref(asyncio.get_running_loop())
    if loop not in loops:
        loops.append(loop)
    return len(loops)


# Clients


@pytest.fixture
def echo_server(tmp_path: Path) -> Iterator[str]:
    """Yield the path of a socket that echoes each line."""
    path = str(tmp_path / "echo")

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            for line in file:
                file.write(line)
                file.flush()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.settimeout(0.05)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                thread = threading.Thread(target=serve, args=(connection,))
                thread.start()
                threads.append(thread)

        threads = [threading.Thread(target=accept)]
        threads[0].start()
        yield path
        is_over.set()
        for thread in threads:
            thread.join()


async def ask(path: str) -> bytes:
    if not hasattr(kept, "connection"):
        kept.connection = await asyncio.open_unix_connection(path)
    reader, writer = kept.connection
    writer.write(b"said\n")
    await writer.drain()
    return await reader.readline()  # type: ignore[no-any-return]


def test_a_cached_client_works_in_all_callables_of_a_worker(echo_server: str) -> None:
    with Pool(1) as pool:
        results = [
            *run_parallel([ask] * 3, echo_server, pool=pool),
            *map_parallel(ask, [echo_server] * 3, pool=pool),
        ]
    assert [result.output for result in results] == [Ok(b"said\n")] * 6
    with PoolExecutor(1) as executor:
        answers: list[Any] = list(executor.map(ask, [echo_server] * 3))
    assert answers == [b"said\n"] * 3


# The loop


def run_a_loop_of_its_own(_: object) -> str:
    async def awaited() -> str:
        return "awaited"

    return asyncio.run(awaited())


def close_the_loop(_: object) -> None:
    asyncio.get_event_loop().close()


async def stop_the_loop(_: object) -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(60)


def test_a_callable_may_run_its_own_loop() -> None:
    callables = [number_of_loops, run_a_loop_of_its_own, number_of_loops]
    assert outputs(callables) == [1, "awaited", 1]


def test_a_closed_loop_is_replaced() -> None:
    assert outputs([number_of_loops, close_the_loop, number_of_loops]) == [1, None, 2]


def test_a_coroutine_finds_its_own_tasks_only() -> None:
    """So it may cancel all of them, and what an earlier one has left stays."""

    async def tasks(_: object) -> list[bool]:
        kept.task = asyncio.create_task(asyncio.sleep(60), name="left")
        return sorted(task.get_name() == "left" for task in asyncio.all_tasks())

    def all_tasks(_: object) -> int:
        return len(asyncio.all_tasks(asyncio.get_event_loop()))

    assert outputs([tasks, tasks, all_tasks]) == [[False, True], [False, True], 2]


def test_a_coroutine_that_stops_the_loop_is_cancelled() -> None:
    first, stopped, last = outputs([number_of_loops, stop_the_loop, number_of_loops])
    assert (first, last) == (1, 1)
    assert "stopped before" in stopped


def close_descriptors(path: Path) -> None:
    for number in range(3, 900):
        # Except the file of a mapping, which the mapping closes when the worker exits.
        if "memfd" not in target(number):
            os.closerange(number, number + 1)
    # These files get the descriptor numbers of the loop.
    kept.files = [path.with_name(f"file{number}").open("w") for number in range(40)]
    for number, file in enumerate(kept.files):
        file.write(f"{number}\n")


def target(number: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


async def rest(_: object) -> str:
    await asyncio.sleep(0.01)
    return "rested"


def test_a_loop_without_its_descriptors_is_replaced(tmp_path: Path) -> None:
    """Files that reuse the numbers are neither written to nor closed."""
    values = outputs([number_of_loops, close_descriptors, number_of_loops, rest], tmp_path / "x")
    assert values == [1, None, 2, "rested"]
    contents = [(tmp_path / f"file{number}").read_text() for number in range(40)]
    assert contents == [f"{number}\n" for number in range(40)]


# Abandoned tasks


async def leave_a_task(_: object) -> None:
    async def count() -> None:
        kept.count = 0
        while True:
            kept.count += 1
            await asyncio.sleep(0)

    kept.task = asyncio.create_task(count())


def count(_: object) -> int:
    return kept.count  # type: ignore[no-any-return]


def test_an_abandoned_task_continues_while_later_coroutines_run() -> None:
    _, before, same, _, after = outputs([leave_a_task, count, count, rest, count])
    assert before == same < after


async def leave_a_task_that_exits(_: object) -> None:
    async def leave() -> None:
        await asyncio.sleep(0.001)
        sys.exit("it exits")

    kept.task = asyncio.create_task(leave())


async def leave_a_task_that_fails(_: object) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("it fails")

    kept.task = asyncio.create_task(fail())


async def leave_a_stop(_: object) -> None:
    """Leave a callback that stops the loop while the next coroutine runs."""
    loop = asyncio.get_running_loop()
    loop.call_later(0.001, loop.stop)


async def leave_a_task_that_cancels_all(_: object) -> None:
    async def leave() -> None:
        await asyncio.sleep(0.001)
        for task in asyncio.all_tasks():
            task.cancel()

    kept.task = asyncio.create_task(leave())


@pytest.mark.parametrize(
    "leave",
    [
        leave_a_task_that_exits,
        leave_a_task_that_fails,
        leave_a_stop,
        leave_a_task_that_cancels_all,
    ],
)
def test_an_error_of_an_abandoned_task_does_not_reach_later_callables(
    leave: Callable[..., Any],
) -> None:
    assert outputs([leave, rest, number_of_loops]) == [None, "rested", 1]


@pytest.mark.parametrize("turns", range(1, 8))
def test_an_abandoned_task_that_exits_at_any_turn_stops_no_later_callable(turns: int) -> None:
    async def leave(_: object) -> None:
        async def exit_later() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            sys.exit("it exits")

        kept.task = asyncio.create_task(exit_later())

    assert outputs([leave, rest, rest, number_of_loops]) == [None, "rested", "rested", 1]


def test_an_abandoned_task_is_cancelled_when_its_worker_exits(tmp_path: Path) -> None:
    async def leave(path: Path) -> None:
        async def note_the_end() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                path.write_text("ended")

        kept.task = asyncio.create_task(note_the_end())

    assert outputs([leave], tmp_path / "note") == [None]
    assert (tmp_path / "note").read_text() == "ended"


async def use_threads(_: object) -> bool:
    """Return whether another thread ran the work; one thread continues after the return."""
    asyncio.get_running_loop().run_in_executor(None, work)
    return await asyncio.to_thread(threading.get_ident) != threading.get_ident()


def work() -> None:
    time.sleep(0.1)
    kept.worked = True


def has_worked(_: object) -> bool:
    return hasattr(kept, "worked")


def test_threads_of_the_loop_finish_and_are_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert outputs([use_threads, has_worked, use_threads]) == [True, True, True]
    assert not caplog.records


async def iterate_in_part(_: object) -> None:
    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            kept.is_closed = True

    async for _number in numbers():
        break


def is_closed(_: object) -> bool:
    return hasattr(kept, "is_closed")


def test_an_asynchronous_generator_is_closed_with_its_coroutine() -> None:
    assert outputs([iterate_in_part, is_closed]) == [None, True]


async def handle_signals(_: object) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, setattr, kept, "handled", True)


async def send_signal(_: object) -> bool:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(0.01)
    signal.signal(signal.SIGUSR1, before)
    return hasattr(kept, "handled")


def test_a_signal_handler_of_the_loop_ends_with_its_coroutine() -> None:
    assert outputs([handle_signals, send_signal]) == [None, False]


# Outcomes


async def exit_(_: object) -> None:
    sys.exit("left")


async def interrupt(_: object) -> None:
    raise KeyboardInterrupt("interrupted")


async def fail(_: object) -> None:
    await asyncio.sleep(0)
    raise ValueError("failed")


async def cancel_itself(_: object) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)


async def exit_in_a_task(_: object) -> None:
    task = asyncio.create_task(exit_(None))
    await asyncio.sleep(60)
    await task


def test_every_exception_of_a_coroutine_is_its_own_outcome() -> None:
    callables = [number_of_loops, exit_, interrupt, fail, cancel_itself, exit_in_a_task]
    assert outputs([*callables, number_of_loops, rest]) == [
        1,
        "left",
        "interrupted",
        "failed",
        "CancelledError",
        "left",
        1,
        "rested",
    ]


async def fork(_: object) -> str:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    await asyncio.sleep(0.01)
    return "parent" if child else "child"


def test_a_child_that_a_coroutine_forks_changes_nothing() -> None:
    assert outputs([number_of_loops, fork, number_of_loops, rest]) == [1, "parent", 1, "rested"]


async def fork_and_run(_: object) -> str:
    """Fork a child that runs its own loop, as the child of any program may."""
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        os._exit(run_a_loop_of_its_own(None) != "awaited")
    _, status = os.waitpid(child, 0)
    return "ran" if status == 0 else f"status {status}"


def test_a_forked_child_can_run_a_loop() -> None:
    assert outputs([number_of_loops, fork_and_run, number_of_loops]) == [1, "ran", 1]


variable = contextvars.ContextVar("variable", default="unset")


async def set_variable(_: object) -> str:
    before = variable.get()
    variable.set("set")
    return before


def test_context_variables_of_a_coroutine_do_not_reach_others() -> None:
    assert outputs([set_variable, set_variable]) == ["unset", "unset"]


async def run_others(_: object) -> list[Any]:
    with Pool(1) as pool:
        inner = pool.run_parallel([number_of_loops, number_of_loops], 0)
    return [result.output.unwrap() for result in inner]


def test_a_coroutine_may_run_coroutines_in_a_pool() -> None:
    assert outputs([number_of_loops, run_others, number_of_loops]) == [1, [1, 1], 1]


def test_a_coroutine_that_exceeds_its_time_limit_costs_only_its_own_result() -> None:
    with Pool(1) as pool:
        late, last = pool.run_parallel([lambda _: asyncio.sleep(60), rest], 0, timeout=0.3)
    assert isinstance(late.output, Err)
    assert last.output == Ok("rested")
