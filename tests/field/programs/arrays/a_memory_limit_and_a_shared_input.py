"""An input that all workers share does not count against a task's memory limit."""

# needs: numpy
# expect: ['Ok', 'Ok']
# expect: a memory map: Ok
# expect: its own memory: quota_exceeded
import time

import numpy as np

from enact_pool import Pool

LIMIT = 150_000_000


def total(array):
    value = float(array.sum())
    time.sleep(0.2)
    return value


def grow(_):
    kept = np.ones(50_000_000)
    time.sleep(5)
    return len(kept)


# --- run ---
big = np.ones(25_000_000)
with Pool(2) as pool:
    results = pool.run_parallel([total] * 2, big, max_memory=LIMIT)
    print([type(result.output).__name__ for result in results])
    mapped = np.memmap("map.dat", "u1", "w+", shape=(200_000_000,))
    print(
        "a memory map:",
        type(pool.run_parallel([total], mapped, max_memory=LIMIT)[0].output).__name__,
    )
    print("its own memory:", pool.run_parallel([grow], 0, max_memory=LIMIT)[0].error.category)
