"""A worker's process follows the state of its caller's process, and keeps its own changes.

Each test runs in a process of its own, since it changes that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

_PROGRAM = (
    "import pickle, sys; function, args = pickle.load(sys.stdin.buffer); "
    "sys.path[:] = [entry for entry in sys.path if entry]; function(*args)"
)


def in_a_process(function: Callable[..., None], *args: object) -> str:
    """Return what a function prints in a new process; fail if an exception is raised there."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        pickled = cloudpickle.dumps((function, args))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=pickled, capture_output=True, timeout=50, env=env
    )
    assert done.returncode == 0, done.stderr.decode()
    return bytes(done.stdout).decode()


def raised(kind: type[BaseException], function: Callable[..., object], *args: object) -> str:
    """Return the text of the exception that a function raises."""
    try:
        function(*args)
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


def test_a_folder_that_the_worker_has_changed_stays_until_the_caller_changes_it(
    tmp_path: Path,
) -> None:
    def check(path: str) -> None:
        import os

        from enact_pool._mirror.worker.followed_state import FollowedState

        start = os.getcwd()
        state = FollowedState()
        os.chdir(path)  # as an initializer may do
        state.apply("folder", start)
        assert os.getcwd() == path, "the caller has changed nothing"
        os.mkdir("other")
        state.apply("folder", f"{path}/other")
        assert os.getcwd() == f"{path}/other"
        state.apply("folder", None)
        assert os.getcwd() == f"{path}/other"

    in_a_process(check, str(tmp_path))


def test_a_folder_that_cannot_be_entered_raises_an_error_each_time() -> None:
    def check() -> None:
        from enact_pool._mirror.worker.followed_state import FollowedState

        state = FollowedState()
        for _ in range(2):
            text = raised(OSError, state.apply, "folder", "/nowhere")
            assert "the caller's working directory '/nowhere': No such file" in text

    in_a_process(check)


def test_only_variables_that_the_caller_changes_are_changed() -> None:
    def check() -> None:
        import os
        import time

        from enact_pool._mirror.worker.followed_state import FollowedState

        os.environ.update(OF_POOL="pool", OMP_NUM_THREADS="1", GONE="x", KEPT="x", BOTH="x", TZ="")
        caller = {
            name: value
            for name, value in os.environ.items()
            if name not in ("OF_POOL", "OMP_NUM_THREADS")
        }
        state = FollowedState({"OF_POOL": "pool"}, {"OMP_NUM_THREADS": "1"})
        os.environ.update(OF_WORKER="worker", KEPT="worker", BOTH="worker")
        del caller["GONE"]
        caller.update(OF_POOL="caller", BOTH="caller", NEW="\udcff", TZ="XYZ-3")
        state.apply("variables", caller)
        assert "GONE" not in os.environ
        names = ("OF_POOL", "OF_WORKER", "KEPT", "BOTH", "NEW", "OMP_NUM_THREADS")
        found = [os.environ[name] for name in names]
        assert found == ["pool", "worker", "worker", "caller", "\udcff", "1"]
        assert time.timezone == -3 * 3600
        state.apply("variables", {**caller, "OMP_NUM_THREADS": "5"})
        assert os.environ["OMP_NUM_THREADS"] == "5"
        state.apply("variables", caller)
        assert os.environ["OMP_NUM_THREADS"] == "1"

    in_a_process(check)


def test_the_workers_own_path_entries_stay_beside_the_callers() -> None:
    def check() -> None:
        import sys

        from enact_pool._mirror.worker.followed_state import FollowedState

        caller, entries = list(sys.path), sys.path
        state = FollowedState()
        sys.path.insert(0, "/front")
        sys.path.append("/back")
        state.apply("path", ["/new", *caller])
        assert sys.path == ["/front", "/new", *caller, "/back"]
        state.apply("path", ["/back", *caller[1:]])
        assert sys.path == ["/front", "/back", *caller[1:]]
        assert sys.path is entries

    in_a_process(check)


def test_streams_are_flushed_before_they_are_replaced(tmp_path: Path) -> None:
    def check(path: str) -> None:
        import os
        import sys

        from enact_pool._mirror.worker.followed_state import FollowedState

        state = FollowedState()
        sys.stdout.write("before")
        same = tuple(os.fstat(number)[1:3] for number in (1, 2))
        received = [os.dup(1), os.dup(2)]
        os.close(2)
        state.apply("streams", same, received)  # the caller has not changed them
        received = [os.open(f"{path}/{name}", os.O_CREAT | os.O_WRONLY) for name in ("out", "err")]
        if 2 in received:
            received = [os.dup(number) if number == 2 else number for number in received]
        value = tuple(os.fstat(number)[1:3] for number in received)
        sys.stderr.close()
        state.apply("streams", value, received)
        sys.stdout.write("after")
        os.write(2, b"error")
        for number in received:
            try:
                os.fstat(number)
            except OSError:
                continue
            raise AssertionError("a descriptor was not closed")

    assert in_a_process(check, str(tmp_path)) == "before"
    assert (tmp_path / "out").read_text() == "after"
    assert (tmp_path / "err").read_text() == "error"


