"""Cached methods work, and so do instances of their class as inputs and as results."""

# expect: (2, 3, 4)
# expect: [5, 6]
# expect: Sums True
# expect: 11
from functools import cache, lru_cache

from enact_pool import Pool, PoolExecutor, map_parallel


class Sums:
    def __init__(self, start=0):
        self.start = start

    @lru_cache
    def more(self, n):
        return self.start + n + 1

    @staticmethod
    @cache
    def two_more(n):
        return n + 2

    @classmethod
    @lru_cache(maxsize=4)
    def three_more(cls, n):
        return n + 3


def all_three(n):
    return Sums().more(n), Sums.two_more(n), Sums.three_more(n)


def passed_through(sums):
    return sums


def of_an_instance(sums):
    return sums.more(0)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([all_three], 1)[0].output.unwrap())
    print([result.output.unwrap() for result in map_parallel(Sums().more, [4, 5], pool=pool)])
    (result,) = pool.run_parallel([passed_through], Sums())
    print(type(result.output.unwrap()).__name__, type(result.output.unwrap()) is Sums)
with PoolExecutor(1) as executor:
    print(executor.submit(of_an_instance, Sums(10)).result())
