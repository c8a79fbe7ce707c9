"""What closures captured, and globals that are gone or bound again, are let go of everywhere."""

# expect: closures: here 0, there 0
# expect: deleted: here 0, there 0
# expect: bound again: here 1, there 1
# expect: descriptors: 0 more
import gc
import os

from enact_pool import Pool


class Big:
    def __init__(self):
        self.data = bytearray(100_000)


def alive():
    gc.collect()
    return sum(type(each) is Big for each in gc.get_objects())


def alive_there(_):
    return alive()


def size_of_table(_):
    return len(table.data)


def use_a_closure(pool):
    big = Big()

    def closure(_):
        return len(big.data)

    assert pool.run_parallel([closure], 0)[0].output.unwrap() == 100_000


def descriptors_there(_):
    return len(os.listdir("/dev/fd"))


def show(pool, what):
    (there,) = pool.run_parallel([alive_there], 0)
    print(f"{what}: here {alive()}, there {there.output.unwrap()}")


with Pool(1) as pool:
    before = pool.run_parallel([descriptors_there], 0)[0].output.unwrap()
    for _ in range(20):
        use_a_closure(pool)
    show(pool, "closures")
    for _ in range(3):
        table = Big()
        pool.run_parallel([size_of_table], 0)[0].output.unwrap()
        del table
        pool.run_parallel([alive_there], 0)
    show(pool, "deleted")
    for _ in range(3):
        table = Big()
        pool.run_parallel([size_of_table], 0)[0].output.unwrap()
    show(pool, "bound again")
    after = pool.run_parallel([descriptors_there], 0)[0].output.unwrap()
    print("descriptors:", after - before, "more")
