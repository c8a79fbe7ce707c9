"""Hints that are texts are resolved in a task as they are in the script."""

# expect: Ok("{'b': 'B', 'many': 'list', 'next': 'Optional'}")
# expect: Ok(['b', 'later'])
from __future__ import annotations

import dataclasses
import typing

from enact_pool import Pool


@dataclasses.dataclass
class A:
    b: B
    many: list[B]
    next: typing.Optional[A]


@dataclasses.dataclass
class B:
    n: int


def function(b: B, later: typing.Callable[[Later], A]) -> None:
    pass


class Later:
    pass


def of_a_class(_):
    hints = typing.get_type_hints(A)
    assert hints["b"] is B
    assert hints["many"].__args__ == (B,)
    return str({name: hint_name(hint) for name, hint in hints.items()})


def hint_name(hint):
    return "Optional" if typing.get_origin(hint) is typing.Union else hint.__name__


def of_a_function(_):
    hints = typing.get_type_hints(function)
    assert typing.get_args(hints["later"])[0] == [Later]
    return [name for name in hints if name != "return"]


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([of_a_class], 0)[0].output)
    print(pool.run_parallel([of_a_function], 0)[0].output)
