"""A function that could use a file, but does not, runs; so do functions beside it."""

# expect: [Ok(1), Ok(2)]
# expect: executor 3
# expect: [Ok(4), Ok(1)]
# expect: Ok(True)
# expect: Ok('taken')
# ways: -c stdin
import sqlite3

from enact_pool import Pool, PoolExecutor, map_parallel

LOG = open("log.txt", "a")
CONNECTION = sqlite3.connect(":memory:")


def log(text):
    LOG.write(text)


def work(x):
    if x > 100:
        log("large")
        CONNECTION.execute("select 1")
    return x


class Store:
    connection = CONNECTION
    size = 1

    def count(self):
        return self.size


def count(_):
    return Store().count()


def is_known(_):
    return "LOG" in work.__code__.co_names or "log" in work.__code__.co_names


def taken(_):
    try:
        log("x")
    except Exception:
        return "taken"
    return "written"


with Pool(1) as pool:
    print([result.output for result in map_parallel(work, [1, 2], pool=pool)])
    with PoolExecutor(1) as executor:
        print("executor", executor.submit(work, 3).result())
    print([result.output for result in pool.run_parallel([work, count], 4)])
    print(pool.run_parallel([is_known], 0)[0].output)
    print(pool.run_parallel([taken], 0)[0].output)
LOG.close()
CONNECTION.close()
