"""Whatever a callable does to its worker costs only its own result."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import posix
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import sample_callables as samples

from enact_pool import Err, ExecutionErrorCategory, Ok, ParallelResult, Pool
from tests.hazards import process_callables, state_callables, value_callables
from tests.hazards.catalogue import HAZARDS
from tests.hazards.hazard import INPUT, SQUARED, Hazard
from tests.hazards.neighbours import slow_square, square
from tests.hazards.small_disk import on_small_disk, small_disk_refusal
from tests.timings import set_timing

ROOT = Path(__file__).parent.parent.parent

CATEGORIES = {
    "dies": ExecutionErrorCategory.KERNEL_INTERNAL,
    "times out": ExecutionErrorCategory.TIMEOUT,
    "takes too much memory": ExecutionErrorCategory.QUOTA_EXCEEDED,
}


def logged(index: int, log: Path, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a callable that logs its start, if it can, before it calls `then`."""

    def callable_(x: Any) -> Any:
        try:
            samples.append(log, index)
        except (OSError, MemoryError):
            pass  # an earlier callable in this process has used up what this needs
        return then(x)

    callable_.__name__ = then.__name__
    return callable_


def own_name(function: Any) -> str:
    return function.__name__ if isinstance(function, FunctionType) else type(function).__name__


def assert_expected(result: ParallelResult[Any], hazard: Hazard) -> None:
    """Assert that the harmful callable has the outcome that the contract says."""
    expected, output = hazard.expected, result.output
    name = "unknown" if expected.outcome == "dies" else own_name(hazard.callable)
    assert result.agent_name == name
    if expected.outcome == "returns":
        assert isinstance(output, Ok), output
        assert expected.seen(output.value) == expected.value
        assert result.error is None
        return
    assert isinstance(output, Err)
    if expected.outcome == "raises":
        assert expected.seen(output.error) == expected.value
        assert output.type == expected.type
        for text in (own_name(hazard.callable), *expected.traceback):
            assert text in output.traceback
        assert result.error is None
    elif expected.outcome == "is refused":
        assert output.error.startswith(expected.value)
        assert result.error is None
    else:
        assert result.error is not None
        assert result.error.category is CATEGORIES[expected.outcome]
        assert output == Err(result.error.message)
        assert f"callable {hazard.index} ({own_name(hazard.callable)})" in output.error
        assert result.error.details["index"] == hazard.index
        if expected.outcome == "dies":
            assert result.error.code == expected.value


