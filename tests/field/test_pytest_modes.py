"""Users' tests work in each import mode of pytest, with the pool that they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_programs import run_python

# A program of its own, since `python -m pytest` would put the current folder on sys.path.
RUN_PYTEST = """\
import sys
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""

DEFINITIONS = """\
import dataclasses
import enum
import functools
import pickle

import pytest

from enact_pool import PoolExecutor, map_parallel


def double(x):
    return 2 * x


@functools.cache
def cached(x):
    return double(x)


class Thing:
    def __init__(self, n):
        self.n = n

    def doubled(self):
        return double(self.n)


@dataclasses.dataclass(slots=True)
class Row:
    n: int


class Letter(enum.Enum):
    A = 1
    ALSO_A = 1


def test_functions():
    assert map_parallel(double, [2])[0].output.unwrap() == 4
    assert map_parallel(cached, [2])[0].output.unwrap() == 4
    assert map_parallel(lambda x: double(x), [2])[0].output.unwrap() == 4


def test_classes():
    assert map_parallel(Thing.doubled, [Thing(2)])[0].output.unwrap() == 4
    assert type(map_parallel(Thing, [2])[0].output.unwrap()) is Thing
    assert map_parallel(Row, [2])[0].output.unwrap() == Row(2)
    assert map_parallel(lambda _: Letter.ALSO_A, [0])[0].output.unwrap() is Letter.A


def test_executor():
    with PoolExecutor(1) as executor:
        assert executor.submit(double, 2).result() == 4
        assert executor.submit(Thing(3).doubled).result() == 6
        assert executor.submit(pickle.dumps, double).result() == pickle.dumps(double)


def test_local():
    class Local:
        n = 1

    def nested(x):
        return Local().n + double(x)

    assert map_parallel(nested, [2])[0].output.unwrap() == 5


@pytest.mark.parametrize("n", [1, 2])
def test_parameters(n):
    assert [r.output.unwrap() for r in map_parallel(double, range(n))] == [0, 2][:n]
"""

STATE = """\
import os
import sys
from unittest import mock

from enact_pool import map_parallel

LIMIT = 1


def say(_):
    os.write(1, b"said\\n")
    return os.getcwd(), os.environ.get("MODE_OF_THIS")


def complain(_):
    print("complained", file=sys.stderr, flush=True)


def limit(_):
    return LIMIT


def look():
    return map_parallel(say, [0])[0].output.unwrap()


def test_before():
    look()


def test_capfd(capfd):
    look()
    map_parallel(complain, [0])
    captured = capfd.readouterr()
    assert captured.out == "said\\n"
    assert captured.err == "complained\\n"


def test_capfd_again(capfd):
    look()
    assert capfd.readouterr().out == "said\\n"


def test_capsys(capsys):
    look()
    map_parallel(complain, [0])
    captured = capsys.readouterr()
    assert captured.out == "said\\n"
    assert captured.err == "complained\\n"


def test_chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert look()[0] == str(tmp_path)


def test_setenv(monkeypatch):
    monkeypatch.setenv("MODE_OF_THIS", "new")
    assert look()[1] == "new"


def test_setattr(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "LIMIT", 2)
    assert map_parallel(limit, [0])[0].output.unwrap() == 2


def test_patch():
    with mock.patch(f"{__name__}.LIMIT", 3):
        assert map_parallel(limit, [0])[0].output.unwrap() == 3


def test_syspath(tmp_path, monkeypatch):
    (tmp_path / "late_of_this.py").write_text("def late(x): return x + 1\\n")
    monkeypatch.syspath_prepend(tmp_path)
    import late_of_this

    assert map_parallel(late_of_this.late, [1])[0].output.unwrap() == 2


def test_after():
    assert look() == (os.getcwd(), None)
    assert map_parallel(limit, [0])[0].output.unwrap() == 1
"""


def run_pytest(folder: Path, *arguments: str) -> None:
    """Run pytest on `folder / "tests"`; fail, with its output, if a test failed."""
    (folder / "program").mkdir()
    (folder / "program" / "run_pytest.py").write_text(RUN_PYTEST)
    program = [str(folder / "program" / "run_pytest.py"), "-q", "-p", "no:cacheprovider"]
    outcome = run_python([*program, *arguments, "tests"], folder)
    assert outcome.code == 0, "\n".join([*outcome.lines, outcome.stderr])


def write_tests(folder: Path, name: str, text: str, *, package: bool) -> None:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "tests" / name).write_text(text)
    if package:
        (folder / "tests" / "__init__.py").touch()


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_definitions_of_a_test_module_work_in_its_tests(mode: str, tmp_path: Path) -> None:
    write_tests(tmp_path, "test_it.py", DEFINITIONS, package=False)
    run_pytest(tmp_path, f"--import-mode={mode}")


def test_definitions_of_a_test_package_that_nothing_else_imports_work(tmp_path: Path) -> None:
    write_tests(tmp_path, "test_it.py", DEFINITIONS, package=True)
    run_pytest(tmp_path, "--import-mode=importlib")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_tasks_see_the_state_that_fixtures_set(mode: str, tmp_path: Path) -> None:
    """It does not matter which test has started the workers of the pool."""
    write_tests(tmp_path, "test_state.py", STATE, package=False)
    run_pytest(tmp_path, f"--import-mode={mode}")
