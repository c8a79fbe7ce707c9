"""Fixtures of all tests: no resource outlives a test."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import threading
import uuid
from collections.abc import Iterator

import psutil
import pytest

from enact_pool import run_parallel
from enact_pool._api.default_pool import _default_pool

MARK = "ENACT_POOL_TEST_RUN"


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary folder of our own, without files of concurrent test runs."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temporary"))
    tempfile.tempdir = None
    yield
    del os.environ["TMPDIR"]
    if before is not None:
        os.environ["TMPDIR"] = before
    tempfile.tempdir = None


@pytest.fixture(scope="session", autouse=True)
def interrupts_heeded() -> Iterator[None]:
    """Restore the SIGINT handler, as shells let background processes ignore SIGINT."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def mark(own_temporary_folder: None) -> Iterator[str]:
    """Mark the environment of every process that the tests start, also of orphans."""
    os.environ[MARK] = uuid.uuid4().hex
    # Started once and kept, so not a leak of a test: loky's two resource trackers
    # and the death pipe.
    run_parallel([len], "")
    end_default_pool()
    # The tests' modules are imported by now. To look for garbage among their objects, twice per
    # test, would take a fifth of the CPU time of all tests.
    gc.collect()
    gc.freeze()
    yield os.environ[MARK]
    gc.unfreeze()
    del os.environ[MARK]


def end_default_pool() -> None:
    """End the default pool; its next use makes a new one."""
    if _default_pool._pool is not None:
        _default_pool._pool.close()
        _default_pool._pool = None


def processes(mark: str) -> dict[int, str]:
    """Return all processes with the mark, and zombies of this one, by process id."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                ours = process.ppid() == os.getpid()
            else:
                ours = process.environ().get(MARK) == mark
            if ours and process.pid != os.getpid():
                found[process.pid] = f"{process.status()} {' '.join(process.cmdline())}"
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process, by number."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:
            continue  # the descriptor of the listing itself
        found[int(name)] = f"mode {status.st_mode:o} inode {status.st_ino}"
    return found


def temporary_files() -> set[str]:
    """Return our files among temporary files and shared memory."""
    places = [tempfile.gettempdir(), "/dev/shm"]
    return {
        entry.path
        for place in places
        if os.path.isdir(place)
        for entry in os.scandir(place)
        if "enact" in entry.name or "psm_" in entry.name
    }


@pytest.fixture(autouse=True)
def nothing_left(mark: str) -> Iterator[None]:
    """Check that the test leaves no process, thread, descriptor, file or blocked signal."""
    gc.collect()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    before = processes(mark), descriptors(), set(threading.enumerate()), temporary_files()
    yield
    end_default_pool()
    gc.collect()
    new = processes(mark).keys() - before[0].keys()
    # A killed process disappears a moment later, which can only be polled.
    psutil.wait_procs([psutil.Process(pid) for pid in new if psutil.pid_exists(pid)], timeout=5)
    left = {pid: what for pid, what in processes(mark).items() if pid not in before[0]}
    assert not left, "processes left"
    assert descriptors().keys() == before[1].keys(), "descriptors left"
    assert set(threading.enumerate()) == before[2], "threads left"
    assert temporary_files() == before[3], "files left"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked, "signals left blocked"
