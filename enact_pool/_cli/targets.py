"""The functions to run: `module:function`, imported as by `python -m` in the current folder."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import click

from enact_pool._python.callables import check_callable

__all__ = ["load"]


def load(targets: Iterable[str]) -> list[Any]:
    """Return the callables with these names. Raises `click.BadParameter` if one does not load."""
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    return [_load(target) for target in targets]


def _load(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if not all(name.isidentifier() for name in [*module_name.split("."), *path.split(".")]):
        raise _bad_target(target, "expected module:function, as in package.module:function")
    found: Any = _import(target, module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = difflib.get_close_matches(name, dir(found), n=1)
            hint = f" (did you mean {known[0]!r}?)" if known else ""
            where = "module" if isinstance(found, ModuleType) else "object"
            raise _bad_target(target, f"the {where} has no {name!r}{hint}") from None
        except Exception as error:  # a property may raise anything
            cause = f"{type(error).__name__}: {error}"
            raise _bad_target(target, f"{name!r} cannot be looked up: {cause}") from error
    try:
        check_callable(found, "it")
    except TypeError as error:
        raise _bad_target(target, str(error)) from error
    return found


def _import(target: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _bad_target(
                target,
                f"no module {error.name!r} in the current folder or on sys.path",
            ) from error
        failure: BaseException = error
    except (Exception, SystemExit) as error:  # the module may raise anything
        failure = error
    cause = f"{type(failure).__name__}: {failure}"
    if not isinstance(failure, SyntaxError):  # which contains the file and the line
        last = traceback.extract_tb(failure.__traceback__)[-1]
        cause += f" ({last.filename}, line {last.lineno})"
    raise _bad_target(target, f"module {name!r} cannot be imported: {cause}") from failure


def _bad_target(target: str, reason: str) -> click.BadParameter:
    return click.BadParameter(f"{target!r}: {reason}", param_hint="MODULE:FUNCTION")
