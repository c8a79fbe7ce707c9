"""Hazards of exceptions, return values and pickles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.hazards import value_callables
from tests.hazards.hazard import INPUT, Expected, Hazard, dies, raises, refused, returns

__all__ = ["callable_hazards", "exception_hazards", "return_value_hazards"]

_MODULE = "tests.hazards.value_callables."


def exception_hazards() -> list[Hazard]:
    def raising(name: str, title: str, harmful: Callable[[Any], Any], expected: Expected) -> Hazard:
        return Hazard(name, "Exceptions", "raises " + title, harmful, expected)

    m = value_callables
    hazards = [
        raising("plain", "`ValueError`", m.raise_plainly, raises("ValueError", "plain")),
        raising(
            "unpicklable-exception",
            "an exception that cannot be pickled",
            m.raise_unpicklable,
            raises(_MODULE + "HoldsLock", "holds a lock"),
        ),
        raising(
            "not-rebuildable-exception",
            "an exception that pickle cannot rebuild",
            m.raise_not_rebuildable,
            raises(_MODULE + "NotRebuildable", "1 and 2"),
        ),
        raising(
            "exiting-exception",
            "an exception that ends the process that rebuilds it",
            m.raise_that_exits_when_rebuilt,
            raises(_MODULE + "ExitsWhenRebuilt", "would exit"),
        ),
        raising(
            "str-raises",
            "an exception whose `str` raises",
            m.raise_bad_text,
            raises(_MODULE + "BadText", f"<{_MODULE}BadText whose text raises ZeroDivisionError>"),
        ),
        raising(
            "str-is-none",
            "an exception whose `str` does not return a text",
            m.raise_no_text,
            raises(_MODULE + "NoText", f"<{_MODULE}NoText whose text raises TypeError>"),
        ),
        raising(
            "str-of-50-mb",
            "an exception whose `str` is 50 MB long",
            m.raise_50_mb,
            raises("ValueError", 50_000_000, seen=len),
        ),
        raising(
            "secret-type",
            "an exception of a type whose name cannot be read",
            m.raise_secret,
            raises(_MODULE + "Secret", "has no name"),
        ),
        raising(
            "base-exception",
            "a subclass of `BaseException`",
            m.raise_own_base,
            raises(_MODULE + "OwnBase", "no Exception"),
        ),
        raising("sys-exit", "`SystemExit`", m.raise_system_exit, raises("SystemExit", "3")),
        raising(
            "keyboard-interrupt",
            "`KeyboardInterrupt`",
            m.raise_keyboard_interrupt,
            raises("KeyboardInterrupt", "KeyboardInterrupt"),
        ),
        raising(
            "generator-exit",
            "`GeneratorExit`",
            m.raise_generator_exit,
            raises("GeneratorExit", "g"),
        ),
        raising(
            "stop-iteration",
            "`StopIteration`",
            m.raise_stop_iteration,
            raises("StopIteration", "4"),
        ),
        raising(
            "cancelled-error",
            "`asyncio.CancelledError`",
            m.raise_cancelled_error,
            raises("asyncio.exceptions.CancelledError", "CancelledError"),
        ),
        raising(
            "memory-error",
            "`MemoryError`",
            m.raise_memory_error,
            raises("MemoryError", "MemoryError"),
        ),
        raising(
            "note-and-cause",
            "an exception with a note and a cause",
            m.raise_with_note_and_cause,
            raises(
                "ValueError",
                "noted",
                "the cause",
                *["the note"] * (sys.version_info >= (3, 11)),
            ),
        ),
        raising(
            "endless-cause",
            "an exception that is the cause of its cause",
            m.raise_with_endless_cause,
            raises("ValueError", "caused by itself", "in between"),
        ),
        raising(
            "recursion",
            "`RecursionError`: recurses in Python without end",
            m.recurse_without_end,
            raises("RecursionError", "maximum recursion", seen=lambda text: text[:17]),
        ),
    ]
    if sys.version_info >= (3, 11):
        hazards.append(
            raising(
                "exception-group",
                "an exception group",
                m.raise_group,
                raises(
                    "ExceptionGroup",
                    "two of them (2 sub-exceptions)",
                    "the first",
                    "the second",
                ),
            )
        )
    return hazards


def return_value_hazards() -> list[Hazard]:
    def returning(
        name: str, title: str, harmful: Callable[[Any], Any], expected: Expected
    ) -> Hazard:
        return Hazard(name, "Return values", "returns " + title, harmful, expected)

    m = value_callables
    of_type = "the return value, of type {}, cannot be pickled: "
    return [
        returning("lock", "a lock", m.return_lock, refused(of_type.format("_thread.lock"))),
        returning(
            "generator", "a generator", m.return_generator, refused(of_type.format("generator"))
        ),
        returning(
            "open-file",
            "an open file",
            m.return_open_file,
            refused(of_type.format("_io.BufferedReader")),
        ),
        returning(
            "deeply-nested",
            "a list in 100 000 lists",
            m.return_deeply_nested,
            refused(of_type.format("list")),
        ),
        returning(
            "raises-when-rebuilt",
            "a value that raises when it is unpickled",
            m.return_value_that_raises_when_rebuilt,
            refused("the return value cannot be rebuilt: LookupError: will not be rebuilt"),
        ),
        returning(
            "exits-when-rebuilt",
            "a value that raises `SystemExit` when it is unpickled",
            m.return_value_that_exits_when_rebuilt,
            refused("the return value cannot be rebuilt: SystemExit: leaves"),
        ),
        returning("lambda", "a lambda", m.return_lambda, returns(INPUT + 1, _called_with_1)),
        returning("200-mb", "200 MB", m.return_200_mb, returns(200_000_000, len)),
        returning(
            "unshowable",
            "an object whose `repr` raises `SystemExit`",
            m.return_unshowable,
            returns(m.Unshowable, type),
        ),
    ]


def callable_hazards() -> list[Hazard]:
    def being(name: str, title: str, harmful: Callable[[Any], Any], expected: Expected) -> Hazard:
        return Hazard(name, "Callables", title, harmful, expected)

    m = value_callables
    return [
        being(
            "unpicklable",
            "cannot be pickled",
            m.Unpicklable(),
            refused("the callable cannot be pickled: TypeError"),
        ),
        being(
            "endless-pickle",
            "is nested too deeply to be pickled",
            m.PicklesEndlessly(),
            refused("the callable cannot be pickled: "),
        ),
        being(
            "unloadable",
            "cannot be unpickled",
            m.Unloadable(),
            refused("the callable cannot be rebuilt in the worker: LookupError"),
        ),
        being(
            "crashes-when-loaded",
            "ends the process that unpickles it",
            m.CrashesWhenLoaded(),
            dies("exit_9"),
        ),
        being("nameless", "raises when its name is read", m.Nameless(), returns(INPUT)),
        being(
            "unhashable",
            "is of a type that cannot be hashed",
            m.Unhashable(),
            refused("the callable cannot be pickled: TypeError: unhashable type"),
        ),
    ]


def _called_with_1(value: Any) -> Any:
    return value(1)
