"""Cells of a notebook, executed in a real kernel."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from user_programs import run_python

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("nbclient", "ipykernel")),
    reason="needs nbclient and ipykernel",
)

EXECUTE = Path(__file__).with_name("notebook_program.py")


def executed(cells: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Execute cells; return for each the lines that it printed, and then its result."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    outcome = run_python([str(EXECUTE)], folder, json.dumps(cells))
    assert outcome.code == 0, outcome.stderr
    shown = json.loads(outcome.lines[-1])
    assert not any(cell["error"] for cell in shown), "\n".join(cell["error"] for cell in shown)
    return [[*cell["stdout"].splitlines(), *filter(None, [cell["result"]])] for cell in shown]


def test_a_class_may_be_defined_again_in_a_later_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old instances stay instances of the old class, here and in tasks."""
    cells = {
        """
from enact_pool import Pool
pool = Pool(1)
def in_worker(function, given=None):
    return pool.run_parallel([function], given)[0].output.unwrap()
class Point:
    def __init__(self, x): self.x = x
    def version(self): return "one"
    def copy(self): return type(self)(self.x)
def make(x): return Point(x)
kept = []
def keep(x): kept.append(Point(x)); return len(kept)
print(in_worker(make, 1).version(), type(in_worker(make, 1)) is Point, in_worker(keep, 5))
old, OldPoint = Point(1), Point
""": ["one True 1"],
        """
class Point:
    def __init__(self, x): self.x = x
    def version(self): return "two"
""": [],
        """
in_worker(make, 1).version(), type(in_worker(make, 1)) is Point
""": ["('two', True)"],
        """
print(in_worker(lambda point: (point.version(), isinstance(point, Point)), old))
print(type(in_worker(lambda point: point.copy(), old)) is OldPoint)
print(type(in_worker(lambda _: kept[0])) is OldPoint)
""": ["('one', False)", "True", "True"],
        """
def make(x): return helper(x)
""": [],
        """
def helper(x): return f"helped {x}"
in_worker(make, 2)
""": ["'helped 2'"],
        """
def helper(x): return f"helped again {x}"
in_worker(make, 2)
""": ["'helped again 2'"],
        """
seen = set()
def is_new(x): new = x not in seen; seen.add(x); return new
print(in_worker(is_new, 1), in_worker(is_new, 1))
seen = set()
print(in_worker(is_new, 1))
pool.close()
""": ["True False", "True"],
    }
    assert executed(list(cells), tmp_path, monkeypatch) == list(cells.values())


def test_definitions_in_cells_work_like_those_in_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {
        """
from __future__ import annotations
import dataclasses, enum, functools, inspect, pickle, threading, typing
from enact_pool import PoolExecutor, map_parallel
LOCK = threading.Lock()
@functools.cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
@dataclasses.dataclass(slots=True)
class Row: n: int; next: Row | None = None
class Level(enum.Enum):
    LOW = 1
    BOTTOM = 1
""": [],
        """
with PoolExecutor(1) as executor:
    print(executor.submit(fib, 10).result(), executor.submit(Row, 1).result() == Row(1))
    print(executor.submit(lambda: Level.BOTTOM).result() is Level.LOW)
    print(executor.submit(lambda: pickle.loads(pickle.dumps(Row(2)))).result())
    print(executor.submit(lambda: typing.get_type_hints(Row)["n"]).result())
    print(executor.submit(lambda: inspect.getsource(fib).splitlines()[0]).result())
    def locked():
        with LOCK: return "locked"
    print(executor.submit(locked).result())
print(dataclasses.fields(Row)[0].default is dataclasses.MISSING)
""": [
            "55 True",
            "True",
            "Row(n=2, next=None)",
            "<class 'int'>",
            "@functools.cache",
            "locked",
            "True",
        ],
        """
[result.output for result in map_parallel(fib, [1, 2, 30])]
""": ["[Ok(1), Ok(1), Ok(832040)]"],
    }
    assert executed(list(cells), tmp_path, monkeypatch) == list(cells.values())


def test_output_of_tasks_appears_in_the_cell_that_runs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a cell whose output was captured."""
    cells = {
        """
import os, time
from enact_pool import map_parallel
def say(text): print(text, flush=True); return text
def shown(text):
    (result,) = map_parallel(say, [text])
    time.sleep(.2)  # the kernel reads its stdout in a thread
    return result.output.unwrap()
""": [],
        """shown("first")""": ["first", "'first'"],
        """shown("second")""": ["second", "'second'"],
        """
%%capture captured
print("from the cell")
returned = shown("third")
print("from the cell again")
""": [],
        """print(returned, captured.stdout.split())""": [
            "third ['from', 'the', 'cell', 'third', 'from', 'the', 'cell', 'again']"
        ],
        """shown("fourth")""": ["fourth", "'fourth'"],
        """
from pathlib import Path
Path("sub").mkdir(); os.chdir("sub"); os.environ["MODE_OF_THIS"] = "new"
def look(_): return Path.cwd().name, os.environ.get("MODE_OF_THIS")
map_parallel(look, [0])[0].output
""": ["Ok(('sub', 'new'))"],
    }
    assert executed(list(cells), tmp_path, monkeypatch) == list(cells.values())


def test_capture_receives_the_output_of_tasks_and_of_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text without a line break, too, and completely, although the cell does not wait for it."""
    cells = {
        """
import sys
from enact_pool import Pool, PoolExecutor
pool, executor = Pool(2), PoolExecutor(1)
def say(n):
    print("out", n, end=";"); print("err", n, end=";", file=sys.stderr)
    return n
""": [],
        """
%%capture out
for n in range(5): pool.run_parallel([say], n)
executor.submit(say, 5).result()
""": [],
        """
print([text == "".join(f"{name} {n};" for n in range(6))
       for name, text in (("out", out.stdout), ("err", out.stderr))])
""": ["[True, True]"],
        """
%%capture --no-stderr out
import os
pool.run_parallel([lambda _: os.system("echo by a process")], 0)
""": [],
        """out.stdout, out.stderr""": ["('by a process\\n', '')"],
        """pool.close(); executor.shutdown()""": [],
    }
    assert executed(list(cells), tmp_path, monkeypatch) == list(cells.values())
