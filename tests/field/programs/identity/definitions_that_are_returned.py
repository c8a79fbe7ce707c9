"""A function, class, member or method that a callable returns is the caller's own."""

# expect: True True True True True True
# expect: True True
# ways: -c stdin
import enum
import functools

from enact_pool import Pool, PoolExecutor


def function():
    return 1


def decorated(f):
    @functools.wraps(f)
    def inner(*arguments):
        return f(*arguments)

    return inner


@decorated
def wrapped():
    return 2


@functools.cache
def cached():
    return 3


class Outer:
    class Inner:
        def method(self):
            return 4


class Colour(enum.Enum):
    RED = 1


def definitions(_):
    return [function, wrapped, cached, Outer.Inner, Outer.Inner.method, Colour.RED]


def same(value):
    return value


# --- run ---
own = [function, wrapped, cached, Outer.Inner, Outer.Inner.method, Colour.RED]
with Pool(1) as pool:
    back = pool.run_parallel([definitions], 0)[0].output.unwrap()
print(*[a is b for a, b in zip(own, back, strict=True)])
with PoolExecutor(1) as executor:
    print(
        executor.submit(same, Outer).result() is Outer, executor.submit(same, same).result() is same
    )
