"""Workers that die in every way, and what a death costs."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
import sample_initializers as initializers
from checks import assert_each_started_once, assert_ends
from sample_callables import logged

import enact_pool._engine.answers
import enact_pool._lanes.process
from enact_pool import Err, EventEmitter, ExecutionErrorCategory, Ok, Pool
from enact_pool._engine.poller import LanePoller
from tests.hazards import fatal_callables, process_callables, state_callables
from tests.timings import set_timing

Function = Callable[[Any], Any]

SIGNALS: dict[Function, str] = {
    samples.segfault: "SIGSEGV",
    samples.kill: "SIGKILL",
    samples.terminate: "SIGTERM",
    samples.abort: "SIGABRT",
    fatal_callables.overflow_c_stack: "SIGSEGV",
    fatal_callables.abort_at_memory_limit: "SIGABRT",
}
EXITS: dict[Function, int] = {samples.exit_0: 0, samples.exit_7: 7}
WITH_STACK: dict[Function, str] = {
    samples.segfault: "string_at",
    samples.abort: "abort",
    fatal_callables.overflow_c_stack: "overflow_c_stack",
    fatal_callables.abort_at_memory_limit: "abort_at_memory_limit",
}


@pytest.mark.parametrize("action", [*SIGNALS, *EXITS], ids=lambda action: action.__name__)
def test_a_death_costs_only_the_result_of_the_callable_that_ran(
    action: Function, tmp_path: Path
) -> None:
    """The callable that ran is blamed; the 24 others return; each is started once."""
    log, emitter = tmp_path / "starts", EventEmitter()
    callables = [logged(i, log, action if i == 7 else samples.square) for i in range(25)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 12, emitter)
    assert_each_started_once(log, 25)
    blamed = results.pop(7)
    assert [result.output for result in results] == [Ok(144)] * 24
    assert {result.agent_name for result in results} == {"square"}

    assert blamed.agent_name == "unknown"
    assert blamed.error is not None
    assert blamed.error.category is ExecutionErrorCategory.KERNEL_INTERNAL
    assert blamed.error.is_fatal
    assert blamed.output == Err(blamed.error.message)
    assert f"callable 7 ({action.__name__})" in blamed.error.message
    details = blamed.error.details
    assert (details["index"], details["name"]) == (7, action.__name__)
    if action in SIGNALS:
        assert details["signal"] == blamed.error.code == SIGNALS[action]
        assert details["exit_code"] == -getattr(signal, SIGNALS[action])
        assert SIGNALS[action] in blamed.error.message
    else:
        assert (details["exit_code"], details["signal"]) == (EXITS[action], None)
        assert f"code {EXITS[action]}" in blamed.error.message
    assert WITH_STACK.get(action, "") in details["stack"]
    assert bool(details["stack"]) == (action in WITH_STACK)
    assert "worker.py" not in details["stack"], "the stack ends at the user's frames"
    assert details["ran_ms"] == blamed.duration_ms > 0
    assert blamed.error.message.endswith("s after it began")

    events = emitter.drain()
    assert [event.type for event in events] == [
        "data-execution-failed" if i == 7 else "data-step-end" for i in range(25)
    ]
    assert [event.execution_id for event in events] == [
        *(result.execution_id for result in results[:7]),
        blamed.execution_id,
        *(result.execution_id for result in results[7:]),
    ]
    assert events[7].error is blamed.error  # type: ignore[attr-defined]


@pytest.fixture
def group_of_100_mb() -> Iterator[Path]:
    """Yield a control group (version 1 or 2) whose processes the kernel kills at 100 MB."""
    for place, limit in [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ]:
        group = Path(place, f"enact-pool-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(100_000_000))
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("needs the right to make a control group with a memory limit")


def test_running_out_of_memory_costs_one_result(group_of_100_mb: Path) -> None:
    """The kernel kills the worker, and the message names the lack of memory."""
    callables: list[Any] = [samples.square] * 25
    callables[7] = samples.AllocateInGroup(str(group_of_100_mb))
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 12)
    blamed = results.pop(7)
    assert [result.output for result in results] == [Ok(144)] * 24
    assert blamed.error is not None
    assert blamed.error.code == "SIGKILL"
    assert (
        "was killed by SIGKILL (probably by the kernel: out of memory) while"
        in blamed.error.message
    )
    assert "callable 7 (allocate)" in blamed.error.message
    assert blamed.error.details["out_of_memory"]


@pytest.mark.parametrize("reopens", [False, True])
def test_a_callable_that_closes_the_pipes_costs_no_result(reopens: bool, tmp_path: Path) -> None:
    """A worker that cannot write its answers is replaced, and writes to no user file."""
    log, file = tmp_path / "starts", tmp_path / "file"
    file.touch()
    action: Any = state_callables.close_every_descriptor
    if reopens:
        action = samples.ReopenDescriptors(str(file)).run
    callables = [logged(i, log, action if i == 7 else samples.square) for i in range(25)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 12)
    assert_each_started_once(log, 25)
    assert [r.output for r in results] == [Ok(None) if i == 7 else Ok(144) for i in range(25)]
    assert file.read_bytes() == b""


def test_a_callable_that_writes_into_the_pipes_costs_no_result(tmp_path: Path) -> None:
    """Its bytes are skipped, and the answers after them are found."""
    log = tmp_path / "starts"
    callables = [
        logged(i, log, state_callables.write_into_every_descriptor if i == 7 else samples.square)
        for i in range(25)
    ]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 12)
    assert_each_started_once(log, 25)
    assert [r.output for r in results] == [Ok(None) if i == 7 else Ok(144) for i in range(25)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "action",
    [
        samples.read_three_bytes_of_every_descriptor,
        state_callables.make_every_descriptor_blocking,
        state_callables.truncate_every_descriptor,
        process_callables.fork_child_that_crashes,
        state_callables.clear_modules,
    ],
)
def test_a_callable_that_damages_its_worker_costs_no_result(
    action: Function, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns, and the rest of its batch runs in another worker."""
    set_timing(monkeypatch, "ROUND_SECONDS", 0.03)
    log = tmp_path / "starts"
    callables = [logged(i, log, action if i % 30 == 5 else samples.square) for i in range(100)]
    with Pool(workers) as pool:
        results = pool.run_parallel(callables, 12)
    assert_each_started_once(log, 100)
    expected = [Ok(None) if i % 30 == 5 else Ok(144) for i in range(100)]
    assert [result.output for result in results] == expected