@pytest.mark.parametrize(
    "hazard",
    [hazard for hazard in HAZARDS if not hazard.needs_small_disk],
    ids=lambda hazard: hazard.name,
)
def test_a_harmful_callable_costs_only_its_own_result(
    hazard: Hazard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others return, each is started once, and the pool works in the next run."""
    # For hazards that make a worker wait for commands that never arrive.
    set_timing(monkeypatch, "ROUND_SECONDS", 0.02)
    set_timing(monkeypatch, "LOADING_SECONDS", 1.0)
    log = tmp_path / "starts"
    callables = [
        logged(index, log, each) if isinstance(each, FunctionType) else each
        for index, each in enumerate(hazard.callables)
    ]
    limits: Any = {"timeout": hazard.timeout, "max_memory": hazard.max_memory}
    with Pool(2) as pool:
        results = pool.run_parallel(callables, INPUT, **limits)
        later = pool.run_parallel(hazard.neighbours, INPUT)
    harmful = results.pop(hazard.index)
    neighbours = 2 * len(hazard.neighbours)
    assert [result.output for result in results] == [Ok(SQUARED)] * neighbours
    assert_expected(harmful, hazard)
    starts = sorted(map(int, log.read_text().split()))
    may_start = [i for i, each in enumerate(callables) if isinstance(each, FunctionType)]
    if hazard.starves:
        assert len(set(starts)) == len(starts)
    else:
        assert starts == may_start
    assert [result.output for result in later] == [Ok(SQUARED)] * len(hazard.neighbours)


def test_a_full_disk_costs_no_result(tmp_path: Path) -> None:
    """Workers, inputs and return values need no disk; this test mounts one of 1 MB."""
    (hazard,) = (hazard for hazard in HAZARDS if hazard.needs_small_disk)
    disk, report = tmp_path / "disk", tmp_path / "report"
    disk.mkdir()
    if refusal := small_disk_refusal(str(disk)):
        pytest.skip(f"needs the right to mount a small disk: {refusal}")
    command = [
        sys.executable,
        "-m",
        "benchmarks.hazard_process",
        "enact_pool",
        hazard.name,
        "2",
        str(report),
    ]
    done = subprocess.run(
        on_small_disk(command, str(disk)), capture_output=True, text=True, timeout=40, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(report.read_text()) == {
        "right": 2 * len(hazard.neighbours),
        "lost": 0,
        "wrong": 0,
        "missing": 0,
        "is_reported": True,
        "harmful": "bytes",
    }
    assert str(disk) not in Path("/proc/mounts").read_text()
    assert not Path("/dev/shm/filled").exists()


def process_state(_: object) -> dict[str, Any]:
    """Return the state that callables share in a process, and the process id."""
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "process": os.getpid(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "recursion limit": sys.getrecursionlimit(),
        "timers": [
            signal.getitimer(timer)
            for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        ],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "limit of files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "CPUs": os.sched_getaffinity(0),
        "switch interval": sys.getswitchinterval(),
    }


def change_in_no_time(_: object) -> None:
    os.chdir("/")
    os.environ["HAZARD"] = "done"
    os.environ["HOME"] = "/nowhere"
    del os.environ["PATH"]
    os.umask(0o777)
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    sys.setrecursionlimit(4321)
    signal.setitimer(signal.ITIMER_REAL, 1000.0, 1000.0)


def leave_least_depth(_: object) -> None:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    while True:
        depth += 1
        try:
            return sys.setrecursionlimit(depth)
        except RecursionError:
            continue  # it is lower than Python allows here


def change_everything(_: object) -> None:
    change_in_no_time(_)
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 1000.0, 1000.0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    fewer, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fewer - 1, most))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.setswitchinterval(0.5)


def change_by_descriptor(_: object) -> None:
    assert os.chdir in os.supports_fd
    folder = os.open("/", os.O_RDONLY)
    posix.fchdir(folder)
    os.close(folder)


def change_in_c(_: object) -> None:
    c = ctypes.CDLL(None)
    c.chdir(b"/")
    c.umask(0o777)
    c.alarm(1000)
    time.sleep(0.0001)  # such changes are looked for every 20 us


def raise_changed(_: object) -> None:
    change_everything(_)
    raise ValueError("with everything changed")


def set_variable(_: object) -> None:
    os.environ["HAZARD"] = "done"


def set_variable_as_bytes(_: object) -> None:
    os.environb[b"HOME"] = b"/nowhere"


def remove_variable(_: object) -> None:
    os.environ.pop("PATH")


def remove_variable_as_bytes(_: object) -> None:
    del os.environb[b"PATH"]


def remove_all_variables(_: object) -> None:
    os.environ.clear()


@pytest.mark.parametrize(
    "change",
    [
        change_in_no_time,
        leave_least_depth,
        change_everything,
        change_by_descriptor,
        change_in_c,
        raise_changed,
        set_variable,
        set_variable_as_bytes,
        remove_variable,
        remove_variable_as_bytes,
        remove_all_variables,
    ],
)
def test_every_callable_starts_from_the_same_process_state(
    change: Callable[[object], None],
) -> None:
    with Pool(1) as pool:
        # Several times: the first one is slow, as it imports modules, and is checked anyway.
        callables = [process_state, *[change] * 4, process_state]
        first, *_, next_one = pool.run_parallel(callables, 0)
        (later,) = pool.run_parallel([process_state], 0)
    found = first.output.unwrap()
    assert found["timers"] == [(0.0, 0.0)] * 3
    assert next_one.output.unwrap() == found
    assert later.output.unwrap() == found


def identity(_: object) -> list[int]:
    """Return the priority, the scheduling policy, the user, the group and the root folder."""
    scheduling = [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)]
    return [*scheduling, os.getuid(), os.getgid(), os.stat("/").st_ino]


def set_user_in_c(_: object) -> None:
    ctypes.CDLL(None).setuid(65534)
    time.sleep(0.01)  # such changes are looked for after callables that took 2 ms


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change these")
@pytest.mark.parametrize(
    "change",
    [
        lambda _: os.nice(5),
        lambda _: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        lambda _: os.chroot("/tmp"),
        lambda _: os.setgid(65534),
        lambda _: os.setuid(65534),
        set_user_in_c,
    ],
)
def test_no_callable_runs_as_another_user_or_in_another_root(
    change: Callable[[object], object],
) -> None:
    with Pool(1) as pool:
        before, _, after = pool.run_parallel([identity, change, identity], 0)
        (later,) = pool.run_parallel([identity], 0)
    assert after.output == later.output == before.output


SETS_WHEN_IMPORTED = """
import os, resource, signal
os.chdir("/")
os.umask(0o077)
os.environ["SET"] = "when imported"
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

def known(_):
    umask = os.umask(0)
    os.umask(umask)
    return (
        os.getcwd(), umask, os.environ["SET"], signal.getsignal(signal.SIGUSR1),
        signal.pthread_sigmask(signal.SIG_BLOCK, ()), resource.getrlimit(resource.RLIMIT_NOFILE),
        os.getpid(),
    )
"""


def test_process_state_that_an_import_sets_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets_when_imported.py").write_text(SETS_WHEN_IMPORTED)
    monkeypatch.syspath_prepend(tmp_path)
    # The test does not import the module, which would change the state of its own process.
    known: Callable[[object], Any] = _Known()
    with Pool(1) as pool:
        found = [r.output.unwrap() for r in pool.run_parallel([known] * 3, 0)]
        changed, after = pool.run_parallel([change_everything, known], 0)
    assert found[0][:3] == ("/", 0o077, "when imported")
    assert found[0][5][0] == 512
    assert changed.output == Ok(None)
    assert [*found, after.output.unwrap()] == [found[0]] * 4


class _Known:
    """Unpickles in the worker as `known` of that module."""

    def __call__(self, _: object) -> None:
        raise AssertionError("called outside the worker")

    def __reduce__(self) -> tuple[Any, ...]:
        return _known_in_worker, ()


def _known_in_worker() -> Callable[[object], Any]:
    known: Callable[[object], Any] = importlib.import_module("sets_when_imported").known
    return known


def kill_worker_later(_: object) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()


def allocate_later(_: object) -> None:
    def allocate() -> None:
        kept = bytearray(b"x") * 400_000_000
        time.sleep(60)
        del kept

    threading.Timer(0.05, allocate).start()


@pytest.mark.parametrize("leave", [kill_worker_later, allocate_later])
def test_an_error_names_the_earlier_callable_that_may_be_its_cause(
    leave: Callable[[object], None],
) -> None:
    with Pool(1) as pool:
        left, blamed = pool.run_parallel([leave, time.sleep], 30, max_memory=300_000_000)
    assert left.output == Ok(None)
    assert isinstance(blamed.output, Err)
    text = blamed.output.error
    assert "callable 1 (sleep)" in text
    cause = rf"; an earlier callable \({leave.__name__}\) had left running: thread Thread-\d+"
    assert re.search(rf"{cause}$", text)


@pytest.mark.parametrize(
    ("leave", "left"),
    [
        (process_callables.leave_thread, r"thread left"),
        (process_callables.leave_non_daemon_thread, r"thread left"),
        (process_callables.fork_child_that_lives_on, r"process \d+"),
        (process_callables.leave_program, r"process \d+"),
    ],
)
def test_a_warning_names_the_callable_that_leaves_something_running(
    leave: Callable[[object], None], left: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning is logged."""
    with Pool(1) as pool:
        results = pool.run_parallel([square, leave, *[slow_square] * 3], INPUT)
    assert [result.output for result in results] == [
        *(Ok(SQUARED), Ok(None)),
        *[Ok(SQUARED)] * 3,
    ]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("enact_pool", "WARNING")
    expected = rf"callable 1 \({leave.__name__}\) left running: {left}"
    assert re.fullmatch(expected, record.getMessage())


def test_patched_modules_do_not_change_the_results_of_the_next_callables() -> None:
    """As long as those callables do not use the patched functions."""

    def return_list(x: int) -> list[int]:
        return [x]

    callables = [
        state_callables.patch_modules,
        value_callables.raise_plainly,
        return_list,
        square,
    ]
    with Pool(1) as pool:
        results = pool.run_parallel(callables, INPUT)
    outputs = [result.output for result in results]
    assert outputs == [Ok(None), Err("plain"), Ok([INPUT]), Ok(SQUARED)]