def test_limits_and_the_decimal_context_are_followed() -> None:
    def check() -> None:
        import sys

        from enact_pool._mirror.worker.followed_state import FollowedState

        state = FollowedState()
        usual = {
            "prec": 28, "rounding": "ROUND_HALF_EVEN", "Emin": -999999, "Emax": 999999,
            "capitals": 1, "clamp": 0,
            "traps": ["DivisionByZero", "InvalidOperation", "Overflow"],
        }  # fmt: skip
        for value in (None, usual, None):
            state.apply("decimal", value)
            state.apply("numpy_errors", None)
        assert "decimal" not in sys.modules, "importing it takes long"
        state.apply("decimal", {**usual, "prec": 5, "traps": ["Inexact"]})
        import decimal

        context = decimal.getcontext()
        assert context.prec == 5
        assert [signal.__name__ for signal, on in context.traps.items() if on] == ["Inexact"]
        state.apply("decimal", None)
        assert decimal.getcontext() is context
        assert context.prec == 28
        state.apply("recursion_limit", 3456)
        assert sys.getrecursionlimit() == 3456
        sys.setrecursionlimit(2000)
        state.apply("recursion_limit", 3456)
        assert sys.getrecursionlimit() == 2000, "the caller has changed nothing"
        if hasattr(sys, "set_int_max_str_digits"):
            state.apply("int_digits", 5000)
            assert sys.get_int_max_str_digits() == 5000

    in_a_process(check)


def test_an_unknown_locale_raises_one_clear_error() -> None:
    def check() -> None:
        import locale

        from enact_pool._mirror.worker.followed_state import FollowedState

        state = FollowedState()
        state.apply("locale", "C")
        assert locale.setlocale(locale.LC_ALL) == "C"
        text = raised(ValueError, state.apply, "locale", "xx_YY.odd")
        assert "cannot set the caller's locale 'xx_YY.odd'" in text

    in_a_process(check)


def test_filters_apply_to_categories_that_are_imported_or_defined_later() -> None:
    def check() -> None:
        import sys
        import warnings

        from enact_pool._mirror.worker.followed_state import FollowedState

        filters: Any = [
            ("error", ("^Loud", 2), ("builtins", "UserWarning"), None, 0),
            ("error", None, ("some.module", "Ours"), None, 0),
            ("error", None, ("wsgiref.validate", "WSGIWarning"), None, 0),
            ("ignore", None, ("builtins", "Warning"), None, 0),
        ]
        FollowedState().apply("warnings", filters)
        assert "wsgiref" not in sys.modules

        class Ours(UserWarning):
            __module__ = "some.module"
            __qualname__ = "Ours"

        class Derived(Ours):
            pass

        from wsgiref.validate import WSGIWarning

        warnings.warn("quiet", stacklevel=1)
        warnings.warn("quiet", DeprecationWarning, stacklevel=1)
        for warning in (UserWarning("loud"), Ours(), Derived(), WSGIWarning()):
            try:
                warnings.warn(warning, stacklevel=1)
            except Warning:
                continue
            raise AssertionError(repr(warning))

    in_a_process(check)


def test_numpy_error_settings_are_followed() -> None:
    pytest.importorskip("numpy")

    def check() -> None:
        from enact_pool._mirror.worker.followed_state import FollowedState

        value = dict.fromkeys(("divide", "over", "under", "invalid"), "raise")
        FollowedState().apply("numpy_errors", value)
        import numpy

        assert numpy.geterr() == value

    in_a_process(check)


def test_the_followed_state_is_restored_after_tasks(tmp_path: Path) -> None:
    def check(path: str) -> None:
        import os
        import sys
        import tempfile

        from enact_pool._mirror.worker.followed_state import FollowedState
        from enact_pool._worker.dirty_tracking import DirtyFlag
        from enact_pool._worker.process_state import ProcessState

        state = FollowedState()
        with tempfile.TemporaryFile() as stacks:
            process_state = ProcessState(DirtyFlag(), stacks.fileno())
            process_state.restore(10_000_000, 0)
            state.apply("folder", path)
            state.apply("variables", {**os.environ, "FOLLOWED": "1"})
            state.apply("recursion_limit", 3456)
            process_state.follow()
            os.chdir("/")
            del os.environ["FOLLOWED"]
            sys.setrecursionlimit(1234)
            process_state.restore(10_000_000, 0)
        assert (os.getcwd(), os.environ["FOLLOWED"]) == (path, "1")
        assert sys.getrecursionlimit() == 3456

    in_a_process(check, str(tmp_path))