def test_a_worker_that_was_stopped_between_two_callables_goes_on() -> None:
    """By something that an earlier callable has left running, say."""
    with Pool(1) as pool:
        (before,) = pool.run_parallel([lambda _: os.getpid()], 12)
        os.kill(before.output.unwrap(), signal.SIGSTOP)
        results = pool.run_parallel([lambda _: os.getpid()] * 4, 12, timeout=10)
    assert [result.output for result in results] == [before.output] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_callable_that_reads_batches_and_permits_costs_no_result(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It empties the pipes of its worker; their content is sent to another worker."""
    set_timing(monkeypatch, "ROUND_SECONDS", 0.03)
    log = tmp_path / "starts"
    callables = [
        logged(i, log, state_callables.read_every_descriptor if i % 50 == 20 else samples.square)
        for i in range(200)
    ]
    with Pool(workers) as pool:
        results = pool.run_parallel(callables, 12)
    assert_each_started_once(log, 200)
    expected = [Ok(None) if i % 50 == 20 else Ok(144) for i in range(200)]
    assert [result.output for result in results] == expected


def test_answers_before_damaged_permits_count(tmp_path: Path) -> None:
    """All answers are in the pipe when the damage is found: only the last callable is blamed."""
    gate = tmp_path / "gate"

    def damage(_: object) -> None:
        samples.read_three_bytes_of_every_descriptor(_)
        gate.touch()
        samples.kill(_)

    class Opens:
        """Delays the parent until the damage is done."""

        def emit(self, _: object) -> None:
            while not gate.exists():
                time.sleep(0.001)

    callables = [samples.square] * 3 + [damage] + [samples.square] * 20
    with Pool(1) as pool:
        results = pool.run_parallel(callables, 3, Opens())
    blamed = results.pop(3)
    assert blamed.error is not None
    assert [result.output for result in results] == [Ok(9)] * 23


def test_answers_outlive_their_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its death is seen before any of them is read."""
    original = LanePoller.wait

    def deaths_first(self: LanePoller, seconds: float, *, spin: bool) -> list[tuple[int, int]]:
        polled = original(self, seconds, spin=spin)
        for descriptor, event in polled:
            _, lane = self.lanes[descriptor]
            if lane.ready and lane.exit is not None:
                while not lane.has_exited():
                    time.sleep(0.001)
                return [(lane.exit, event)]
        return polled

    monkeypatch.setattr(LanePoller, "wait", deaths_first)
    with Pool(1) as pool:
        results = pool.run_parallel([samples.square] * 3 + [samples.kill], 3)
    assert [result.output for result in results[:3]] == [Ok(9)] * 3
    assert "callable 3 (kill)" in str(results[3].error)


def test_a_callable_too_large_for_a_worker_costs_one_result() -> None:
    """Neither the worker nor its replacement has the memory to receive the callable."""
    large = bytes(400_000_000)
    callables: list[Any] = [samples.square] * 60
    callables[20] = lambda _: large
    with Pool(1, initializer=initializers.limit_memory, initargs=(300_000_000,)) as pool:
        results = pool.run_parallel(callables, 3)
    blamed = results.pop(20)
    assert [result.output for result in results] == [Ok(9)] * 59
    assert "while receiving callable 20" in str(blamed.error)


def test_the_crash_of_a_forked_child_is_not_attributed_to_its_worker() -> None:
    with Pool(1) as pool:
        results = pool.run_parallel([process_callables.fork_child_that_crashes, samples.exit_7], 0)
    assert results[0].output == Ok(None)
    assert results[1].error is not None
    assert results[1].error.details["stack"] == ""


def test_a_pipe_of_one_page_is_large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux limits the pipes of users that have many to one page."""
    original = os.pipe

    def small() -> tuple[int, int]:
        ends = original()
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
        return ends

    monkeypatch.setattr(os, "pipe", small)
    with Pool(2) as pool:
        results = pool.run_parallel([samples.square] * 5000, 3)
    assert [result.output for result in results] == [Ok(9)] * 5000


def test_many_deaths_in_a_row_cost_one_result_each(tmp_path: Path) -> None:
    """Every second of forty callables dies."""
    log = tmp_path / "starts"
    callables = [logged(i, log, samples.exit_7 if i % 2 else samples.square) for i in range(40)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 3)
    assert_each_started_once(log, 40)
    for i, result in enumerate(results):
        assert (result.output == Ok(9)) == (i % 2 == 0)
        assert result.error is None or result.error.details["index"] == i


def test_one_crash_among_ten_thousand_costs_one_result() -> None:
    """Batches are large by then: the rest of the crashed worker's batch runs elsewhere."""
    callables: list[Function] = [samples.square] * 10_000
    callables[7_000] = samples.segfault
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 5)
    wrong = [i for i, result in enumerate(results) if result.output != Ok(25)]
    assert wrong == [7_000]


