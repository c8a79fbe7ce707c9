"""The start of workers: a new interpreter that imports little."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import enact_pool
from enact_pool import Pool


def in_worker(function: Any, given: object = None, **options: Any) -> Any:
    with Pool(1, **options) as pool:
        (result,) = pool.run_parallel([function], given)
    return result.output.unwrap()


def test_a_worker_imports_little() -> None:
    """Each of these modules takes longer to import than all that a worker needs."""
    heavy = {"attrs", "cyksuid", "asyncio", "concurrent.futures", "loky"}
    assert heavy - {"asyncio"} <= set(sys.modules), "the names are right"
    # Not a function of this module, which the worker would import with it.
    assert not set(in_worker(lambda _: sorted(sys.modules))) & heavy


def reads_stdin(_: object) -> str:
    return sys.stdin.read()


def test_a_callable_that_reads_standard_input_finds_it_empty() -> None:
    assert in_worker(reads_stdin) == ""


def add_pid(shared: Any) -> None:
    shared["pid"] = os.getpid()


def test_an_input_may_be_an_object_of_a_manager() -> None:
    """To connect to the manager, a worker needs the authentication key of its parent."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        shared = manager.dict()
        in_worker(add_pid, shared)
        assert shared["pid"] not in (os.getpid(), None)


def test_a_worker_imports_the_same_modules_as_its_parent(tmp_path: Path) -> None:
    """Even if only the script's folder has them, and the current folder has other ones."""
    home = tmp_path / "with:colon"
    shutil.copytree(Path(enact_pool.__file__).parent, home / "enact_pool")
    (home / "asked.py").write_text(
        textwrap.dedent(
            """
            import os
            from enact_pool import run_parallel, __file__ as ours
            def where(_):
                import os, enact_pool
                return enact_pool.__file__, os.environ.get("PYTHONPATH"), os.getcwd()
            found = run_parallel([where], 0)[0].output.unwrap()
            print(found == (ours, "/some/where", os.getcwd()) or (found, ours))
            """
        )
    )
    here = tmp_path / "here"
    (here / "enact_pool").mkdir(parents=True)
    for name in ("enact_pool/__init__", "mmap"):
        (here / f"{name}.py").write_text("raise RuntimeError('not this one')")
    done = subprocess.run(
        [sys.executable, str(home / "asked.py")],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": "/some/where"},
        cwd=here,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def nap_and_pid(_: object) -> int:
    time.sleep(0.02)
    return os.getpid()


def test_a_worker_costs_its_parent_seven_descriptors() -> None:
    """So 128 of them fit into the usual limit of 1 024."""
    with Pool(1) as pool:  # descriptors that do not depend on the number of workers
        pool.run_parallel([nap_and_pid], 0)
        before = len(os.listdir("/dev/fd"))
    with Pool(8) as pool:
        pids = {r.output.unwrap() for r in pool.run_parallel([nap_and_pid] * 80, 0)}
        assert len(os.listdir("/dev/fd")) <= before + 7 * (len(pids) - 1)
        assert len(pids) == 8


SQUEEZED = """
import os, resource
from enact_pool import Pool
with Pool(1) as pool:
    pool.run_parallel([len], "warm")
highest = max(map(int, os.listdir("/dev/fd")))
codes = []
for limit in range(highest, highest + 40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 4096))
    before = len(os.listdir("/dev/fd"))
    with Pool(1) as pool:
        (result,) = pool.run_parallel([len], "abc")
    assert len(os.listdir("/dev/fd")) == before
    if result.error is None:
        assert result.output.unwrap() == 3
    codes.append(result.error and result.error.code)
print(set(codes) == {None, "start_failed"})
"""


def test_too_few_descriptors_at_any_step_of_a_start_are_a_failed_start() -> None:
    """The start leaves no descriptor open."""
    done = subprocess.run(
        [sys.executable, "-c", SQUEEZED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


CLOSED = """
import os, sys
from enact_pool import Pool
with Pool(1) as pool:
    results = pool.run_parallel([print, lambda _: os.system("echo printed")], "printed")
    open(sys.argv[1], "w").write(repr([result.output.is_ok for result in results]))
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_without_standard_streams_has_workers(tmp_path: Path, closed: str) -> None:
    """Whatever file reuses their numbers, no output is written to it."""
    found = tmp_path / "found"
    command = f"exec {sys.executable} -c '{CLOSED}' {found} {closed}"
    subprocess.run(["sh", "-c", command], check=True, timeout=30, capture_output=True)
    assert found.read_text() == "[True, True]"