def test_a_reload_updates_everything_that_refers_to_the_module(tmp_path: Path) -> None:
    def check(path: str) -> None:
        import os
        import sys
        from pathlib import Path

        from enact_pool._mirror.caller.process_state import observe
        from enact_pool._mirror.worker.followed_state import FollowedState

        old = (
            "LIMIT = 1\ndef function(): return 'old'\n"
            "class Base:\n  def method(self): return 'old'\n  gone = 1\n"
            "  def text(self): return 'old' + super().__str__()[0]\n"
        )
        new = old.replace("1", "2").replace("old", "new").replace("gone", "come")
        user = (
            "from first_own import LIMIT, function as f, Base\nOTHER = LIMIT\nSTATE = None\n"
            "class Derived(Base):\n  def method(self): return super().method() + '!'\n"
        )
        sys.path.insert(0, path)
        sys.dont_write_bytecode = True
        first = Path(path, "first_own.py")
        first.write_text(old)
        Path(path, "second_own.py").write_text(user)
        import first_own  # type: ignore[import-not-found]
        import second_own  # type: ignore[import-not-found]

        def modules() -> Any:
            return observe()[-1].value

        # This process is the caller and the worker: it must not reload a module as the caller.
        sources, reloads = modules()
        state = FollowedState()
        state.apply("modules", (sources, reloads))
        second_own.STATE = "of an initializer"
        function, instance, derived = first_own.function, first_own.Base(), second_own.Derived()
        first.write_text(new)
        os.utime(first, (1, 1))
        from enact_pool._mirror.module_versions import source_of

        sources = {**sources, "first_own": source_of(str(first))}
        state.apply("modules", (sources, {"first_own": 1}))
        assert (first_own.LIMIT, second_own.LIMIT, second_own.OTHER) == (2, 2, 1)
        assert second_own.STATE == "of an initializer"
        assert function() == first_own.function() == second_own.f() == "new"
        assert instance.method() == second_own.Base().method() == "new"
        assert derived.method() == second_own.Derived().method() == "new!"
        assert isinstance(derived, first_own.Base)
        assert not hasattr(instance, "gone")
        assert instance.come == 2
        assert instance.text() == "new<"
        first_own.LIMIT = "of the worker"
        state.apply("modules", ({}, {"first_own": 1}))
        assert first_own.LIMIT == "of the worker", "it was not reloaded again"

    in_a_process(check, str(tmp_path))


def test_a_module_that_was_edited_and_not_reloaded_is_not_imported(tmp_path: Path) -> None:
    def check(path: str) -> None:
        import importlib
        import os
        import sys
        from pathlib import Path

        from enact_pool._mirror.module_versions import source_of
        from enact_pool._mirror.worker.followed_state import FollowedState

        sys.path.insert(0, path)
        sys.dont_write_bytecode = True
        module = Path(path, "edited_own.py")
        module.write_text("VALUE = 1\n")
        state = FollowedState()
        state.assume("modules", ({"edited_own": source_of(str(module))}, {}))
        module.write_text("VALUE = 12\n")
        text = raised(ImportError, importlib.import_module, "edited_own")
        assert "'edited_own' was edited after the program imported it" in text
        module.write_text("VALUE = 1\n")
        os.utime(module, (1, 1))  # touched, but not changed
        assert importlib.import_module("edited_own").VALUE == 1

    in_a_process(check, str(tmp_path))


def test_a_failed_reload_raises_one_clear_error_and_is_tried_again(tmp_path: Path) -> None:
    def check(path: str) -> None:
        import sys
        from pathlib import Path

        from enact_pool._mirror.module_versions import source_of
        from enact_pool._mirror.worker.followed_state import FollowedState

        sys.path.insert(0, path)
        sys.dont_write_bytecode = True
        module = Path(path, "broken_own.py")
        module.write_text("VALUE = 1\n")
        import broken_own  # type: ignore[import-not-found]

        state = FollowedState()
        module.write_text("raise SystemExit('no')\n")
        sources = {"broken_own": source_of(str(module))}
        for _ in range(2):
            text = raised(ImportError, state.apply, "modules", (sources, {"broken_own": 1}))
            assert "'broken_own', which the program has reloaded" in text
            assert "SystemExit: no" in text
        module.write_text("VALUE = 'mended'\n")
        state.apply("modules", ({"broken_own": source_of(str(module))}, {"broken_own": 2}))
        assert broken_own.VALUE == "mended"

    in_a_process(check, str(tmp_path))
