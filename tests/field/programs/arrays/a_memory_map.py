"""A memory map as an input is right, and is not copied into the caller's memory."""

# needs: numpy
# expect: [Ok(45), Ok(45)]
# expect: [Ok(45)]
# expect: executor 45
# expect: the caller's memory grew by less than 50 MB: True
import resource
import sys

import numpy as np

from enact_pool import Pool, PoolExecutor, map_parallel

UNIT = 1 if sys.platform == "darwin" else 1024


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def total(array):
    return int(array[:10].sum())


# --- run ---
mapped = np.memmap("map.dat", "u1", "w+", shape=(200_000_000,))
mapped[:10] = range(10)
mapped.flush()
del mapped
mapped = np.memmap("map.dat", "u1", "r")
with Pool(1) as pool, PoolExecutor(1) as executor:
    executor.submit(abs, 1).result()
    pool.run_parallel([abs], 1)
    before = peak()
    print([result.output for result in pool.run_parallel([total] * 2, mapped)])
    print([result.output for result in map_parallel(total, [mapped], pool=pool)])
    print("executor", executor.submit(total, mapped).result())
    grown = (peak() - before) / 1e6
print("the caller's memory grew by less than 50 MB:", grown < 50 or grown)