def workers(pool: Pool) -> list[int]:
    """Return the process ids of a pool's workers."""
    return [lane.pid for lane in pool._lane_pool.lanes()]


def test_workers_killed_while_idle_cost_no_result() -> None:
    """Even more deaths than the number of failed starts that a run tolerates."""
    with Pool(4) as pool:
        for _ in range(3):
            assert [r.output for r in pool.run_parallel([samples.sleep_5_ms] * 8, 1)] == [Ok(1)] * 8
            for pid in workers(pool):
                os.kill(pid, signal.SIGKILL)
                # The pool must collect its exit status.
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert [r.output for r in pool.run_parallel([samples.square] * 8, 1)] == [Ok(1)] * 8


def test_a_worker_killed_from_outside_while_busy_costs_one_result(tmp_path: Path) -> None:
    """The callable of the killed worker is blamed; the other worker continues."""
    log, gate = tmp_path / "starts", tmp_path / "gate"
    callables = [logged(i, log, samples.busy_until(str(gate))) for i in range(6)]
    killed: list[int] = []

    def kill_one() -> None:
        while not log.exists() or len(log.read_text().split()) < 2:
            stop.wait(0.005)
        killed.append(workers(pool)[0])
        os.kill(killed[0], signal.SIGKILL)
        gate.touch()

    stop = threading.Event()
    with Pool(2) as pool:
        killer = threading.Thread(target=kill_one)
        killer.start()
        results = pool.run_parallel(callables, None)
        killer.join()
    assert killed
    assert_each_started_once(log, 6)
    died = [result for result in results if result.error is not None]
    assert len(died) == 1
    assert died[0].error is not None
    assert died[0].error.details["signal"] == "SIGKILL"
    assert died[0].duration_ms > 0
    assert [r.output for r in results if r.error is None] == [Ok("done")] * 5


def test_a_worker_killed_from_outside_while_starting_is_replaced(tmp_path: Path) -> None:
    """No callable is blamed."""
    log, gate = tmp_path / "log", tmp_path / "gate"

    def kill_first() -> None:
        while not log.exists() or not log.read_text():
            stop.wait(0.005)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)
        gate.touch()

    stop = threading.Event()
    with Pool(1, initializer=initializers.start_if_allowed, initargs=(str(log), str(gate))) as pool:
        killer = threading.Thread(target=kill_first)
        killer.start()
        results = pool.run_parallel([samples.square] * 5, 2)
        killer.join()
    assert [result.output for result in results] == [Ok(4)] * 5
    assert len(log.read_text().split()) == 2


