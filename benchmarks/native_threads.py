"""`python -m benchmarks.native_threads`: native threads in workers, limited by the pool or not.

Matrix products by NumPy, whose library would start a thread per core in every
worker: once with the pool's limits, with which the workers share the cores, and once
with an `env` that lifts them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from importlib.util import find_spec

from benchmarks import timed_callables as timed
from benchmarks.table import Table, figures
from enact_pool import Pool

# The variables of all libraries that NumPy may be built with.
_LIMITS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_PRODUCTS_EACH = 4


def _times_ms(pools: list[Pool], size: int, products: int, repeats: int) -> list[list[float]]:
    """Return the times of each pool; the pools take turns, repeat by repeat."""
    taken: list[list[float]] = [[] for _ in pools]
    for pool in pools:
        _multiply(pool, size, products)
    for _ in range(repeats):
        for pool, times in zip(pools, taken, strict=True):
            times.append(_multiply(pool, size, products) * 1e3)
    return taken


def _multiply(pool: Pool, size: int, products: int) -> float:
    begun_at = time.perf_counter()
    results = pool.run_parallel([timed.matrix_product] * products, size)
    seconds = time.perf_counter() - begun_at
    if any(result.output.unwrap() != size for result in results):
        raise AssertionError("a product is wrong")
    return seconds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.native_threads", description=__doc__
    )
    parser.add_argument("--workers", type=int, default=2, help="of each pool (default: 2)")
    parser.add_argument("--repeats", type=int, help="default: 5; quick: 1")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    options = parser.parse_args()
    if options.workers < 1 or (options.repeats is not None and options.repeats < 1):
        parser.error("--workers and --repeats must be at least 1")
    options.repeats = options.repeats or (1 if options.quick else 5)
    return options


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    if find_spec("numpy") is None:
        print("this program needs NumPy", file=sys.stderr)
        return 1
    for name in _LIMITS:
        # The pool does not change a number that the user has set.
        os.environ.pop(name, None)
    size, products = 300 if options.quick else 1_500, _PRODUCTS_EACH * options.workers
    cores = str(os.cpu_count())
    unlimited = dict.fromkeys(_LIMITS, cores)
    with Pool(options.workers) as usual, Pool(options.workers, env=unlimited) as lifted:
        taken = _times_ms([usual, lifted], size, products, options.repeats)
    usual_ms, lifted_ms = map(statistics.median, taken)
    lines = [
        ["the pool's limits", figures(usual_ms), "1"],
        [f"{cores} threads in each worker", figures(lifted_ms), figures(lifted_ms / usual_ms)],
    ]
    title = f"{products} matrix products, {size} x {size}, on {options.workers} workers"
    print(Table(title, ["threads", "median, ms", "ratio"], lines).as_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
