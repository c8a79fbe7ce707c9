"""The recursion limit and the limit of digits are the caller's, also changed ones."""

# expect: 50000 9000
# expect: Ok(20000)
# expect: Ok(10001)
# expect: executor 20000 10001
# expect: back 3000 ValueError
import sys

from enact_pool import Pool, PoolExecutor, map_parallel


def limit(_):
    return sys.getrecursionlimit()


def digits(n):
    return len(str(10**n))


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


with Pool(1) as pool, PoolExecutor(1) as executor:
    pool.run_parallel([abs], 1)
    executor.submit(abs, 1).result()
    sys.setrecursionlimit(50_000)
    print(
        *[
            r.output.unwrap()
            for r in (*pool.run_parallel([limit], 0), *pool.run_parallel([deep], 9000))
        ]
    )
    sys.setrecursionlimit(20_000)
    print(map_parallel(limit, [0], pool=pool)[0].output)
    sys.set_int_max_str_digits(0)
    print(map_parallel(digits, [10_000], pool=pool)[0].output)
    print("executor", executor.submit(limit, 0).result(), executor.submit(digits, 10_000).result())
    sys.setrecursionlimit(3000)
    sys.set_int_max_str_digits(4300)
    too_many = map_parallel(digits, [10_000], pool=pool)[0].output
    print("back", map_parallel(limit, [0], pool=pool)[0].output.unwrap(), too_many.type)
