"""What a worker process is when it begins: started by a main module of our own."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
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
    """Each of these takes longer than all that a worker needs."""
    heavy = {"attrs", "cyksuid", "asyncio", "concurrent.futures", "loky"}
    assert heavy - {"asyncio"} <= set(sys.modules), "the names are right"
    # Not a function of this module: that would be imported with it.
    assert not set(in_worker(lambda _: sorted(sys.modules))) & heavy


def reads_stdin(_: object) -> str:
    return sys.stdin.read()


def test_a_callable_that_reads_standard_input_finds_it_empty() -> None:
    assert in_worker(reads_stdin) == ""


def add_pid(shared: Any) -> None:
    shared["pid"] = os.getpid()


def test_an_input_may_be_an_object_of_a_manager() -> None:
    """To talk to it, a worker needs the key of its parent's processes."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        shared = manager.dict()
        in_worker(add_pid, shared)
        assert shared["pid"] not in (os.getpid(), None)


@pytest.mark.parametrize("users", ["", "/some/where", "/some/where:/else/where"])
def test_a_package_that_only_the_script_can_find_is_found_in_workers(
    users: str, tmp_path: Path
) -> None:
    """And callables find the PYTHONPATH that they would find without us."""
    home = Path(enact_pool.__file__).parent
    shutil.copytree(home, tmp_path / "enact_pool")
    (tmp_path / "asked.py").write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(tmp_path)!r})
            from enact_pool import run_parallel, __file__ as ours
            def where(_):
                import os, enact_pool
                hidden = [name for name in os.environ if name.startswith("_ENACT")]
                return enact_pool.__file__, os.environ.get("PYTHONPATH"), hidden
            told = run_parallel([where], 0)[0].output.unwrap()
            print(told == (ours, {users or None!r}, []) or (told, ours))
            """
        )
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if users:
        environment["PYTHONPATH"] = users
    done = subprocess.run(
        [sys.executable, str(tmp_path / "asked.py")],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        cwd="/",
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def pythonpath(_: object) -> str | None:
    return os.environ.get("PYTHONPATH")


def test_a_pythonpath_of_the_pools_own_is_seen() -> None:
    assert in_worker(pythonpath, env={"PYTHONPATH": "/of/the/pool"}) == "/of/the/pool"
