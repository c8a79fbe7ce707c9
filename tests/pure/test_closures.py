"""Functions that one `def` has made, taken apart for a batch and put together again."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enact_pool._mirror.caller.pickler import Needs
from enact_pool._mirror.caller.pickling import pickle_callables
from enact_pool._wire.closures import join_closures, split_closures

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def travelled(callables: list[Any]) -> list[Any]:
    """The callables as a worker gets them."""
    return join_closures(*pickle.loads(pickle_callables(split_closures(callables), Needs())))


def captures(value: object) -> Callable[..., object]:
    def told(x: int, y: object = value) -> object:
        """What it has captured."""
        return x, y, value

    return told


@given(st.lists(PLAIN | st.lists(st.integers()) | st.just(captures(1)), max_size=20))
def test_kin_arrive_with_what_is_their_own(values: list[Any]) -> None:
    functions: list[Any] = [lambda x, y=value: (x, y) for value in values]
    functions += [(lambda v: lambda x: (x, v, v))(value) for value in values]
    for function, original, value in zip(travelled(functions), functions, values * 2, strict=True):
        if not callable(value):
            assert function(1) == original(1)
        assert function.__qualname__ == original.__qualname__
        assert function.__module__ == original.__module__


def test_most_of_many_kin_travel_as_their_captured_values() -> None:
    def made(number: int) -> Callable[[int], int]:
        def add(x: int) -> int:
            """Add the number."""
            return x + number

        return add

    functions = [made(number) for number in range(100)]
    rest, families = split_closures(functions)
    assert rest == [functions[0]] + [None] * 99
    assert [len(others) for _, others in families] == [99]
    arrived = travelled(functions)
    assert [function(1) for function in arrived] == list(range(1, 101))
    for function in arrived:
        assert function.__annotations__ == functions[0].__annotations__
        assert (function.__doc__, function.__name__) == ("Add the number.", "add")
        assert function.__module__ == __name__


def changed(name: str, value: object) -> Callable[..., object]:
    function = captures(2)
    setattr(function, name, value)
    return function


@pytest.mark.parametrize(
    "other",
    [
        captures([2]),
        captures((2,)),
        changed("__defaults__", ([],)),
        changed("__kwdefaults__", {"y": 1}),
        changed("__annotations__", {"x": "float"}),
        changed("__doc__", "another text"),
        changed("__name__", "another"),
        changed("__qualname__", "another"),
        changed("__module__", "another"),
        changed("note", 1),
        changed("__dict__", {"note": 1}),
    ],
    ids=range(11),
)
def test_what_differs_otherwise_travels_whole(other: Callable[..., object]) -> None:
    first = captures(1)
    assert split_closures([first, captures(2)])[0][1] is None
    assert split_closures([first, other])[0][1] is other


def test_a_cell_without_a_value_travels_whole() -> None:
    def made(full: bool) -> Callable[[], object]:
        if full:
            value = 1

        def told() -> object:
            return value

        return told

    full, empty, another = made(True), made(False), made(True)
    assert split_closures([full, empty, another]) == ([full, empty, None], [(0, [(2, None, (1,))])])
    with pytest.raises(NameError):
        travelled([full, empty])[1]()


def test_kin_of_other_globals_are_none() -> None:
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    code = compile("make = lambda n: lambda: (where, n)", "code", "exec")
    for scope, where in ((here, "here"), (there, "there")):
        exec(code, scope)
        scope["where"] = where
    functions = [here["make"](1), there["make"](2), here["make"](3)]
    assert [function() for function in travelled(functions)] == [
        ("here", 1),
        ("there", 2),
        ("here", 3),
    ]


def test_comparing_annotations_runs_no_code_of_theirs() -> None:
    class Rude:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

    def made(number: int) -> Callable[[Any], int]:
        def told(x: Any) -> int:
            return number

        told.__annotations__ = {"x": Rude()}
        return told

    functions = [made(1), made(2)]
    assert split_closures(functions) == (functions, [])


def test_importable_functions_travel_by_name() -> None:
    assert split_closures([captures, captures]) == ([captures, captures], [])
