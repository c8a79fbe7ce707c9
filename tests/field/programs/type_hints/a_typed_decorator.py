"""A decorator with a ParamSpec and type variables works on the tasks themselves."""

# expect: Ok((1, 'noted'))
# expect: Ok(['P', 'T', 'Number'])
# expect: True
from collections.abc import Callable
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

from enact_pool import Pool

P = ParamSpec("P")
T = TypeVar("T")
Number = TypeVar("Number", int, float)


def noted(function: Callable[P, T]) -> Callable[P, tuple[T, str]]:
    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> tuple[T, str]:
        return function(*args, **kwargs), "noted"

    return inner


@noted
def task(x: Number) -> Number:
    return x


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


def names(_):
    return [parameter.__name__ for parameter in (P, T, Number)]


def boxed(x) -> Box[int]:
    return Box[int](x)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([task], 1)[0].output)
    print(pool.run_parallel([names], 0)[0].output)
    print(type(pool.run_parallel([boxed], 1)[0].output.unwrap()) is Box)
