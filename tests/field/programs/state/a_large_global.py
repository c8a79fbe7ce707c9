"""A large global is rebuilt once in each worker, not for each call."""

# expect: executor 1
# expect: run_parallel 1
# expect: map_parallel 1
from enact_pool import Pool, PoolExecutor, map_parallel


class Table:
    """Notes in a file when it is rebuilt."""

    def __init__(self):
        self.rows = bytes(3_000_000)

    def __getstate__(self):
        return self.rows

    def __setstate__(self, rows):
        self.rows = rows
        with open("rebuilt.txt", "a") as file:
            file.write("x")


TABLE = Table()


def row(i):
    return TABLE.rows[i]


def rebuilt():
    with open("rebuilt.txt", "r+") as file:
        times = len(file.read())
        file.truncate(0)
    return times


with PoolExecutor(1) as executor:
    list(executor.map(row, range(20)))
print("executor", rebuilt())
with Pool(1) as pool:
    pool.run_parallel([row] * 20, 0)
print("run_parallel", rebuilt())
with Pool(1) as pool:
    map_parallel(row, range(20), pool=pool)
print("map_parallel", rebuilt())