def test_two_failed_starts_are_tolerated(tmp_path: Path) -> None:
    """The third worker starts and runs all callables."""
    log = tmp_path / "log"
    with Pool(1, initializer=initializers.die_twice, initargs=(str(log),)) as pool:
        results = pool.run_parallel([samples.square] * 5, 2)
    assert [result.output for result in results] == [Ok(4)] * 5
    assert len(log.read_text().split()) == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_that_never_start_fail_all_waiting_callables(workers: int) -> None:
    """The outcome of every callable says why no worker started."""
    emitter = EventEmitter()
    with Pool(workers, initializer=initializers.fail_to_start) as pool:
        results = pool.run_parallel([samples.square] * 5, 2, emitter)
    for result in results:
        assert result.agent_name == "unknown"
        assert result.error is not None
        assert result.error.category is ExecutionErrorCategory.KERNEL_INTERNAL
        cause = "the initializer raised RuntimeError: no licence for this worker"
        assert result.error.message == f"no worker could be started: {cause}"
        assert isinstance(result.output, Err)
        assert "in fail_to_start" in result.output.traceback
    assert [event.type for event in emitter.drain()] == ["data-execution-failed"] * 5


def test_finished_callables_keep_their_outcomes_when_workers_stop_starting(
    tmp_path: Path,
) -> None:
    """The only worker dies, and its replacements cannot start."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    gate.touch()

    def shut(_: object) -> str:
        gate.unlink()
        return "shut"

    with Pool(1, initializer=initializers.start_only_if, initargs=(str(gate),)) as pool:
        results = pool.run_parallel(
            [
                logged(0, log, samples.square),
                shut,
                samples.segfault,
                logged(1, log, samples.square),
            ],
            2,
        )
    assert [result.output for result in results[:2]] == [Ok(4), Ok("shut")]
    assert results[2].error is not None
    assert results[2].error.code == "SIGSEGV"
    assert results[3].error is not None
    assert results[3].error.code == "start_failed"
    assert log.read_text().split() == ["0"]


def test_a_surviving_child_does_not_hide_the_death_of_its_worker(tmp_path: Path) -> None:
    """The child keeps the dead worker's pipes open."""
    log = tmp_path / "child"

    def leave_child_and_die(_: object) -> None:
        if os.fork() == 0:
            samples.append(log, os.getpid())
            while True:
                signal.pause()
        while not log.exists() or not log.read_text():
            pass
        os._exit(7)

    with Pool(2) as pool:
        results = pool.run_parallel([samples.square, leave_child_and_die, samples.square], 2)
    os.kill(int(log.read_text()), signal.SIGKILL)
    assert [result.error and result.error.code for result in results] == [None, "exit_7", None]


def test_deaths_are_detected_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: the run polls its workers."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with Pool(2) as pool:
        results = pool.run_parallel(
            [samples.square, samples.kill, samples.segfault, samples.square], 2
        )
        assert all(lane.exit is None for lane in pool._lane_pool.lanes())
    codes = [result.error and result.error.code for result in results]
    assert codes == [None, "SIGKILL", "SIGSEGV", None]


def reap_all(*_: object) -> None:
    """Wait for all children that have exited, as some programs do."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


@pytest.mark.parametrize("handler", [signal.SIG_IGN, reap_all])
@pytest.mark.parametrize("lacking", ["nothing", "pidfds", "pidfds and waitid"])
def test_an_exit_status_that_user_code_collected_is_unknown(
    handler: Any, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User code reaps all children: the death is detected with and without pidfds."""
    if "pidfds" in lacking:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    if "waitid" in lacking:
        monkeypatch.setattr(enact_pool._lanes.process, "_waitid", None)
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        with Pool(2) as pool:
            results = pool.run_parallel([samples.square, samples.kill, samples.square], 2)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [result.output for result in results[::2]] == [Ok(4), Ok(4)]
    assert results[1].error is not None
    # A signal handler may run after the library has asked for the exit status.
    assert results[1].error.code in ("unknown", "SIGKILL")


@pytest.mark.parametrize("lacking", ["pidfds", "pidfds and waitid"])
def test_children_of_a_dead_worker_are_killed_without_pidfds(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    if "waitid" in lacking:
        monkeypatch.setattr(enact_pool._lanes.process, "_waitid", None)
    log = tmp_path / "child"

    def leave_child_and_die(_: object) -> None:
        if os.fork() == 0:
            samples.append(log, os.getpid())
            while True:
                signal.pause()
        while not log.exists() or not log.read_text():
            pass
        os._exit(7)

    with Pool(1) as pool:
        (result,) = pool.run_parallel([leave_child_and_die], 2)
    assert result.error is not None
    assert_ends(int(log.read_text()))


def write_stacks_elsewhere(_: object = None) -> None:
    faulthandler.enable()


@pytest.mark.parametrize("initializer", [None, write_stacks_elsewhere])
def test_a_crash_has_its_stack_even_if_the_callable_redirected_faulthandler(
    initializer: Callable[[], None] | None,
) -> None:
    with Pool(1, initializer=initializer) as pool:
        changed = [] if initializer else [write_stacks_elsewhere, samples.square]
        *_, result = pool.run_parallel([*changed, samples.segfault], 3)
    assert result.error is not None
    assert "in segfault" in result.error.details["stack"]
