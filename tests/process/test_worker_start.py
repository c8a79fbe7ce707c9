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


def test_a_program_that_a_callable_starts_finds_standard_input_empty() -> None:
    """And leaves to the caller what is meant for it."""
    program = """
import subprocess, sys
from enact_pool import run_parallel
(result,) = run_parallel([lambda _: subprocess.run(["cat"], stdout=subprocess.PIPE).stdout], 0)
print(result.output, sys.stdin.read())
"""
    assert succeed([sys.executable, "-c", program], input="given") == "Ok(b'') given\n"


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


SAYS_HOW_IT_RUNS = """
import os, sys
from enact_pool import run_parallel

def how(_):
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if name.islower()}
    flags = {name: value for name, value in flags.items() if isinstance(value, int)}
    flags.pop("safe_path", None)  # of no use to a worker, whose path is its parent's
    return flags, sys.warnoptions, open(os.devnull).encoding

(result,) = run_parallel([how], 0)
assert result.output.unwrap() == how(0), (result.output.unwrap(), how(0))
"""


def succeed(command: list[str], **options: Any) -> str:
    """Run a program that must not fail; return what it prints."""
    done: Any = subprocess.run(command, capture_output=True, text=True, timeout=50, **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize(
    "flags",
    [
        "-O",
        "-OO -B",
        "-W error",
        "-W error::ResourceWarning -W ignore::DeprecationWarning",
        "-X utf8=0",
        "-X utf8 -b",
        "-X dev",
        "-s -E",
        "-I -O",
    ],
)
def test_a_worker_has_the_interpreter_flags_of_its_parent(flags: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    folder = str(Path(enact_pool.__file__).parent.parent)
    program.write_text(f"import sys; sys.path.append({folder!r})\n{SAYS_HOW_IT_RUNS}")
    succeed(
        [sys.executable, *flags.split(), str(program)],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    )


def test_an_import_path_may_be_long_and_contain_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    odd: list[Any] = [Path("/nowhere"), None, 5, b"/bytes"]
    long = [f"/nowhere/{number}/{'x' * 200}" for number in range(2000)]
    monkeypatch.setattr(sys, "path", [*odd, *sys.path, *long])
    assert in_worker(lambda _: [entry for entry in sys.path if "/xxx" in entry]) == long


@pytest.mark.skipif(
    sys.version_info[:3] == (3, 13, 0), reason="this Python cannot import socket there"
)
def test_a_worker_starts_when_the_current_folder_is_gone(tmp_path: Path) -> None:
    """Even if modules are looked for in that folder first."""
    program = "import os, sys; os.rmdir(os.getcwd()); assert '' in sys.path\n" + SAYS_HOW_IT_RUNS
    folder = tmp_path / "gone"
    folder.mkdir()
    source = str(Path(enact_pool.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": source}
    environment.pop("PYTHONSAFEPATH", None)
    succeed([sys.executable, "-c", program], cwd=folder, env=environment)


@pytest.mark.parametrize(
    ("executable", "reason"),
    [
        ("None", "name the interpreter by multiprocessing.set_executable"),
        ("''", "name the interpreter by multiprocessing.set_executable"),
        ("'/nowhere/python'", "No such file or directory: '/nowhere/python'"),
        ("'/etc/passwd'", "Permission denied: '/etc/passwd'"),
        ("'/bin/false'", "worker exited with code 1"),
    ],
)
def test_the_error_says_why_an_executable_starts_no_worker(executable: str, reason: str) -> None:
    program = f"""
import multiprocessing.spawn, sys
if {executable}:
    multiprocessing.set_executable({executable})
else:
    multiprocessing.spawn._python_exe = {executable}
from enact_pool import run_parallel
(result,) = run_parallel([abs], -1)
print(result.output)
real = sys.executable
sys.executable = {executable}
multiprocessing.set_executable(real)
(result,) = run_parallel([abs], -1)
print(result.output)
"""
    first, second = succeed([sys.executable, "-c", program]).splitlines()
    assert first.startswith("no worker could be started: ")
    assert reason in first
    assert second == "Ok(1)", "the executable that was set counts"


def test_a_program_without_arguments_has_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As programs that embed Python may be."""
    monkeypatch.delattr(sys, "argv")
    assert in_worker(abs, -1) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--multiprocessing-fork", "pipe_handle=5"],
        ["-B", "-c", "from multiprocessing.resource_tracker import main;main(3)"],
    ],
)
def test_a_process_of_a_frozen_program_starts_no_others(arguments: list[str]) -> None:
    """Each process of a frozen program runs its main module."""
    program = """
import sys
sys.frozen, sys.argv = True, ["program", *sys.argv[1:]]
from enact_pool import run_parallel
run_parallel([abs], -1)
"""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "a frozen program has to call multiprocessing.freeze_support() before" in done.stderr


def test_a_large_environment_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"LARGE_{number}" for number in range(4)]

    def sizes(_: object) -> list[int]:
        return [len(os.environ.get(name, "")) for name in names]

    with Pool(1) as pool:
        before = pool.run_parallel([sizes], 0)[0].output
        for name in names:
            monkeypatch.setenv(name, "x" * 100_000)
        after = pool.run_parallel([sizes], 0)[0].output
    assert (before.unwrap(), after.unwrap()) == ([0] * 4, [100_000] * 4)
    assert in_worker(sizes) == [100_000] * 4
    monkeypatch.undo()
    # The next run releases the file in memory in which it was sent.
    assert in_worker(sizes) == [0] * 4
