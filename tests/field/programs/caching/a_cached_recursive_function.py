"""A cached function that calls itself works, and its cache stays in the worker."""

# expect: [Ok(0), Ok(1), Ok(1)]
# expect: [Ok(0), Ok(2), Ok(2)]
# expect: Ok(True)
# expect: 0 entries in the caller's cache
# ways: -c stdin
from functools import cache

from enact_pool import Pool, map_parallel


@cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def twice(n):
    return 2 * fib(n)


def is_cached(n):
    before = fib.cache_info().hits
    fib(n)
    return fib.cache_info().hits == before + 1


# --- run ---
with Pool(1) as pool:
    print([result.output for result in map_parallel(fib, range(3), pool=pool)])
    print([result.output for result in map_parallel(twice, range(3), pool=pool)])
    print(map_parallel(is_cached, [2], pool=pool)[0].output)
print(fib.cache_info().currsize, "entries in the caller's cache")
