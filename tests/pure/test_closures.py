"""Closures of one `def`, which are split for a batch and joined again."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import pickle_callables
from enact_pool._wire.closures import join_closures, split_closures, with_own_cells

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def sent(callables: list[Any]) -> list[Any]:
    """Return the callables as a worker receives them."""
    return join_closures(*pickle.loads(pickle_callables(split_closures(callables), Needs())))


def captures(value: object) -> Callable[..., object]:
    def inner(x: int, y: object = value) -> object:
        """Return the captured value."""
        return x, y, value

    return inner


@given(st.lists(PLAIN | st.lists(st.integers()) | st.just(captures(1)), max_size=20))
def test_closures_keep_their_own_values(values: list[Any]) -> None:
    functions: list[Any] = [lambda x, y=value: (x, y) for value in values]
    functions += [(lambda v: lambda x: (x, v, v))(value) for value in values]
    for function, original, value in zip(sent(functions), functions, values * 2, strict=True):
        if not callable(value):
            assert function(1) == original(1)
        assert function.__qualname__ == original.__qualname__
        assert function.__module__ == original.__module__


def test_all_closures_but_the_first_travel_as_captured_values() -> None:
    def make(number: int) -> Callable[[int], int]:
        def add(x: int) -> int:
            """Add the number."""
            return x + number

        return add

    functions = [make(number) for number in range(100)]
    rest, groups = split_closures(functions)
    assert rest == [functions[0]] + [None] * 99
    assert [len(others) for _, others in groups] == [99]
    received = sent(functions)
    assert [function(1) for function in received] == list(range(1, 101))
    for function in received:
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
def test_a_function_with_other_differences_travels_whole(
    other: Callable[..., object],
) -> None:
    first = captures(1)
    assert split_closures([first, captures(2)])[0][1] is None
    assert split_closures([first, other])[0][1] is other


def test_a_closure_without_a_value_travels_as_a_whole() -> None:
    def make(full: bool) -> Callable[[], object]:
        if full:
            value = 1

        def inner() -> object:
            return value

        return inner

    full, empty, another = make(True), make(False), make(True)
    assert split_closures([full, empty, another]) == ([full, empty, None], [(0, [(2, None, (1,))])])
    with pytest.raises(NameError):
        sent([full, empty])[1]()


def test_closures_with_different_globals_are_not_joined() -> None:
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    code = compile("make = lambda n: lambda: (where, n)", "code", "exec")
    for scope, where in ((here, "here"), (there, "there")):
        exec(code, scope)
        scope["where"] = where
    functions = [here["make"](1), there["make"](2), here["make"](3)]
    assert [function() for function in sent(functions)] == [
        ("here", 1),
        ("there", 2),
        ("here", 3),
    ]


def test_comparing_annotations_does_not_run_their_code() -> None:
    class Rude:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

    def make(number: int) -> Callable[[Any], int]:
        def inner(x: Any) -> int:
            return number

        inner.__annotations__ = {"x": Rude()}
        return inner

    functions = [make(1), make(2)]
    assert split_closures(functions) == (functions, [])


def test_importable_functions_travel_by_name() -> None:
    assert split_closures([captures, captures]) == ([captures, captures], [])


def test_a_copy_has_its_own_cells_and_is_otherwise_like_the_original() -> None:
    number = 1

    def original(x: int, *, factor: int = 2) -> int:
        """Add the number."""
        return x * factor + number

    add: Any = original
    vars(add)["unit"] = "m"
    first = with_own_cells(add)
    assert with_own_cells(add, first) is first
    number = 5
    second = with_own_cells(add, first)
    assert (add(1), first(1), second(1)) == (7, 3, 7)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(first, name) == getattr(add, name)
    assert vars(first) == {"unit": "m"}


def test_a_closure_over_something_mutable_or_unset_is_not_copied() -> None:
    def unset() -> Any:
        return later

    for function in (captures([]), unset):
        assert with_own_cells(function) is function  # type: ignore[arg-type]
    later = 1
