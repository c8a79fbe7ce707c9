"""A cache keeps its size and its type rule, and can be cleared and asked in the worker."""

# expect: {'maxsize': 2, 'typed': True}
# expect: (3, 2)
# expect: 0
# expect: square 9 the square of a number
# expect: {'maxsize': 2, 'typed': True}
import functools

from enact_pool import Pool


@functools.lru_cache(maxsize=2, typed=True)
def square(n):
    """the square of a number"""
    return n * n


def parameters(_):
    return square.cache_parameters()


def misses_and_size(_):
    for n in (1, 1.0, True):
        square(n)
    return square.cache_info()[1], square.cache_info().currsize


def cleared(_):
    square.cache_clear()
    return square.cache_info().currsize


def described(_):
    return f"{square.__name__} {square.__wrapped__(3)} {square.__doc__}"


# --- run ---
with Pool(1) as pool:
    for function in (parameters, misses_and_size, cleared, described):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
print(square.cache_parameters())
