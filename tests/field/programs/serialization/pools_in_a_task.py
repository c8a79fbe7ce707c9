"""A task can start a pool of its own, of either kind, for functions and classes of the script."""

# expect: multiprocessing [1, 4]
# expect: concurrent.futures [1, 4]
# expect: enact_pool [1, 4]
# expect: executor [1, 4]
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from enact_pool import Pool, PoolExecutor, map_parallel


class Number:
    def __init__(self, n):
        self.n = n


def square(number):
    return Number(number.n**2)


def by_multiprocessing(numbers):
    with multiprocessing.get_context("fork").Pool(1) as inner:
        return [result.n for result in inner.map(square, numbers)]


def by_futures(numbers):
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as inner:
        return [result.n for result in inner.map(square, numbers)]


def by_enact_pool(numbers):
    with Pool(1) as inner:
        return [r.output.unwrap().n for r in map_parallel(square, numbers, pool=inner)]


def by_executor(numbers):
    with PoolExecutor(1) as inner:
        return [result.n for result in inner.map(square, numbers)]


# --- run ---
with Pool(1) as pool:
    for name, function in [
        ("multiprocessing", by_multiprocessing),
        ("concurrent.futures", by_futures),
        ("enact_pool", by_enact_pool),
        ("executor", by_executor),
    ]:
        print(name, pool.run_parallel([function], [Number(1), Number(2)])[0].output.unwrap())
