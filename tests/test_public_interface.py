"""The public interface: its names, its signatures, and how pickles refer to it.

After a deliberate change of the interface, write public_interface.txt anew:

    python tests/test_public_interface.py
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import enact_pool
from enact_pool import (
    Err,
    ExecutionError,
    ExecutionErrorCategory,
    ExecutionFailed,
    ExecutionId,
    Ok,
    ParallelResult,
    Pool,
    RunOptions,
    Span,
    StepEnd,
    StreamEvent,
    Summary,
    summarize,
)

PINNED = Path(__file__).with_name("public_interface.txt")
PACKAGES = ["enact_pool", "enact_pool.joblib", "enact_pool.otel", "enact_pool.timeline"]


class _Text:
    """Has a text as its repr: `inspect.Signature` quotes annotations that are strings."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _annotation(annotation: Any) -> Any:
    empty = inspect.Parameter.empty
    return (
        _Text(annotation) if isinstance(annotation, str) and annotation is not empty else annotation
    )


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_annotation(parameter.annotation))
        for parameter in signature.parameters.values()
        if not parameter.name.startswith("_")
    ]
    returned = _annotation(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=returned))


def _members(cls: type) -> Iterator[str]:
    """Describe the public members that a class defines, or a private base of it."""
    members: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        is_public = base.__module__ in PACKAGES
        if not base.__module__.startswith("enact_pool") or (is_public and base is not cls):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or (issubclass(cls, Enum) and isinstance(value, cls)):
                continue
            function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if inspect.isfunction(function):
                kind = type(value).__name__ if function is not value else "def"
                members[name] = f"{kind} {name}{_signature(function)}"
            elif isinstance(value, property):
                returned = inspect.signature(typing.cast(Any, value.fget)).return_annotation
                members[name] = f"property {name} -> {returned}"
            else:
                members[name] = f"attribute {name}"
    if issubclass(cls, Enum):
        members |= {each.name: f"{each.name} = {each.value!r}" for each in cls}
    elif typing.is_typeddict(cls):
        members |= {name: f"key {name}" for name in cls.__annotations__}
    for name in sorted(members):
        yield f"    {members[name]}\n"


def _constructor(cls: type) -> str:
    own = "__init__" in vars(cls) or "__new__" in vars(cls)
    is_plain = own and not issubclass(cls, Enum) and not getattr(cls, "_is_protocol", False)
    return _signature(cls) if is_plain else ""


def _interface() -> str:
    """Return the public interface as a text with one line for each name, method and attribute."""
    lines = []
    for package in PACKAGES:
        module = importlib.import_module(package)
        lines.append(f"# {package}\n\n")
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if isinstance(value, type):
                bases = [base.__name__ for base in value.__bases__ if base.__name__[0] != "_"]
                bases = [base for base in bases if base not in ("object", "ProcessLocal")]
                lines.append(f"class {name}{_constructor(value)} <- {', '.join(bases)}\n")
                lines += _members(value)
            else:
                lines.append(f"def {name}{_signature(value)}\n")
        lines.append("\n")
    return "".join(lines).replace(" <- \n", "\n").rstrip() + "\n"


def test_the_public_interface_is_the_one_that_is_checked_in() -> None:
    assert _interface() == PINNED.read_text()


def test_type_checkers_see_the_names_of_the_table() -> None:
    tree = ast.parse(Path(enact_pool.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            # Other forms are not exported to strict type checkers.
            assert alias.name == alias.asname
            seen[alias.name] = node.module
    assert seen == {name: f"enact_pool.{home}" for name, home in enact_pool._MODULES.items()}
    assert len(set(enact_pool.__all__)) == sum(map(len, enact_pool._TABLE.values()))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_say_that_the_package_exports_them(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        assert (value.__module__, value.__name__) == (package, name)
        assert pickle.loads(pickle.dumps(value)) is value


def test_results_are_pickled_under_public_names() -> None:
    error = ExecutionError(ExecutionErrorCategory.TIMEOUT, "too long")
    result: ParallelResult[int] = ParallelResult("name", ExecutionId.new(), Err("no"), error)
    event = ExecutionFailed(result.execution_id, error)
    returned = ParallelResult("name", ExecutionId.new(), Ok(1))
    for value in (result, event, summarize([result]), returned):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            pickled = pickle.dumps(value, protocol)
            assert pickle.loads(pickled) == value
            assert b"enact_pool._" not in pickled


def test_loading_a_value_under_its_public_name_imports_no_engine() -> None:
    code = f"import pickle, sys; pickle.loads({pickle.dumps(Ok(1))!r}); print([*sys.modules])"
    loaded = ast.literal_eval(_printed_by("-c", code))
    assert "enact_pool._model.results" in loaded
    engine = "enact_pool._api", "enact_pool._engine", "enact_pool._lanes", "enact_pool._events"
    assert not [name for name in loaded if name.startswith(engine)]


def _printed_by(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    folder = PINNED.parent.parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_type_hints_and_sources_of_public_names_can_be_found(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        hints = typing.get_type_hints(value)
        assert not [hint for hint in hints.values() if isinstance(hint, str)]
        if inspect.isfunction(value):
            assert f"def {name}" in inspect.getsource(value)
        else:
            # Not found, rather than the text of another module.
            with pytest.raises(OSError, match=r"class definition|source code"):
                inspect.getsource(value)
    assert typing.get_type_hints(ParallelResult)["agent_name"] is str
    assert typing.get_type_hints(StreamEvent)["span"] == Span | None
    assert typing.get_type_hints(StepEnd)["duration_ms"] is float
    assert typing.get_type_hints(RunOptions)["fail_fast"] is bool
    assert typing.get_type_hints(Summary)["ok"] is int
    assert "def cancel" in inspect.getsource(Pool.cancel)


def test_importing_the_package_imports_neither_its_parts_nor_typing() -> None:
    code = "import sys; before = {*sys.modules}; import enact_pool; print({*sys.modules} - before)"
    imported = ast.literal_eval(_printed_by("-SEc", code))
    assert not [name for name in imported if name.startswith("enact_pool.") or name == "typing"]


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        enact_pool.nothing  # noqa: B018
    assert set(enact_pool.__all__) <= set(dir(enact_pool))


if __name__ == "__main__":
    PINNED.write_text(_interface())
