"""A result that arrives does not set its class's attributes back."""

# expect: map_parallel: opened 4, the same list True
# expect: executor: opened 14, the same list True
# ways: -c stdin
import time

from enact_pool import Pool, PoolExecutor, map_parallel


class Account:
    opened = 0
    names = []

    def __init__(self, n):
        self.n = n
        Account.opened += 1


def load(n):
    time.sleep(0.1)
    return Account(n)


# --- run ---
names = Account.names
for i in range(4):
    Account(i)
with Pool(1) as pool:
    map_parallel(load, [1], pool=pool)
print(f"map_parallel: opened {Account.opened}, the same list {Account.names is names}")
with PoolExecutor(1) as executor:
    future = executor.submit(load, 1)
    time.sleep(0.05)
    for i in range(10):
        Account(i)
    future.result()
print(f"executor: opened {Account.opened}, the same list {Account.names is names}")
