"""Runs and executors at the top level of modules that scripts and workers import."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REFUSED = (
    "module 'pipeline' runs callables while a worker imports it; "
    'put the run under `if __name__ == "__main__":` or into a function'
)

# Each import of the module adds a line.
BEGINNING = """
import os
with open("imports", "a") as file:
    file.write(f"{os.getpid()}\\n")
from enact_pool import *

def f(x):
    return x

def error_of(result):
    return result.output.error
"""


def run(folder: Path, pipeline: str, main: str) -> tuple[list[str], list[str]]:
    """Run a script that imports the module; return its output and the importing processes."""
    (folder / "pipeline.py").write_text(BEGINNING + pipeline)
    (folder / "main.py").write_text(main)
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
        check=False,
    )
    return done.stdout.splitlines(), (folder / "imports").read_text().split()


@pytest.mark.parametrize(
    "start",
    [
        "list(map(error_of, map_parallel(f, range(4))))",
        "list(map(error_of, run_parallel([f] * 4, 0)))",
        "list(map(error_of, imap_parallel(f, range(4))))",
        "[error_of(Pool(2).run_parallel([f], 0)[0]) for _ in range(4)]",
    ],
)
def test_a_worker_refuses_to_run_callables_of_a_module_that_it_imports(
    start: str, tmp_path: Path
) -> None:
    """No worker starts further workers, so every error is raised at once."""
    begun = time.monotonic()
    printed, imports = run(
        tmp_path,
        f"RESULTS = {start}",
        "import pipeline\nfor error in pipeline.RESULTS: print(error)",
    )
    assert len(printed) == 4
    for line in printed:
        assert line.endswith(f"cannot be rebuilt in the worker: RuntimeError: {REFUSED}")
    # Imported by the script, and at most twice per callable: in a batch, and alone.
    assert len(imports) <= 1 + 8
    assert time.monotonic() - begun < 20


def test_an_import_whose_run_raises_ends_at_once(tmp_path: Path) -> None:
    printed, imports = run(
        tmp_path,
        "RESULTS = [result.output.unwrap() for result in map_parallel(f, range(4))]",
        "try: import pipeline\nexcept Exception as error: print(str(error).splitlines()[0])",
    )
    assert printed == [
        f"RuntimeError: the function cannot be rebuilt in the worker: RuntimeError: {REFUSED}"
    ]
    assert len(imports) <= 1 + 8


def test_a_run_of_other_modules_callables_works_during_an_import(tmp_path: Path) -> None:
    printed, imports = run(
        tmp_path,
        "import math\nRESULTS = [r.output.unwrap() for r in map_parallel(math.sqrt, [4, 9])]",
        "import pipeline\nprint(pipeline.RESULTS)",
    )
    assert printed == ["[2.0, 3.0]"]
    assert len(imports) == 1


IN_WORKERS = """
if "IN_WORKERS" in os.environ:
    executor = PoolExecutor(1)
    RESULT = executor.submit(abs, -3).result()
"""


@pytest.mark.parametrize(
    ("what", "start"),
    [
        ("the function cannot be rebuilt in the worker", "map_parallel(pipeline.f, [1])"),
        ("the callable cannot be rebuilt in the worker", "run_parallel([pipeline.f, abs], 1)"),
        ("the input cannot be rebuilt in the worker", "run_parallel([len], pipeline.A())"),
        ("the input cannot be rebuilt in the worker", "map_parallel(len, [pipeline.A()])"),
        (
            "no worker could be started",
            "Pool(1, initializer=pipeline.f, initargs=(1,)).run_parallel([abs], 1)",
        ),
    ],
)
def test_a_worker_refuses_calls_of_an_executor_in_a_module_that_it_imports(
    what: str, start: str, tmp_path: Path
) -> None:
    """For a callable, a function, an input or an initializer of that module."""
    printed, imports = run(
        tmp_path,
        IN_WORKERS + "class A: pass",
        "import os\nfrom enact_pool import *\nimport pipeline\nos.environ['IN_WORKERS'] = 'yes'\n"
        f"print({start}[0].output.error)",
    )
    assert printed[0].startswith(what)
    assert REFUSED in "\n".join(printed)
    assert len(imports) <= 1 + 3


NESTED = """
pool, executor = Pool(1), PoolExecutor(1)

def g(x):
    with_pool = pool.run_parallel([f], x)[0].output.unwrap()
    return with_pool + executor.submit(f, x).result() + map_parallel(f, [x])[0].output.unwrap()

class Loads:
    # Runs a callable while it is unpickled, and not while a module is imported.
    def __reduce__(self):
        return g, (2,)
"""


@pytest.mark.parametrize(
    "start",
    [
        "map_parallel(pipeline.g, [2])",
        "run_parallel([pipeline.g], 2)",
        "map_parallel(abs, [pipeline.Loads()])",
        "Pool(1, initializer=pipeline.g, initargs=(2,)).run_parallel([abs], 6)",
    ],
)
def test_callables_run_others_in_the_pools_of_their_module(start: str, tmp_path: Path) -> None:
    """Creating a pool or an executor during an import starts no process."""
    printed, _ = run(
        tmp_path,
        NESTED,
        f"import pipeline\nfrom enact_pool import *\nprint({start}[0].output)",
    )
    assert printed == ["Ok(6)"]


def test_a_callable_may_import_a_module_that_runs_others(tmp_path: Path) -> None:
    """The run's callables are from other modules: otherwise its workers would import it again."""
    (tmp_path / "lazy.py").write_text(
        "import math\nfrom enact_pool import map_parallel\n"
        "RESULTS = [r.output.unwrap() for r in map_parallel(math.sqrt, [4, 9])]\n"
    )
    printed, _ = run(
        tmp_path,
        "def g(x):\n    import lazy\n    return lazy.RESULTS",
        "import pipeline\nfrom enact_pool import *\nprint(run_parallel([pipeline.g], 1)[0].output)",
    )
    assert printed == ["Ok([2.0, 3.0])"]
