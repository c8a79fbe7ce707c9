"""Aliases made by type statements, and the new generic syntax, work."""

# python: 3.12
# expect: Ok((1, 2))
# expect: Ok('Pair tuple[int, int]')
# expect: Ok(([1, [2]], 'Tree'))
# expect: Ok(3)
# expect: True
from typing import NamedTuple

from enact_pool import Pool

type Pair = tuple[int, int]
type Tree[T] = T | list[Tree[T]]


class Line(NamedTuple):
    start: Pair


def same(pair: Pair) -> Pair:
    return pair


def value(_):
    return f"{Pair.__name__} {Pair.__value__}"


def tree(nodes: Tree[int]) -> tuple[Tree[int], str]:
    return nodes, Tree.__name__


def first[T](items: list[T]) -> T:
    return items[0]


def line(pair):
    return Line(pair)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([same], (1, 2))[0].output)
    print(pool.run_parallel([value], 0)[0].output)
    print(pool.run_parallel([tree], [1, [2]])[0].output)
    print(pool.run_parallel([first], [3])[0].output)
    print(type(pool.run_parallel([line], (1, 2))[0].output.unwrap()) is Line)
