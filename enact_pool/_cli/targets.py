"""What is to be run: `module:function`, imported as `python -m` would in the current folder."""

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
    """The callables of these names. Raises `click.BadParameter`, which says what is wrong."""
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    return [_load(target) for target in targets]


def _load(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if not all(name.isidentifier() for name in [*module_name.split("."), *path.split(".")]):
        raise _refusal(target, "expected module:function, as in package.module:function")
    found: Any = _import(target, module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = difflib.get_close_matches(name, dir(found), n=1)
            hint = f" (did you mean {known[0]!r}?)" if known else ""
            where = "module" if isinstance(found, ModuleType) else "object"
            raise _refusal(target, f"the {where} has no {name!r}{hint}") from None
        except Exception as error:  # a property may raise anything
            told = f"{type(error).__name__}: {error}"
            raise _refusal(target, f"{name!r} cannot be looked up: {told}") from error
    try:
        check_callable(found, "it")
    except TypeError as error:
        raise _refusal(target, str(error)) from error
    return found


def _import(target: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _refusal(
                target, f"there is no module {error.name!r}, here or where Python looks for it"
            ) from error
        failure: BaseException = error
    except (Exception, SystemExit) as error:  # whatever the module does
        failure = error
    told = f"{type(failure).__name__}: {failure}"
    if not isinstance(failure, SyntaxError):  # which says where
        last = traceback.extract_tb(failure.__traceback__)[-1]
        told += f" ({last.filename}, line {last.lineno})"
    raise _refusal(target, f"module {name!r} cannot be imported: {told}") from failure


def _refusal(target: str, why: str) -> click.BadParameter:
    return click.BadParameter(f"{target!r}: {why}", param_hint="MODULE:FUNCTION")
