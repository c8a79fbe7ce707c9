"""A generic function dispatches in a task as it does in the script."""

# expect: [Ok(2), Ok(0), Ok(7)]
# expect: [Ok(2), Ok(0), Ok(7)]
# expect: executor 3
# expect: Ok([0, 4])
# expect: Ok('dict')
# ways: -c stdin
from functools import singledispatch

from enact_pool import Pool, PoolExecutor, map_parallel


class Box:
    pass


@singledispatch
def size(x):
    return 0


@size.register
def _(x: list):
    return len(x)


@size.register(Box)
def _(x):
    return 7


def call(x):
    return size(x)


def register_in_a_task(_):
    before = size("text")
    size.register(str, len)
    return [before, size("text")]


def registered(_):
    return size.dispatch(list).__annotations__["x"].__name__ == "list" and "dict"


# --- run ---
values = [[1, 2], 3, Box()]
with Pool(1) as pool:
    print([result.output for result in map_parallel(call, values, pool=pool)])
    print([result.output for result in map_parallel(size, values, pool=pool)])
    with PoolExecutor(1) as executor:
        print("executor", executor.submit(size, [1, 2, 3]).result())
    print(pool.run_parallel([register_in_a_task], 0)[0].output)
    print(pool.run_parallel([registered], 0)[0].output)
