"""A function is found by what it is, not by a name that the worker's program has too."""

# expect: [4, 5, 6, 8]
# expect: ['main', 'serve', 'sys', 'worker']
import functools

from enact_pool import Pool, map_parallel


@functools.cache
def boot(n):
    return n + 1


@functools.cache
def main(_):
    return "main"


@functools.cache
def serve(_):
    return "serve"


@functools.cache
def sys(_):
    return "sys"


@functools.cache
def worker(_):
    return "worker"


# --- run ---
with Pool(1) as pool:
    print([result.output.unwrap() for result in map_parallel(boot, [3, 4, 5, 7], pool=pool)])
    print([result.output.unwrap() for result in pool.run_parallel([main, serve, sys, worker], 0)])
