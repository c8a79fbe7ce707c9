"""Instances of classes that a task defines come back."""

# expect: [(0, 0), (1, 1)]
# expect: 3 3 True
# expect: 3 ['RED', 'BLUE']
# expect: 4 5
# ways: -c
import collections
import dataclasses
import enum
import functools
import typing

from enact_pool import PoolExecutor


def rows(n):
    Row = collections.namedtuple("Row", "a b")
    return [Row(i, i) for i in range(n)]


def point(n):
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: int = 0

        @functools.cached_property
        def total(self):
            return self.x + self.y

    return Point(n)


def color(n):
    class Color(enum.Flag):
        RED = 1
        BLUE = 2

    return Color(n)


def typed(n):
    class Typed(typing.NamedTuple):
        a: int

    return Typed(n)


def sized(n):
    class Sized(typing.Protocol):
        def size(self): ...

    class Box(Sized):
        def size(self):
            return n

    return Box()


# --- run ---
with PoolExecutor(1) as executor:
    print([tuple(row) for row in executor.submit(rows, 2).result()])
    made = executor.submit(point, 3).result()
    print(made.x, made.total, made == type(made)(3))
    made = executor.submit(color, 3).result()
    print(made.value, [each.name for each in type(made)])
    print(executor.submit(typed, 4).result().a, executor.submit(sized, 5).result().size())
