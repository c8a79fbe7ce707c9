"""A class attribute that equals that of some base is not lost."""

# expect: Ok([None, 'leaf', 0])
# expect: Ok('Inner.Deep')
# expect: Ok(['Leaf', 'Left', 'Base', 'Right', 'object'])
from typing import NamedTuple

from enact_pool import Pool


class Base:
    kind = "base"
    size = 1

    def name(self):
        return "base"


class Left(Base):
    size = 2


class Right:
    kind = None
    size = 0

    def name(self):
        return "leaf"


class Leaf(Left, Right):
    kind = None
    size = 0
    name = Right.name


class Inner:
    class Deep(NamedTuple):
        a: int


def attributes(_):
    return [Leaf.kind, Leaf().name(), Leaf.size]


def qualified(_):
    return Inner.Deep.__qualname__


def order(_):
    return [c.__name__ for c in Leaf.__mro__]


# --- run ---
with Pool(1) as pool:
    for function in (attributes, qualified, order):
        print(pool.run_parallel([function], 0)[0].output)
